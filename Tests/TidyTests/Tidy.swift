import Foundation
import Testing

/// `tools/tidy` as a process, on this tree or on a small one made for a test.
struct Tidy {
    let exitCode: Int32
    /// One line a finding: `path:line: rule: message`.
    let findings: [String]

    static let checkout = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Runs `rules`, all of them when empty, on the tree at `root`.
    init(_ root: URL, rules: [String] = []) throws {
        let output = try TemporaryFolder()
        let outputFile = output.url.appending(path: "output")
        try Data().write(to: outputFile)
        let handle = try FileHandle(forWritingTo: outputFile)
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments =
            ["timeout", "120", "python3", Tidy.checkout.appending(path: "tools/tidy").path]
            + rules.flatMap { ["--rule", $0] } + [root.path]
        process.standardOutput = handle
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try handle.close()
        exitCode = process.terminationStatus
        findings = try String(contentsOf: outputFile, encoding: .utf8).split(separator: "\n").map(String.init)
    }

    /// Runs one rule on a tree of the given files, by path.
    init(_ rule: String, on files: [String: String]) throws {
        let tree = try TemporaryFolder()
        for (path, contents) in files {
            let file = tree.url.appending(path: path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(contents.utf8).write(to: file)
        }
        try self.init(tree.url, rules: [rule])
    }
}

/// A folder that goes with its owner.
final class TemporaryFolder {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appending(path: "cordwood-tidy-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }
}
