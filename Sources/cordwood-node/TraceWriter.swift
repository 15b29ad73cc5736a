import CordwoodOptions
import CordwoodRaft
import Glibc

/// Adds the consensus core's trace to a file, a line of JSON an event.
///
/// The events of one step are one write at the end of the file, made before the step's messages leave. So nodes that
/// write into the same file, each with its own descriptor, write in an order in which nothing is received before it was
/// sent.
final class TraceWriter {
    private let descriptor: Int32

    /// `nil` when no file is asked for.
    init?(_ path: String?) throws(OptionError) {
        guard let path else { return nil }
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        if descriptor < 0 {
            throw OptionError(.configuration, "consensus.trace = '\(path)': \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(descriptor) }

    func write(_ events: [RaftTraceEvent]) {
        let text = events.map { $0.json + "\n" }.joined()
        writeLine(String(text.dropLast()), to: descriptor)
    }
}
