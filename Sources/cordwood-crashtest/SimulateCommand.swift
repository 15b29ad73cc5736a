import CordwoodBase
import CordwoodSimulation
import Foundation

/// `simulate`: whole groups on virtual time, one seed after another, until the first that breaks a promise.
struct SimulateCommand: Command {
    static let name = "simulate"
    static let synopsis = """
        simulate [--seeds 100] [--start 1] [--nodes 3] [--twice 0] [--verbose 0]
                                                           groups of nodes on virtual time; --twice 1 runs each
                                                           seed twice and compares the traces, --verbose 1 shows
                                                           what the nodes say
        """

    /// 0 when all promises held, 1 at the first seed that broke one, 2 for a wrong call.
    static func run(_ arguments: [String]) -> Int32 {
        let defaults = ["seeds": 100, "start": 1, "nodes": 3, "twice": 0, "verbose": 0]
        guard let options = NumberOptions(arguments, defaults: defaults), options.words.isEmpty,
            (1...7).contains(options["nodes"]), options["twice"] <= 1
        else {
            complain("usage: cordwood-crashtest \(synopsis)")
            return 2
        }
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
        for seed in options["start"]..<options["start"] + options["seeds"] {
            let report = Simulation(seed: UInt64(seed), options: simulation).run()
            table.add(report)
            if let violation = report.violation {
                print("FAIL seed \(seed): \(violation)")
                return again(seed, options, report)
            }
            if options["twice"] == 1 {
                let second = Simulation(seed: UInt64(seed), options: simulation).run()
                if second.traceHash != report.traceHash {
                    print("FAIL seed \(seed): two runs differ, \(report.traceHash) and \(second.traceHash)")
                    return again(seed, options, report)
                }
            }
        }
        table.finish(seconds: Date().timeIntervalSince(began))
        return 0
    }

    private static func again(_ seed: Int, _ options: NumberOptions, _ report: SimulationReport) -> Int32 {
        print("faults: " + report.faults.map(\.rawValue).sorted().joined(separator: " "))
        print("again: cordwood-crashtest simulate --nodes \(options["nodes"]) --start \(seed) --seeds 1")
        return 1
    }

    /// What all seeds together came to.
    private struct Table {
        private var seeds = 0
        private var totals = (acknowledged: 0, unknown: 0, denied: 0, reads: 0, elections: 0)
        private var virtualSeconds = 0.0
        private var reached: [Marker: Int] = [:]

        mutating func add(_ report: SimulationReport) {
            seeds += 1
            totals.acknowledged += report.acknowledged
            totals.unknown += report.unknown
            totals.denied += report.denied
            totals.reads += report.reads
            totals.elections += report.elections
            virtualSeconds += Double(report.virtualNanoseconds) / 1e9
            for marker in report.markers { reached[marker, default: 0] += 1 }
        }

        func finish(seconds: Double) {
            print(
                "\(seeds) seeds in \(Int(seconds)) s (\(Int(Double(seeds) * 60 / max(seconds, 0.001))) a minute), "
                    + "\(Int(virtualSeconds)) virtual seconds")
            print(
                "writes: \(totals.acknowledged) acknowledged, \(totals.unknown) unknown, \(totals.denied) denied; "
                    + "reads: \(totals.reads); elections: \(totals.elections)")
            for marker in Marker.allCases {
                print("  \(marker.rawValue): " + (reached[marker].map { "in \($0) seeds" } ?? "NEVER REACHED"))
            }
        }
    }
}
