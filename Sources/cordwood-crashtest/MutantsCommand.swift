import Foundation

/// `mutants`: puts known bugs back, one at a time, in a copy of the tree, and sees that the tests notice.
struct MutantsCommand: Command {
    static let name = "mutants"
    static let synopsis = """
        mutants [--tree .] [--limit 600] [--list] [--check] [--chosen-by COMMIT --count 3] [NAME...]
                                                           put known bugs back, one at a time, and see the tests
                                                           notice; NAME is a part of a mutant's name
        """

    /// 0 when every mutant was killed, 1 when one survived, did not apply or did not build, 2 for a wrong call.
    static func run(_ arguments: [String]) -> Int32 {
        guard let options = Options(arguments) else {
            complain("usage: cordwood-crashtest \(synopsis)")
            return 2
        }
        let mutants: [Mutant]
        do { mutants = try options.choose(among: try Mutant.all(of: options.tree)) } catch {
            complain("\(error)")
            return 2
        }
        guard !mutants.isEmpty else {
            complain("no such mutants below \(options.tree.path)")
            return 2
        }
        if options.isList {
            for mutant in mutants { print("\(mutant.name): \(mutant.what) (\(mutant.tests))") }
            return 0
        }
        do {
            return try options.isCheck ? check(mutants, options) : judge(mutants, options)
        } catch {
            complain("\(error)")
            return 1
        }
    }

    /// Whether every patch applies to the tree as it is.
    private static func check(_ mutants: [Mutant], _ options: Options) throws -> Int32 {
        let workspace = try MutantWorkspace(of: options.tree, for: .full, in: options.folder.appending(path: "check"))
        var failures = 0
        for mutant in mutants where !workspace.patch(mutant, isDryRun: true) {
            print("\(mutant.name): DOES NOT APPLY")
            failures += 1
        }
        print("\(mutants.count) mutants, \(mutants.count - failures) apply")
        return failures == 0 ? 0 : 1
    }

    private static func judge(_ mutants: [Mutant], _ options: Options) throws -> Int32 {
        var workspaces: [Mutant.Build: MutantWorkspace] = [:]
        var killed = 0
        // Those of one workspace one behind the other: what the first has built serves the rest.
        for mutant in mutants.sorted(by: { ($0.build.rawValue, $0.name) < ($1.build.rawValue, $1.name) }) {
            let began = Date()
            let workspace =
                try workspaces[mutant.build]
                ?? MutantWorkspace(of: options.tree, for: mutant.build, in: options.folder)
            workspaces[mutant.build] = workspace
            let verdict = workspace.judge(mutant, seconds: options.limit)
            if verdict.isKilled { killed += 1 }
            print("\(mutant.name): \(verdict) (\(Int(Date().timeIntervalSince(began))) s)")
            fflush(nil)
        }
        print("\(mutants.count) mutants, \(killed) killed")
        return killed == mutants.count ? 0 : 1
    }

    private struct Options {
        var tree = URL(filePath: FileManager.default.currentDirectoryPath, directoryHint: .isDirectory)
        var limit = 600
        var isList = false
        var isCheck = false
        var commit: String?
        var count = 3
        var names: [String] = []

        /// Where copies of the tree are kept from one run to the next, so that the next builds little.
        var folder: URL { tree.appending(path: ".build/mutants") }

        init?(_ arguments: [String]) {
            var rest = arguments[...]
            while let argument = rest.popFirst() {
                switch argument {
                case "--list": isList = true
                case "--check": isCheck = true
                case "--tree":
                    guard let path = rest.popFirst() else { return nil }
                    tree = URL(filePath: path, directoryHint: .isDirectory)
                case "--limit":
                    guard let seconds = rest.popFirst().flatMap({ Int($0) }), seconds > 0 else { return nil }
                    limit = seconds
                case "--count":
                    guard let number = rest.popFirst().flatMap({ Int($0) }), number > 0 else { return nil }
                    count = number
                case "--chosen-by":
                    guard let hash = rest.popFirst(), !hash.isEmpty else { return nil }
                    commit = hash
                default:
                    if argument.hasPrefix("-") { return nil }
                    names.append(argument)
                }
            }
        }

        /// Those that were named, or `count` that the commit's hash decides on: each commit tries others, and anyone
        /// can try the same again. They share a workspace, so that no more than one is built.
        func choose(among mutants: [Mutant]) throws -> [Mutant] {
            var chosen = mutants.filter { mutant in names.isEmpty || names.contains { mutant.name.contains($0) } }
            guard let commit else { return chosen }
            var state = commit.utf8.reduce(14_695_981_039_346_656_037 as UInt64) {
                ($0 ^ UInt64($1)) &* 1_099_511_628_211
            }
            var drawn: [Mutant] = []
            while drawn.count < count, !chosen.isEmpty {
                state = (state ^ (state >> 29)) &* 0xBF58_476D_1CE4_E5B9
                let mutant = chosen.remove(at: Int((state >> 33) % UInt64(chosen.count)))
                if drawn.isEmpty { chosen.removeAll { $0.build != mutant.build } }
                drawn.append(mutant)
            }
            return drawn
        }
    }
}
