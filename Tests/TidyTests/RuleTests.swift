import Testing

/// Each rule fires on a small tree that breaks it, names the line, and is silent on one that does not.
@Suite("A rule of tidy")
struct RuleTests {
    /// A tree, and what its rule must say about it: `nil` for nothing.
    struct Case: Sendable, CustomTestStringConvertible {
        enum Tree: Sendable {
            /// One source in a room above the seams.
            case source(String)
            /// Contents by path.
            case files([String: String])
        }

        let rule: String
        let description: String
        let tree: Tree
        let finding: String?

        init(_ rule: String, _ description: String, _ source: String, says finding: String?) {
            self.init(rule, description, .source(source + "\n"), says: finding)
        }

        init(_ rule: String, _ description: String, _ files: [String: String], says finding: String?) {
            self.init(rule, description, .files(files), says: finding)
        }

        private init(_ rule: String, _ description: String, _ tree: Tree, says finding: String?) {
            self.rule = rule
            self.description = description
            self.tree = tree
            self.finding = finding
        }

        var testDescription: String { "\(rule): \(description)" }

        func judge(_ findings: [String]) {
            if let finding {
                #expect(findings.contains { $0.contains(finding) }, "\(testDescription): \(findings)")
            } else {
                #expect(findings == [], "\(testDescription)")
            }
        }
    }

    static let cases = imports + seams + headers + words + hygiene + links + trials

    /// All sources of a rule in one tree, side by side.
    @Test("fires on the sources that break it, and on no other", arguments: Set(cases.map(\.rule)).sorted())
    func firesOnSources(_ rule: String) throws {
        var files: [String: String] = [:]
        var examples: [(path: String, example: Case)] = []
        for example in RuleTests.cases where example.rule == rule {
            guard case .source(let source) = example.tree else { continue }
            let path = "Sources/CordwoodLog/File\(examples.count).swift"
            files[path] = source
            examples.append((path, example))
        }
        let tidy = try Tidy(rule, on: files)
        for (path, example) in examples { example.judge(tidy.findings.filter { $0.hasPrefix(path + ":") }) }
    }

    @Test("fires on a tree that breaks it, and on no other", arguments: cases)
    func firesOnTrees(_ example: Case) throws {
        guard case .files(let files) = example.tree else { return }
        let tidy = try Tidy(example.rule, on: files)
        example.judge(tidy.findings)
        #expect(tidy.exitCode == (example.finding == nil ? 0 : 1))
    }

    @Test("about format fires on what swift format would change")
    func formatFires() throws {
        let files = [".swift-format": #"{"version": 1}"#, "Sources/CordwoodLog/File.swift": "let  a=1\n"]
        let tidy = try Tidy("format", on: files)
        #expect(tidy.exitCode == 1)
        #expect(tidy.findings.contains { $0.hasPrefix("Sources/CordwoodLog/File.swift:1: format: ") })
    }

    static let imports = [
        Case(
            "imports", "an arrow that points up", "import CordwoodNode", says: ".swift:1: imports: CordwoodLog must"
        ),
        Case("imports", "an arrow that points down", "public import CordwoodRaft", says: nil),
        Case("imports", "Foundation", "import Foundation", says: "must not import Foundation"),
        Case("imports", "the C library", "internal import Glibc", says: "must not import Glibc"),
        Case("imports", "one declaration of a module", "import struct Foundation.Data", says: "Foundation"),
        Case("imports", "an import in a comment", "// import Foundation", says: nil),
        Case(
            "imports", "a dependency that Package.swift should not declare",
            ["Package.swift": "let targets = [\n    room(\"CordwoodRaft\", [\n        \"CordwoodIO\",\n    ])\n]\n"],
            says: "Package.swift:2: imports: CordwoodRaft must not depend on CordwoodIO"),
        Case(
            "imports", "a test that imports what it does not declare",
            [
                "Package.swift": "room(\"CordwoodBase\", [])\ntests(\"BaseTests\", [])\n",
                "Tests/BaseTests/File.swift": "import CordwoodBase\n",
            ],
            says: "BaseTests does not declare CordwoodBase"),
        Case(
            "imports", "a folder that is no room", ["Sources/Attic/File.swift": "import CordwoodBase\n"],
            says: "Attic is no room"),
    ]

    static let seams = [
        Case("seams", "an unstructured task", "Task { await work() }", says: "scheduler.spawn"),
        Case("seams", "a task with a priority", "Task(priority: .low) { await work() }", says: "scheduler.spawn"),
        Case("seams", "a detached task", "let a = Task.detached(operation: work)", says: "scheduler.spawn"),
        Case("seams", "a dispatch queue", "DispatchQueue.main.async {}", says: "dispatch"),
        Case("seams", "a clock", "let start = ContinuousClock.now", says: "seam `Clock`"),
        Case("seams", "randomness", "let a = Int.random(in: 0..<6)", says: "seam `RandomSource`"),
        Case("seams", "randomness from a given source", "let a = Int.random(in: 0..<6, using: &seeded)", says: nil),
        Case("seams", "the environment", "let home = getenv(name)", says: "passes in"),
        Case("seams", "output", "print(1)", says: "log"),
        Case("seams", "a trap", "let a = try! work()", says: "typed error"),
        Case("seams", "the seeded hash", "let slot = key.hashValue % 16", says: "Hasher"),
        Case("seams", "words in strings and comments", "let text = \"Task { print(1) }\"  // Date", says: nil),
        Case(
            "seams", "a string inside a string", #"let text = "\(names.map { "\($0) try! " })""#, says: nil),
        Case(
            "seams", "a task behind the seams", ["Sources/CordwoodPlatform/File.swift": "Task { await work() }\n"],
            says: nil),
        Case(
            "seams", "a clock in a program", ["Sources/cordwood-bench/main.swift": "let start = ContinuousClock.now\n"],
            says: nil),
    ]

    static let headers = [
        Case("headers", "a long file without a comment", lines(120), says: "120 lines open with 0 comment lines"),
        Case("headers", "a long file with a comment", "import CordwoodBase\n\n/// States.\n" + lines(120), says: nil),
        Case("headers", "a central file with one line", "/// States.\n" + lines(310), says: "at least 3 are due"),
        Case("headers", "a short file", lines(40), says: nil),
        Case("headers", "an undocumented public type", "@frozen\npublic struct Batch {}", says: "Batch has no"),
        Case("headers", "a documented public type", "/// A unit.\n@frozen\npublic struct Batch {}", says: nil),
    ]

    static let words = [
        Case("words", "a seed name without a type", ["docs/glossary.md": "# Glossary\n"], says: "no type is called"),
        Case(
            "words", "a seed name without a line", ["docs/glossary.md": "# Glossary\n"], says: "`SegmentedLogStore` has"
        ),
        Case("words", "a second word for the floor", "let safePoint = 1", says: "say floor"),
        Case("words", "an abbreviated unit", "let timeoutMs = 1", says: "unit spelled out"),
        Case("words", "an identifier in the wrong case", "let partitionId = 1", says: "say ID"),
        Case("words", "the right words", "let durableIndex = 1, timeoutNanoseconds = 2, partitionID = 3", says: nil),
    ]

    static let hygiene = [
        Case("hygiene", "unfinished work", "// TO" + "DO: finish", says: "unfinished work"),
        Case("hygiene", "an admission", "fatalError(\"not " + "implemented\")", says: "unfinished work"),
        Case("hygiene", "a path of one machine", "let path = \"/ho" + "me/ada/data\"", says: "a path of one machine"),
        Case("hygiene", "a long line", "// " + String(repeating: "wood ", count: 24) + "end", says: "126 columns"),
        Case("hygiene", "a long file", lines(701), says: "701 lines, at most 700"),
        Case("hygiene", "a space at the end", "let a = 1 ", says: "space at the end"),
        Case("hygiene", "a tab", "\tlet a = 1", says: "a tab"),
        Case("hygiene", "a control character", "let a = \"\u{1}\"", says: "control characters"),
        Case("hygiene", "a reference out of the tree", "// See ../sha" + "red for more.", says: "out of the tree"),
        Case("hygiene", "no newline at the end", ["Sources/CordwoodLog/File.swift": "let a = 1"], says: "no newline"),
        Case("hygiene", "an unsafe flag", ["Package.swift": "unsafe" + "Flags([])\n"], says: "a flag"),
        Case(
            "hygiene", "a skipped test", ["Tests/LogTests/File.swift": ".disab" + "led(\"later\")\n"], says: "not run"),
        Case("hygiene", "a clean file", "let a = 1", says: nil),
    ]

    static let links = [
        Case(
            "links", "a link to nowhere", ["docs/a.md": "See [b](b.md).\n"],
            says: "docs/a.md:1: links: there is no b.md"),
        Case("links", "a link to a missing heading", ["docs/a.md": "# One\n[two](#two)\n"], says: "no heading #two"),
        Case(
            "links", "links that lead somewhere",
            ["docs/a.md": "# One two\n[b](../b.md) [1](#one-two)\n", "b.md": "b\n"], says: nil),
        Case("links", "a page named in a source", "/// Stated in docs/nowhere.md.", says: "no docs/nowhere.md"),
        Case("links", "an example of a link", ["docs/a.md": "Write `[b](b.md)`.\n"], says: nil),
    ]

    private static let someTests = """
        struct SomeTests {
            @Test("7: a case") func nasty() {}
            @Test func holds() {}
        }

        """

    static let trials = [
        Case(
            "trials", "a suite that is not there", ["docs/testing.md": "`OtherTests`\n"],
            says: "docs/testing.md:1: trials: there is no suite OtherTests"),
        Case(
            "trials", "a test that is not there",
            ["docs/testing.md": "`SomeTests.breaks`\n", "Tests/RoomTests/SomeTests.swift": someTests],
            says: "there is no test breaks in SomeTests"),
        Case(
            "trials", "a numbered test that is not there",
            ["docs/testing.md": "`SomeTests` 7, 8\n", "Tests/RoomTests/SomeTests.swift": someTests],
            says: "there is no test 8 in SomeTests"),
        Case(
            "trials", "tests that are there",
            ["docs/testing.md": "`SomeTests` 7, `SomeTests.holds`\n", "Tests/RoomTests/SomeTests.swift": someTests],
            says: nil),
        Case(
            "trials", "a fault that nothing shows", ["docs/testing.md": "| 1 | fire | nothing |\n"],
            says: "fault 1 is shown by nothing"),
        Case(
            "trials", "a command that is not there", ["docs/testing.md": "| 1 | fire | `burn` |\n"],
            says: "there is no burn"),
        Case(
            "trials", "a table with a hole", ["docs/testing.md": "| 2 | fire | `SomeTests` |\n"], says: "lacks [1, 3,"),
    ]

    private static func lines(_ count: Int) -> String {
        (1...count).map { "let a\($0) = \($0)" }.joined(separator: "\n")
    }
}
