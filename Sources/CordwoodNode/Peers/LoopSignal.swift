import CordwoodBase
import CordwoodIO

/// One task's wait for something to change. Signals raised while nobody waits are remembered as one.
final class LoopSignal {
    private var waiter: UnsafeContinuation<Void, Never>?
    private var isRaised = false

    func raise() {
        guard let waiting = waiter else {
            isRaised = true
            return
        }
        waiter = nil
        waiting.resume()
    }

    func wait() async {
        if isRaised {
            isRaised = false
            return
        }
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
            invariant(waiter == nil, "two tasks wait for one signal")
            waiter = continuation
        }
    }

    /// Waits for the signal, but no longer than `nanoseconds`.
    func wait(_ clock: any Clock, nanoseconds: UInt64) async {
        let timer = clock.schedule(atNanoseconds: clock.monotonicNanoseconds + nanoseconds) { [weak self] in
            self?.raise()
        }
        await wait()
        clock.cancel(timer)
    }
}
