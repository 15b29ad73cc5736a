import CordwoodIO
import CordwoodOptions
import CordwoodPlatform
import CordwoodTrials
import Foundation

/// What the subcommands that run real processes have in common: their options, where the nodes' directories are made
/// and kept, and how a run ends.
struct TrialProgram {
    private static let seed = Option<Int?>.integer(
        "seed", unset: "drawn, and printed", in: 0...Int.max, "what faults and payloads are drawn from")
    private static let nodes = Option<Int>.integer("nodes", default: 3, in: 1...5, "voters at the start")
    private static let keep = Option<String?>.path(
        "keep", unset: "a temporary folder, removed after a clean run",
        "folder for the directories and logs of the nodes, kept whatever happens")
    private static let node = Option<String?>.path(
        "node", unset: "the one beside this program", "the cordwood-node to run")

    private static let endingSignals = [SIGINT, SIGTERM]

    private let table: OptionTable
    private let rate: Option<Int>

    /// - Parameter rate: how many appends a second are tried where nothing else is said.
    init(_ name: String, _ summary: String, rate: Int, _ options: [OptionDeclaration]) {
        self.rate = Option<Int>.integer(
            "rate", default: rate, in: 1...100_000, "appends a second that the writers try at most")
        let common = [self.rate.declaration, Self.seed.declaration, Self.nodes.declaration]
        table = OptionTable(
            program: "cordwood-crashtest \(name)", summary: summary, version: "cordwood-crashtest 1.0",
            options: options + common + [Self.keep.declaration, Self.node.declaration])
    }

    /// Runs a trial on a loop: 0 when it found nothing, 1 when it found a violation, 2 for a wrong call.
    func run(_ arguments: [String], _ trial: @escaping @Sendable (OptionValues) -> any GroupTrial) -> Int32 {
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
    private static func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

    private func start(
        _ values: OptionValues, _ arguments: [String], _ trial: @escaping @Sendable (OptionValues) -> any GroupTrial
    ) -> Int32 {
        let seed = values[Self.seed] ?? Int(UInt32.random(in: 0 ... .max))
        let temporary = FileManager.default.temporaryDirectory.appending(path: "cordwood-trial-\(UUID().uuidString)")
        let folder = values[Self.keep].map { URL(filePath: $0) } ?? temporary
        let here = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        let settings = TrialSettings(
            seed: UInt64(seed), nodes: values[Self.nodes], rate: values[rate], folder: folder.path,
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
                let stage = try await TrialStage(trial(values), settings, seams, say: Self.say)
                let signals = try platform.signals(Self.endingSignals)
                seams.scheduler.spawn("signals") { if (try? await signals.next()) != nil { stage.interrupt() } }
                return await stage.run()
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
