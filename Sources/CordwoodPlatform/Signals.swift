internal import CLinux
public import CordwoodIO
internal import Glibc

/// Signals that reach the loop as values instead of interrupting whatever runs.
///
/// `Signals.block` comes first in a program, before any thread exists, since threads inherit what is blocked; then, on
/// the loop, `platform.signals` and `next`.
public final class Signals {
    private let loop: EventLoop
    private let descriptor: Int32

    /// Keeps `signals` from acting by themselves, in the calling thread and those it starts later.
    public static func block(_ signals: [Int32]) throws(IOError) {
        try check(clinux_block_signals(signals, Int32(signals.count)), "block", "signals")
    }

    /// A write to a connection that is gone is an error of that write and not the end of the process.
    public static func ignoreBrokenPipes() { clinux_ignore_broken_pipes() }

    init(_ signals: [Int32], _ loop: EventLoop) throws(IOError) {
        self.loop = loop
        descriptor = clinux_signal_descriptor(signals, Int32(signals.count))
        try check(descriptor, "listen to", "signals")
    }

    deinit { loop.closeSocket(descriptor) }

    /// The number of the next signal. One waits at a time. Fails with `.closed` when the platform shuts down.
    public func next() async throws(IOError) -> Int32 {
        while true {
            let signal = clinux_take_signal(descriptor)
            if signal >= 0 { return signal }
            if signal != -EAGAIN && signal != -EINTR { try check(signal, "take", "signal") }
            let result = await repeated { await loop.perform(.waitReadable(descriptor)) }
            try check(result, "wait for", "signal")
        }
    }
}
