import CordwoodConformance
import CordwoodVirtual
import Foundation

/// `enumerate`: cuts the power of a virtual machine at every I/O operation of each workload of the log store, and opens
/// the store on every state that the cut may have left.
struct EnumerateCommand: Command {
    static let name = "enumerate"
    static let synopsis =
        "enumerate [--sector 512] [--exhaustive 12] [--states 64] [--recovery 11] [--seed 1] [WORKLOAD]    "
        + "cut the power at every I/O operation of the log store"

    /// 0 when nothing acknowledged was lost, 1 at the first state in which something was, 2 for a wrong call.
    static func run(_ arguments: [String]) -> Int32 {
        let defaults = ["sector": 512, "exhaustive": 12, "states": 64, "recovery": 11, "seed": 1]
        guard let options = NumberOptions(arguments, defaults: defaults), options.words.count <= 1,
            [512, 4096].contains(options["sector"]), options["recovery"] > 0
        else {
            complain("usage: cordwood-crashtest \(synopsis)")
            return 2
        }
        let chosen = CrashScript.all.filter { script in options.words.allSatisfy(script.name.contains) }
        guard !chosen.isEmpty else {
            complain("no such workload; there are: " + CrashScript.all.map(\.name).joined(separator: ", "))
            return 2
        }
        var exploration = CrashExploration(opening: SegmentedLogStoreFactory.openSmall)
        exploration.seed = UInt64(options["seed"])
        exploration.disk.sectorBytes = options["sector"]
        exploration.exhaustiveUnits = options["exhaustive"]
        exploration.sampledStates = options["states"]
        exploration.recoveryStride = options["recovery"]
        var total = CrashExploration.Report()
        for script in chosen {
            do {
                let report = try exploration.run(script.body)
                print("\(script): \(report)")
                total += report
            } catch {
                print("FAIL \(script): \(error)")
                return 1
            }
        }
        print("all: \(total)")
        return 0
    }
}
