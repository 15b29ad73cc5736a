import Foundation

/// A copy of the tree in which mutants are built one after another. It stays between runs: only files that differ are
/// copied again, so that what was built serves the next run.
///
/// The manifest is that of the tree with a tail that leaves out what is not needed: all but a part of the tree, or all
/// but what the tests stand on that a mutant's header names.
final class MutantWorkspace {
    enum Verdict: CustomStringConvertible {
        case killed(by: String)
        /// Noticed by none of those that its header names.
        case killedUnnamed(by: String)
        case survives
        case doesNotApply
        case doesNotBuild(String)

        var isKilled: Bool {
            switch self {
            case .killed, .killedUnnamed: true
            case .survives, .doesNotApply, .doesNotBuild: false
            }
        }

        var description: String {
            switch self {
            case .killed(let killer): "killed by \(killer)"
            case .killedUnnamed(let killer): "killed by \(killer), WHICH ITS HEADER DOES NOT NAME"
            case .survives: "SURVIVES"
            case .doesNotApply: "DOES NOT APPLY"
            case .doesNotBuild(let error): "DOES NOT BUILD \(error)"
            }
        }
    }

    private let folder: URL
    private let build: Mutant.Build
    /// The tree's own.
    private let manifest: String
    /// The test targets that declare a suite, by its name.
    private var targets: [String: Set<String>] = [:]
    private let files = FileManager.default

    /// Makes the copy below `parent`, or brings it up to date.
    init(of tree: URL, for build: Mutant.Build, in parent: URL) throws {
        folder = parent.appending(path: build.rawValue, directoryHint: .isDirectory)
        self.build = build
        manifest = try String(contentsOf: tree.appending(path: "Package.swift"), encoding: .utf8)
        try files.createDirectory(at: folder, withIntermediateDirectories: true)
        let wanted = try contents(of: tree)
        for path in try contents(of: folder).subtracting(wanted) {
            try files.removeItem(at: folder.appending(path: path))
        }
        for path in wanted.sorted() where path != "Package.swift" {
            try bring(path, from: tree)
            try noteSuites(in: path)
        }
        try writeManifest(for: build.tests)
    }

    /// Files by their paths, without what builds and the history have made.
    private func contents(of top: URL) throws -> Set<String> {
        let walk = files.enumerator(at: top, includingPropertiesForKeys: [.isRegularFileKey])
        let start = top.standardized.path.hasSuffix("/") ? top.standardized.path : top.standardized.path + "/"
        var found: Set<String> = []
        while let item = walk?.nextObject() as? URL {
            if [".build", ".git"].contains(item.lastPathComponent) {
                walk?.skipDescendants()
            } else if try item.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile == true {
                found.insert(String(item.standardized.path.dropFirst(start.count)))
            }
        }
        return found
    }

    private func bring(_ path: String, from tree: URL) throws {
        let source = tree.appending(path: path)
        let target = folder.appending(path: path)
        let bytes = try Data(contentsOf: source)
        if (try? Data(contentsOf: target)) == bytes { return }
        try files.createDirectory(at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
        try bytes.write(to: target)
        if let mode = try files.attributesOfItem(atPath: source.path)[.posixPermissions] {
            try files.setAttributes([.posixPermissions: mode], ofItemAtPath: target.path)
        }
    }

    private func noteSuites(in path: String) throws {
        let parts = path.split(separator: "/")
        guard parts.first == "Tests", parts.count > 2, path.hasSuffix(".swift") else { return }
        let source = try String(contentsOf: folder.appending(path: path), encoding: .utf8)
        for suite in source.matches(of: /\b(?:struct|class) (\w+)/) {
            targets[String(suite.1), default: []].insert(String(parts[1]))
        }
    }

    // MARK: The manifest

    private func writeManifest(for tests: [String]) throws {
        let file = folder.appending(path: "Package.swift")
        let text = manifest + tail(for: tests)
        if (try? String(contentsOf: file, encoding: .utf8)) == text { return }
        try Data(text.utf8).write(to: file)
    }

    /// The test targets that a filter speaks of; those of the whole part when it names something else than suites.
    private func targets(of filter: String) -> [String] {
        var found: Set<String> = []
        for name in filter.split(separator: "|") {
            let parts = name.split(separator: ".").map(String.init)
            if parts.count > 1 || build.tests.contains(parts[0]) {
                found.insert(parts[0])
            } else if let declaring = targets[parts[0]] {
                found.formUnion(declaring)
            } else {
                return build.tests
            }
        }
        return (build.tests.isEmpty ? found : found.intersection(build.tests)).sorted()
    }

    /// What leaves out of the manifest all that these tests do not need.
    private func tail(for tests: [String]) -> String {
        if tests.isEmpty { return "" }
        // Of the kits the core needs its scenarios alone.
        let scenarios = """
            for target in package.targets where target.name == "CordwoodConformance" {
                target.path = "Sources/CordwoodConformance/Scenarios"
                target.dependencies = ["CordwoodBase", "CordwoodRaft"]
            }
            """
        return """

            \(build == .core ? scenarios : "")
            var wanted: Set<String> = \(tests)
            var count = 0
            while count != wanted.count {
                count = wanted.count
                for target in package.targets where wanted.contains(target.name) {
                    for dependency in target.dependencies {
                        if case .byNameItem(let name, _) = dependency { wanted.insert(name) }
                        if case .targetItem(let name, _) = dependency { wanted.insert(name) }
                    }
                }
            }
            package.targets.removeAll { !wanted.contains($0.name) }
            package.products = []

            """
    }

    // MARK: Judging

    /// Puts the bug in, builds, runs the tests that must notice, then the seeds, then all tests, and takes it out.
    func judge(_ mutant: Mutant, seconds: Int) -> Verdict {
        guard patch(mutant) else { return .doesNotApply }
        defer { _ = patch(mutant, isReverse: true) }
        let tests = ["swift", "test", "--skip-build", "--disable-xctest"]
        if let error = buildError(for: targets(of: mutant.tests), seconds) { return .doesNotBuild(error) }
        if let killer = killer(tests + ["--filter", mutant.tests], seconds) { return .killed(by: killer) }
        if let error = buildError(for: build.tests, seconds) { return .doesNotBuild(error) }
        if !mutant.seeds.isEmpty {
            let simulate = [".build/debug/cordwood-crashtest", "simulate"] + mutant.seeds
            if let killer = killer(simulate, seconds) { return .killed(by: killer) }
        }
        return killer(tests, seconds).map { .killedUnnamed(by: $0) } ?? .survives
    }

    /// Builds test targets with all that they stand on; what is wrong when that fails.
    private func buildError(for tests: [String], _ seconds: Int) -> String? {
        do { try writeManifest(for: tests) } catch { return "\(error)" }
        let end = run(["swift", "build", "--build-tests"], seconds: seconds)
        if end.code == 0 { return nil }
        let error = end.output.split(separator: "\n").first { $0.contains("error: ") }
        return error.map(String.init) ?? "within \(seconds) s"
    }

    /// Runs a command that must fail, and names what failed in it; `nil` when nothing did.
    private func killer(_ words: [String], _ seconds: Int) -> String? {
        let end = run(words, seconds: seconds)
        return switch end.code {
        case 0: nil
        case 124: "its time limit"
        default: MutantWorkspace.killer(in: end.output)
        }
    }

    func patch(_ mutant: Mutant, isReverse: Bool = false, isDryRun: Bool = false) -> Bool {
        let file = folder.appending(path: ".build/mutant.patch")
        do {
            try files.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(mutant.patch.utf8).write(to: file)
        } catch { return false }
        let options = (isReverse ? ["-R"] : []) + (isDryRun ? ["--dry-run"] : [])
        let words = ["patch", "-p1", "--silent", "--force", "--no-backup-if-mismatch", "-i", file.path]
        return run(words + options, seconds: 30).code == 0
    }

    /// The test that noticed, from the output of a failed run.
    private static func killer(in output: String) -> String {
        for line in output.split(separator: "\n") {
            if let mark = line.range(of: "✘ Test ") {
                let rest = line[mark.upperBound...]
                if let end = rest.range(of: " recorded an issue") ?? rest.range(of: " failed after") {
                    return String(rest[..<end.lowerBound])
                }
            }
            if line.hasPrefix("FAIL seed ") { return String(line.dropFirst(5).prefix(100)) }
            if let mark = line.range(of: "broken invariant: ") ?? line.range(of: "Fatal error: ") {
                return String(line[mark.lowerBound...].prefix(100))
            }
        }
        return "the end of the test process"
    }

    /// Runs a command in the workspace to its end, or to its time limit (124). Output goes to a file: a process that
    /// was left behind cannot hold it open against us.
    private func run(_ words: [String], seconds: Int) -> (code: Int32, output: String) {
        let log = folder.appending(path: ".build/mutant.log")
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["SWIFT_BACKTRACE=enable=no", "timeout", "--kill-after=5", "\(seconds)"] + words
        process.currentDirectoryURL = folder
        process.standardInput = FileHandle.nullDevice
        do {
            try files.createDirectory(at: log.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data().write(to: log)
            let handle = try FileHandle(forWritingTo: log)
            process.standardOutput = handle
            process.standardError = handle
            try process.run()
        } catch { return (127, "\(error)") }
        process.waitUntilExit()
        let output = (try? Data(contentsOf: log)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        return (process.terminationStatus, output)
    }
}
