internal import CordwoodIO
internal import Glibc

/// The machine's two clocks and the loop's timers.
final class LoopClock: Clock {
    private let loop: EventLoop

    init(_ loop: EventLoop) { self.loop = loop }

    var monotonicNanoseconds: UInt64 { LoopClock.monotonicNanoseconds }

    var wallMicroseconds: Int64 {
        let time = LoopClock.time(CLOCK_REALTIME)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }

    func schedule(atNanoseconds nanoseconds: UInt64, _ body: @escaping () -> Void) -> TimerToken {
        loop.schedule(atNanoseconds: nanoseconds, body)
    }

    func cancel(_ timer: TimerToken) { loop.cancel(timer) }

    static var monotonicNanoseconds: UInt64 {
        let time = time(CLOCK_MONOTONIC)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    private static func time(_ clock: clockid_t) -> timespec {
        var time = timespec()
        clock_gettime(clock, &time)
        return time
    }
}
