import Foundation
import ProcessTestSupport

/// A `cordwood-node` as a child process, on a port that it chose itself. Ends with its owner, by process id.
final class NodeProcess {
    struct NotReady: Error, CustomStringConvertible {
        let description: String
    }

    /// The port for clients, from the line that the node prints when it serves.
    private(set) var port = 0
    private let process = Process()
    private let scratch: TemporaryFolder

    /// Starts a node on `data` and waits until it serves, unless it is not to. `wrapper` is a command that runs the
    /// node's command.
    init(
        on data: URL, io: String = "auto", options: [String] = [], wrapper: [String] = [], waits: Bool = true
    ) throws {
        scratch = try TemporaryFolder()
        let node = Checkout.program("cordwood-node")
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments =
            ["SWIFT_BACKTRACE=enable=no"] + wrapper
            + [node, "--data", data.path, "--listen", "127.0.0.1:0", "--io", io] + options
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try scratch.openFile("output")
        process.standardError = try scratch.openFile("errors")
        try process.run()
        if waits { try waitUntilReady() }
    }

    deinit { kill() }

    /// What the node has told its operator so far.
    var errors: String { scratch.contents("errors") }

    /// SIGKILL, and the end of the process.
    func kill() {
        guard process.isRunning else { return }
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// The exit code of a node that ends by itself; `nil` when it does not within the time.
    func exitCode(within seconds: Int) -> Int32? {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while process.isRunning {
            if ContinuousClock.now > deadline { return nil }
            usleep(5000)
        }
        return process.terminationStatus
    }

    /// SIGTERM, and the exit code.
    func terminate() -> Int32 {
        process.terminate()
        process.waitUntilExit()
        return process.terminationStatus
    }

    /// `redis-cli` with the given words: its output without the last line end.
    func cli(_ words: String...) throws -> String {
        let run = try Command(["redis-cli", "-p", "\(port)"] + words)
        return run.output.trimmingCharacters(in: .newlines)
    }

    /// Returns when the node serves clients.
    func waitUntilReady() throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            if let match = scratch.contents("output").firstMatch(of: /(?m)^ready\b.*?\bclient=\S*?:(\d+)/) {
                port = Int(match.1) ?? 0
                return
            }
            if !process.isRunning {
                throw NotReady(description: "ended with \(process.terminationStatus):\n\(errors)")
            }
            usleep(5000)
        }
        kill()
        throw NotReady(description: "no ready line within 20 s:\n\(errors)")
    }
}

/// The value behind a key in what `redis-cli` prints of a flat array when its output is no terminal.
func field(_ name: String, of answer: String) -> String? {
    let lines = answer.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    return lines.firstIndex(of: name).flatMap { $0 + 1 < lines.count ? lines[$0 + 1] : nil }
}
