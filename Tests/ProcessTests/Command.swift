import Foundation

/// Where the sources are, and where the programs that were built with these tests are.
enum Checkout {
    static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// A program of the package, beside the running test bundle.
    static func program(_ name: String) -> String {
        URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().appending(path: name).path
    }
}

/// A folder that goes with its owner.
final class TemporaryFolder {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appending(path: "cordwood-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }
}

/// A command that has run to its end, or to its time limit (exit code 124). Its output went to a file: a process that
/// it left behind cannot hold the test up.
struct Command {
    let exitCode: Int32
    /// Standard output and standard error.
    let output: String

    init(_ words: String..., in folder: URL = Checkout.root, seconds: Int = 30) throws {
        try self.init(words, in: folder, seconds: seconds)
    }

    init(_ words: [String], in folder: URL = Checkout.root, seconds: Int = 30) throws {
        let scratch = try TemporaryFolder()
        let outputFile = scratch.url.appending(path: "output")
        try Data().write(to: outputFile)
        let handle = try FileHandle(forWritingTo: outputFile)
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["SWIFT_BACKTRACE=enable=no", "timeout", "--kill-after=5", "\(seconds)"] + words
        process.currentDirectoryURL = folder
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        process.waitUntilExit()
        try handle.close()
        exitCode = process.terminationStatus
        output = try String(contentsOf: outputFile, encoding: .utf8)
    }

    /// True when a command of that name can be run here.
    static func exists(_ name: String) -> Bool { (try? Command("which", name))?.exitCode == 0 }
}
