/// The two times. Safety never depends on either.
public protocol Clock: AnyObject {
    /// Nanoseconds since some fixed point; never falls, stands still for no one.
    var monotonicNanoseconds: UInt64 { get }

    /// Microseconds since 1970, as the machine believes; may jump.
    var wallMicroseconds: Int64 { get }

    /// Calls `body` once on the loop when the monotonic clock has reached `nanoseconds`.
    func schedule(atNanoseconds nanoseconds: UInt64, _ body: @escaping () -> Void) -> TimerToken

    /// Takes back a call that has not happened yet; otherwise does nothing.
    func cancel(_ timer: TimerToken)
}

/// Names one scheduled call; never reused within a clock.
public struct TimerToken: Hashable, Sendable {
    public let number: UInt64

    public init(number: UInt64) { self.number = number }
}

extension Clock {
    /// Returns on the loop after at least `nanoseconds`.
    public func sleep(nanoseconds: UInt64) async {
        let deadline = monotonicNanoseconds + nanoseconds
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
            _ = schedule(atNanoseconds: deadline) { continuation.resume() }
        }
    }
}
