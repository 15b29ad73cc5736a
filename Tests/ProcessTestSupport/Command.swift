public import Foundation

/// A command that has run to its end, or to its time limit (exit code 124). Its output went to files: a process that it
/// left behind cannot hold the test up.
public struct Command {
    public let exitCode: Int32
    public let output: String
    public let errors: String

    /// Everything that was said, for the message of an expectation.
    public var said: String { "exit code \(exitCode)\n\(output)\(errors)" }

    public init(_ words: String..., in folder: URL = Checkout.root, seconds: Int = 30) throws {
        try self.init(words, in: folder, seconds: seconds)
    }

    public init(_ words: [String], in folder: URL = Checkout.root, seconds: Int = 30) throws {
        let scratch = try TemporaryFolder()
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["SWIFT_BACKTRACE=enable=no", "timeout", "--kill-after=5", "\(seconds)"] + words
        process.currentDirectoryURL = folder
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try scratch.openFile("output")
        process.standardError = try scratch.openFile("errors")
        try process.run()
        process.waitUntilExit()
        exitCode = process.terminationStatus
        output = scratch.contents("output")
        errors = scratch.contents("errors")
    }

    /// True when a command of that name can be run here.
    public static func exists(_ name: String) -> Bool { (try? Command("which", name))?.exitCode == 0 }
}

extension TemporaryFolder {
    /// A new file for the output of a process.
    public func openFile(_ name: String) throws -> FileHandle {
        try write("", to: name)
        return try FileHandle(forWritingTo: url.appending(path: name))
    }

    /// What a process has written so far.
    public func contents(_ name: String) -> String {
        (try? Data(contentsOf: url.appending(path: name))).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
}
