import CordwoodIO
import Glibc

/// A program that runs as a child of this one, and is ended by its process id. It ends with this process, too, where
/// `setpriv` is installed: the kernel kills it when its parent is gone, however that went.
final class ChildProcess {
    /// How it ended.
    enum Ending: Hashable, CustomStringConvertible {
        case exited(Int32)
        case signalled(Int32)

        var description: String {
            switch self {
            case .exited(let code): "exit code \(code)"
            case .signalled(let signal): "signal \(signal)"
            }
        }
    }

    let pid: pid_t
    /// `nil` while it runs, as far as `poll` has looked.
    private(set) var ending: Ending?

    /// Starts a program. Its output goes to the file `output`, emptied before; its errors are added to `errors`.
    init(_ words: [String], output: String, errors: String) throws(TrialError) {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Signals that this program takes as values must act in the child as they always do.
        var nothing = sigset_t()
        sigemptyset(&nothing)
        posix_spawnattr_setsigmask(&attributes, &nothing)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))

        // The backtracer would hold a program that traps up for minutes.
        let variables: [UnsafeMutablePointer<CChar>?] = [strdup("SWIFT_BACKTRACE=enable=no"), strdup(Self.path), nil]
        defer { for variable in variables { free(variable) } }
        let guarded = ChildProcess.guardian + ["/usr/bin/env"] + words
        let arguments: [UnsafeMutablePointer<CChar>?] = guarded.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        let failure = posix_spawn(&pid, guarded[0], &actions, &attributes, arguments, variables)
        if failure != 0 { throw TrialError("cannot start \(words.first ?? ""): errno \(failure)") }
        self.pid = pid
    }

    /// Where programs of the system are found.
    private static let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// What runs a command so that it ends with this process.
    private static let guardian: [String] = {
        let path = "/usr/bin/setpriv"
        return access(path, X_OK) == 0 ? [path, "--pdeathsig", "KILL"] : []
    }()

    deinit { if ending == nil { kill(pid, SIGKILL) } }

    func signal(_ number: Int32) { if ending == nil { kill(pid, number) } }

    /// Looks whether it has ended.
    @discardableResult
    func poll() -> Ending? {
        if ending != nil { return ending }
        var status: Int32 = 0
        guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
        let signal = status & 0x7F
        ending = signal == 0 ? .exited(status >> 8 & 0xFF) : .signalled(signal)
        return ending
    }

    /// Waits until it has ended; `nil` when it has not within the time.
    func untilEnded(_ clock: any Clock, seconds: Double) async -> Ending? {
        await clock.until(seconds: seconds, everyMilliseconds: 5) { [self] in poll() != nil }
        return ending
    }

    /// SIGKILL, and the end of the process.
    func end(_ clock: any Clock) async {
        signal(SIGKILL)
        _ = await untilEnded(clock, seconds: 30)
    }
}

/// Runs a command to its end and returns what it printed, with the errors behind it.
func runCommand(
    _ words: [String], _ clock: any Clock, scratch: String, seconds: Double
) async throws(TrialError) -> (ending: ChildProcess.Ending, output: String) {
    let (output, errors) = (scratch + ".out", scratch + ".err")
    defer { for path in [output, errors] { unlink(path) } }
    unlink(errors)
    let process = try ChildProcess(words, output: output, errors: errors)
    guard let ending = await process.untilEnded(clock, seconds: seconds) else {
        await process.end(clock)
        throw TrialError("\(words.joined(separator: " ")) has not ended within \(Int(seconds)) s")
    }
    return (ending, TrialFiles.text(of: output) + TrialFiles.text(of: errors))
}
