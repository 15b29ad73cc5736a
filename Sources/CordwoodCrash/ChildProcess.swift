import CLinux
public import CordwoodIO
import Glibc

/// A process that this one started: in a group of its own, with its output in a file, ended with its parent.
///
/// Whoever waits for it waits for the process, never for the end of its output, which a grandchild may hold open.
public struct ChildProcess {
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

    /// Starts a program. What it says on either output is appended to the file at `output`.
    public init(_ program: String, _ arguments: [String], output: String) throws(IOError) {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        // A process that traps must not leave a helper behind.
        var environment = ["SWIFT_BACKTRACE=enable=no"]
        for name in ["PATH", "LD_LIBRARY_PATH"] {
            if let value = getenv(name) { environment.append("\(name)=\(String(cString: value))") }
        }
        let words = ([program] + arguments).map { strdup($0) } + [nil]
        let surroundings = environment.map { strdup($0) } + [nil]
        defer { for word in words + surroundings { free(word) } }
        var identifier: pid_t = 0
        let failure = posix_spawnp(&identifier, program, &actions, &attributes, words, surroundings)
        guard failure == 0 else { throw IOError(.other, operation: "start", subject: program, errorNumber: failure) }
        self.identifier = identifier
    }

    /// Waits for its end, and ends it when the time is over. Once only.
    public func wait(seconds: Double) -> End {
        var status: Int32 = 0
        guard clinux_wait_for_process(identifier, Int64(seconds * 1000), &status) == 0 else {
            kill(SIGKILL)
            _ = clinux_wait_for_process(identifier, -1, &status)
            return .timedOut
        }
        let signal = status & 0x7f
        return signal == 0 ? .exited(status >> 8 & 0xff) : .signaled(signal)
    }

    /// Sends a signal to it and all that it started.
    public func kill(_ signal: Int32) {
        Glibc.kill(-identifier, signal)
        Glibc.kill(identifier, signal)
    }

    /// The path of the program that runs now.
    public static var ownProgram: String {
        var bytes = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &bytes, bytes.count - 1)
        return String(decoding: bytes.prefix(max(count, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
