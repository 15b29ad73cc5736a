import CordwoodIO

/// One direction between two nodes, as the trial wants it to be.
///
/// What is cut is held up and not lost, as TCP holds up what is not acknowledged: it goes on when the link is healed,
/// unless one of the two has given its connection up meanwhile.
final class FaultLink {
    private(set) var isCut = false
    /// Added to every chunk that passes.
    var delayNanoseconds: UInt64 = 0
    /// `nil` is as fast as it goes.
    var bytesPerSecond: Int?
    private var waiters: [UnsafeContinuation<Void, Never>] = []

    func cut() { isCut = true }

    func heal() {
        isCut = false
        delayNanoseconds = 0
        bytesPerSecond = nil
        let waiting = waiters
        waiters = []
        for waiter in waiting { waiter.resume() }
    }

    /// Returns when nothing holds the link up.
    func untilOpen() async {
        while isCut { await withUnsafeContinuation { waiters.append($0) } }
    }

    /// Returns when so many bytes have had their time to pass.
    func pass(bytes: Int, _ clock: any Clock) async {
        await untilOpen()
        var nanoseconds = delayNanoseconds
        if let bytesPerSecond { nanoseconds += UInt64(bytes) * 1_000_000_000 / UInt64(max(1, bytesPerSecond)) }
        if nanoseconds > 0 { await clock.sleep(nanoseconds: nanoseconds) }
        await untilOpen()
    }
}
