import CordwoodIO
import Glibc

/// What the trial did, line by line with the seconds since its start, in a file beside the logs of the nodes.
final class Chronicle {
    let path: String
    private let clock: any Clock
    private let startNanoseconds: UInt64
    private let descriptor: Int32

    init(_ path: String, _ clock: any Clock) throws(TrialError) {
        self.path = path
        self.clock = clock
        startNanoseconds = clock.monotonicNanoseconds
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        if descriptor < 0 { throw TrialError("cannot make \(path): errno \(errno)") }
    }

    deinit { close(descriptor) }

    func note(_ text: String) {
        let milliseconds = (clock.monotonicNanoseconds - startNanoseconds) / 1_000_000
        let fraction = "\(milliseconds % 1000)"
        let padded = String(repeating: "0", count: 3 - fraction.count) + fraction
        let line = "\(milliseconds / 1000).\(padded) \(text)\n"
        _ = line.withCString { write(descriptor, $0, strlen($0)) }
    }
}
