import CordwoodIO
import CordwoodOptions
import CordwoodPlatform
import CordwoodTrials
import Foundation

/// What the subcommands that run real processes have in common: their options, where the nodes' directories are made
/// and kept, and how a run ends.
struct TrialProgram {
    static let seed = Option<Int?>.integer(
        "seed", unset: "drawn, and printed", in: 0...Int.max, "what faults and payloads are drawn from")
    static let nodes = Option<Int>.integer("nodes", default: 3, in: 1...5, "voters at the start")
    static let keep = Option<String?>.path(
        "keep", unset: "a temporary folder, removed after a clean run",
        "folder for the directories and logs of the nodes, kept whatever happens")
    static let node = Option<String?>.path("node", unset: "the one beside this program", "the cordwood-node to run")

    private static let common = [seed.declaration, nodes.declaration, keep.declaration, node.declaration]

    /// A run, ready to begin.
    struct Run: Sendable {
        var seed: UInt64
        var nodes: Int
        var folder: String
        var nodeProgram: String
        var inspectProgram: String
    }

    /// What a run does when the program is asked to end.
    final class Interruption {
        var act: (() -> Void)?
    }

    typealias Trial = @Sendable (Run, OptionValues, Seams, Interruption) async throws -> Violation?

    private static let endingSignals = [SIGINT, SIGTERM]

    let table: OptionTable

    init(_ name: String, _ summary: String, _ options: [OptionDeclaration]) {
        table = OptionTable(
            program: "cordwood-crashtest \(name)", summary: summary, version: "cordwood-crashtest 1.0",
            options: options + Self.common)
    }

    /// Runs `trial` on a loop: 0 when it found nothing, 1 when it found a violation, 2 for a wrong call.
    func run(_ arguments: [String], _ trial: @escaping Trial) -> Int32 {
        do throws(OptionError) {
            switch try table.invocation(arguments: arguments) {
            case .help: print(table.helpText(), terminator: "")
            case .version: print(table.version)
            case .generate(let text): print(table.generated(text), terminator: "")
            case .check, .printConfiguration: break
            case .run(_, _, let values): return start(values, arguments, trial)
            }
            return 0
        } catch {
            complain("\(error)")
            return 2
        }
    }

    /// Each line leaves at once, so that whoever watches a long run sees where it is.
    static func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

    private func start(_ values: OptionValues, _ arguments: [String], _ trial: @escaping Trial) -> Int32 {
        let seed = values[Self.seed] ?? Int(UInt32.random(in: 0 ... .max))
        let temporary = FileManager.default.temporaryDirectory.appending(path: "cordwood-trial-\(UUID().uuidString)")
        let folder = values[Self.keep].map { URL(filePath: $0) } ?? temporary
        let here = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        let run = Run(
            seed: UInt64(seed), nodes: values[Self.nodes], folder: folder.path,
            nodeProgram: values[Self.node] ?? here.appending(path: "cordwood-node").path,
            inspectProgram: here.appending(path: "cordwood-inspect").path)
        Self.say("seed \(seed)")
        var failure: String?
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try Signals.block(Self.endingSignals)
            let platform = try Platform.start()
            defer { platform.shutdown() }
            let violation = try platform.runToEnd { seams in
                let interruption = Interruption()
                let signals = try platform.signals(Self.endingSignals)
                seams.scheduler.spawn("signals") { if (try? await signals.next()) != nil { interruption.act?() } }
                return try await trial(run, values, seams, interruption)
            }
            failure = violation.map { "FAIL \($0)" }
        } catch {
            failure = "FAIL the trial could not go on: \(error)"
        }
        guard let failure else {
            if values[Self.keep] == nil { try? FileManager.default.removeItem(at: folder) }
            return 0
        }
        let again = arguments.contains("--seed") ? arguments : arguments + ["--seed", "\(seed)"]
        Self.say("\(failure)\nkept: \(folder.path)\nagain: \(table.program) \(again.joined(separator: " "))")
        return 1
    }
}
