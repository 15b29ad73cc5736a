import CordwoodIO

/// Lets so many bytes pass in a second, in bursts of a tenth of one at most. Whoever takes more than there is waits for
/// its share; those who wait are let through in their order.
final class RateLimit {
    private let bytesPerSecond: UInt64?
    private let clock: any Clock
    /// When everything taken so far will have been paid for.
    private var paidNanoseconds: UInt64 = 0

    private static let burstNanoseconds: UInt64 = 100_000_000

    init(bytesPerSecond: UInt64?, clock: any Clock) {
        self.bytesPerSecond = bytesPerSecond
        self.clock = clock
    }

    /// Returns when so many bytes may pass.
    func take(_ byteCount: Int) async {
        guard let bytesPerSecond, bytesPerSecond > 0, byteCount > 0 else { return }
        let now = clock.monotonicNanoseconds
        let earliest = now > Self.burstNanoseconds ? now - Self.burstNanoseconds : 0
        let (high, low) = UInt64(byteCount).multipliedFullWidth(by: 1_000_000_000)
        let cost = high < bytesPerSecond ? bytesPerSecond.dividingFullWidth((high, low)).quotient : UInt64.max / 2
        paidNanoseconds = max(paidNanoseconds, earliest) &+ cost
        if paidNanoseconds > now { await clock.sleep(nanoseconds: paidNanoseconds - now) }
    }
}
