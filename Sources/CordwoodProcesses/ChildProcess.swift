import CLinux
public import CordwoodIO
import Glibc

/// A program that runs as a child of this one: in a group of its own, with its output in files, and never longer than
/// the thread that has started it.
///
/// Whoever waits for it waits for the process, never for the end of its output, which a grandchild may hold open.
public final class ChildProcess {
    /// How a process came to its end.
    public enum End: Hashable, Sendable, CustomStringConvertible {
        case exited(Int32)
        case signaled(Int32)
        /// It lived when the time was over, and was killed.
        case timedOut

        public var description: String {
            switch self {
            case .exited(let code): "exit code \(code)"
            case .signaled(let signal): "signal \(signal)"
            case .timedOut: "no end within the time given"
            }
        }
    }

    public let identifier: Int32
    /// `nil` while it runs, as far as anybody has looked.
    private var end: End?

    /// Starts a program, which is looked for where commands are when its name has no slash.
    ///
    /// - Parameters:
    ///   - words: the program and its arguments.
    ///   - output: a file; what the program says is added to it.
    ///   - errors: a file for what it says of errors; `nil` for the same one.
    public init(_ words: [String], output: String, errors: String? = nil) throws(IOError) {
        // A process that traps must not leave a helper behind.
        var environment = ["SWIFT_BACKTRACE=enable=no"]
        for name in ["PATH", "LD_LIBRARY_PATH"] {
            if let value = getenv(name) { environment.append("\(name)=\(String(cString: value))") }
        }
        let arguments = words.map { strdup($0) } + [nil]
        let variables = environment.map { strdup($0) } + [nil]
        defer { for text in arguments + variables { free(text) } }
        identifier = clinux_spawn(arguments, variables, output, errors ?? output)
        guard identifier > 0 else {
            throw IOError(.other, operation: "start", subject: words.first ?? "", errorNumber: -identifier)
        }
    }

    deinit { if end == nil { _ = kill() } }

    /// Looks whether it has ended, and how.
    public func poll() -> End? { look(milliseconds: 0) }

    /// Waits for its end, and ends it when the time is over.
    public func wait(seconds: Double) -> End { look(milliseconds: Int64(seconds * 1000)) ?? kill() }

    /// Sends a signal to it and all that it has started.
    public func signal(_ number: Int32) { if poll() == nil { Glibc.kill(-identifier, number) } }

    private func kill() -> End {
        Glibc.kill(-identifier, SIGKILL)
        _ = look(milliseconds: -1)
        end = .timedOut
        return .timedOut
    }

    private func look(milliseconds: Int64) -> End? {
        var status: Int32 = 0
        guard end == nil, clinux_wait_for_process(identifier, milliseconds, &status) == 0 else { return end }
        let signal = status & 0x7f
        end = signal == 0 ? .exited(status >> 8 & 0xff) : .signaled(signal)
        return end
    }

    /// The path of the program that runs now.
    public static var ownProgram: String {
        var bytes = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &bytes, bytes.count - 1)
        return String(decoding: bytes.prefix(max(count, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
