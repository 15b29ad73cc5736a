import Foundation

/// A known bug, as a patch in `Fixtures/mutants` whose header says what it is and how it is found:
///
///     Mutant: what is wrong
///     Tier: unit | scenario | simulation | crash
///     Killed by: a filter for `swift test`
///     Seeds: seeds of the simulation, tried when those tests notice nothing (may be absent)
///     Build: core | engine | node | full
///
/// Who notices is thereby written down: the tests named are tried first, and of the tree no more than they need is
/// built. When they and the seeds pass, all tests of that part of the tree are built and run, so that a mutant is not
/// said to survive what nobody thought of.
struct Mutant {
    /// The part of the tree in which it is tried.
    enum Build: String, CaseIterable {
        /// The consensus core.
        case core
        /// Logs and machines.
        case engine
        /// Nodes, peers, what they serve, whole groups in simulation; no programs.
        case node
        case full

        /// The test targets of this part; empty for all.
        var tests: [String] {
            switch self {
            case .core: ["CordwoodRaftTests"]
            case .engine: ["CordwoodLogTests", "CordwoodMachineTests", "CordwoodConformanceTests"]
            case .node:
                [
                    "CordwoodNodeTests", "CordwoodEventsTests", "CordwoodRESPTests", "CordwoodServerTests",
                    "CordwoodSimulationTests", "DecoderTests",
                ]
            case .full: []
            }
        }
    }

    struct Malformed: Error, CustomStringConvertible {
        var description: String
    }

    let name: String
    let patch: String
    let what: String
    let tier: String
    /// A filter for `swift test` that takes the tests which must notice.
    let tests: String
    /// Seeds of the simulation that must notice when those tests do not.
    let seeds: [String]
    let build: Build

    private static let tiers: Set<String> = ["unit", "scenario", "simulation", "crash"]

    /// Read once: the tree may change under a run of many minutes.
    init(_ file: URL) throws {
        name = file.deletingPathExtension().lastPathComponent
        patch = try String(contentsOf: file, encoding: .utf8)
        var header: [String: String] = [:]
        for line in patch.split(separator: "\n", omittingEmptySubsequences: false).prefix(while: {
            !$0.hasPrefix("--- ")
        }) {
            guard let colon = line.range(of: ": ") else { continue }
            header[String(line[..<colon.lowerBound])] = String(line[colon.upperBound...])
        }
        guard let what = header["Mutant"], let tier = header["Tier"], Mutant.tiers.contains(tier),
            let tests = header["Killed by"], let build = header["Build"].flatMap(Build.init),
            header["Seeds"] == nil || build == .full
        else { throw Malformed(description: "\(file.lastPathComponent): the header lacks something") }
        self.what = what
        self.tier = tier
        self.tests = tests
        seeds = (header["Seeds"] ?? "").split(separator: " ").map(String.init)
        self.build = build
    }

    static func all(of tree: URL) throws -> [Mutant] {
        let folder = tree.appending(path: "Fixtures/mutants")
        return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "patch" }
            .sorted { $0.lastPathComponent < $1.lastPathComponent }
            .map { try Mutant($0) }
    }
}
