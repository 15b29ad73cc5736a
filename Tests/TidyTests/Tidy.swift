import Foundation
import ProcessTestSupport

/// `tools/tidy` as a process, on this tree or on a small one made for a test.
struct Tidy {
    let exitCode: Int32
    /// One line a finding: `path:line: rule: message`.
    let findings: [String]

    /// Runs `rules`, all of them when empty, on the tree at `root`.
    init(_ root: URL, rules: [String] = []) throws {
        let run = try Command(["tools/tidy"] + rules.flatMap { ["--rule", $0] } + [root.path], seconds: 120)
        exitCode = run.exitCode
        findings = run.output.split(separator: "\n").map(String.init)
    }

    /// Runs one rule on a tree of the given files, by path.
    init(_ rule: String, on files: [String: String]) throws {
        let tree = try TemporaryFolder()
        for (path, contents) in files { try tree.write(contents, to: path) }
        try self.init(tree.url, rules: [rule])
    }
}
