import CordwoodBase
import CordwoodPlatform
import CordwoodSimulation
import Foundation

/// `simulate`: whole groups on virtual time, one seed after another, until the first that breaks a promise.
struct SimulateCommand: Command {
    static let name = "simulate"
    static let synopsis = """
        simulate [--seeds 100] [--start 1] [--nodes 3] [--twice 0] [--all 0] [--verbose 0] [SEED...]
                                                           groups of nodes on virtual time; --twice 1 runs each
                                                           seed twice and compares the traces, --all 1 goes on
                                                           behind a seed that fails, --verbose 1 shows what the
                                                           nodes say
        """

    private static let progressSeeds = 1000

    /// 0 when all promises held, 1 when a seed broke one, 2 for a wrong call.
    static func run(_ arguments: [String]) -> Int32 {
        let defaults = ["seeds": 100, "start": 1, "nodes": 3, "twice": 0, "all": 0, "verbose": 0]
        guard let options = NumberOptions(arguments, defaults: defaults), let named = seeds(options.words),
            (1...7).contains(options["nodes"]), options["twice"] <= 1
        else {
            complain("usage: cordwood-crashtest \(synopsis)")
            return 2
        }
        FreedMemory.keep()
        var simulation = Simulation.Options()
        simulation.nodes = options["nodes"]
        if options["verbose"] > 0 {
            simulation.listener = { nanoseconds, life, event in
                let fields = event.fields.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
                print("\(nanoseconds / 1_000_000) ms \(life): \(event.subsystem): \(event.message) \(fields)")
            }
        }
        var table = Table()
        let began = Date()
        let seeds = named.isEmpty ? Array(options["start"]..<options["start"] + options["seeds"]) : named
        for seed in seeds {
            let report = Simulation(seed: UInt64(seed), options: simulation).run()
            table.add(report)
            var failure = report.violation.map { "\($0)" }
            if options["twice"] == 1, failure == nil {
                let second = Simulation(seed: UInt64(seed), options: simulation).run()
                if second.traceHash != report.traceHash {
                    failure = "two runs differ, \(report.traceHash) and \(second.traceHash)"
                }
            }
            if let failure {
                table.failed.append(seed)
                print("FAIL seed \(seed): \(failure)")
                print("faults: " + report.faults.map(\.rawValue).sorted().joined(separator: " "))
                print("setup: \(report.setup)\(report.isFair ? "" : ", unfair")")
                print("again: cordwood-crashtest simulate --nodes \(options["nodes"]) --start \(seed) --seeds 1")
                fflush(nil)
                if options["all"] == 0 { return 1 }
            }
            if table.seeds % progressSeeds == 0 {
                print("\(table.seeds) seeds, up to \(seed), in \(Int(Date().timeIntervalSince(began))) s")
                fflush(nil)
            }
        }
        table.finish(seconds: Date().timeIntervalSince(began))
        return table.failed.isEmpty ? 0 : 1
    }

    /// Seeds that are named one by one; `nil` when one is no number.
    private static func seeds(_ words: [String]) -> [Int]? {
        let seeds = words.compactMap { Int($0) }
        return seeds.count == words.count && seeds.allSatisfy { $0 >= 0 } ? seeds : nil
    }

    /// What all seeds together came to.
    private struct Table {
        var seeds = 0
        var failed: [Int] = []
        private var unfair = 0
        private var totals = (acknowledged: 0, unknown: 0, denied: 0, reads: 0)
        private var events = (elections: 0, configurations: 0, recoveries: 0)
        private var virtualSeconds = 0.0
        private var faults: [FaultKind: Int] = [:]
        private var reached: [Marker: Int] = [:]

        mutating func add(_ report: SimulationReport) {
            seeds += 1
            if !report.isFair { unfair += 1 }
            totals.acknowledged += report.acknowledged
            totals.unknown += report.unknown
            totals.denied += report.denied
            totals.reads += report.reads
            events.elections += report.elections
            events.configurations += report.configurations
            events.recoveries += report.recoveries
            virtualSeconds += Double(report.virtualNanoseconds) / 1e9
            for fault in report.faults { faults[fault, default: 0] += 1 }
            for marker in report.markers { reached[marker, default: 0] += 1 }
        }

        func finish(seconds: Double) {
            print(
                "\(seeds) seeds in \(Int(seconds)) s (\(Int(Double(seeds) * 60 / max(seconds, 0.001))) a minute), "
                    + "\(Int(virtualSeconds)) virtual seconds; \(unfair) with unfair faults")
            print(
                "writes: \(totals.acknowledged) acknowledged, \(totals.unknown) unknown, \(totals.denied) denied; "
                    + "reads: \(totals.reads)")
            print(
                "elections: \(events.elections); configurations: \(events.configurations); "
                    + "recoveries compared: \(events.recoveries)")
            print("faults switched on, in seeds:")
            print("  " + FaultKind.allCases.map { "\($0.rawValue) \(faults[$0] ?? 0)" }.joined(separator: ", "))
            print("rare states:")
            for marker in Marker.allCases {
                print("  \(marker.rawValue): " + (reached[marker].map { "in \($0) seeds" } ?? "NEVER REACHED"))
            }
            print(failed.isEmpty ? "every promise was kept" : "FAILED seeds: \(failed)")
        }
    }
}
