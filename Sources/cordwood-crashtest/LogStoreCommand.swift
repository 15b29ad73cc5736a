import CordwoodConformance
import CordwoodVirtual
import Foundation

/// `log-store`: random sequences of operations on the segmented store over a faulty disk, compared with the model after
/// each operation; reopening and power cuts are among the operations.
struct LogStoreCommand: Command {
    static let name = "log-store"
    static let synopsis =
        "log-store [--seed 1] [--seeds 100] [--steps 1000]    random operations on the log store against the model"

    /// 0 when store and model agree, 1 at the first seed with which they do not, 2 for a wrong call.
    static func run(_ arguments: [String]) -> Int32 {
        let defaults = ["seed": 1, "seeds": 100, "steps": 1000]
        guard let options = NumberOptions(arguments, defaults: defaults), options.words.isEmpty else {
            complain("usage: cordwood-crashtest \(synopsis)")
            return 2
        }
        for seed in options["seed"]..<options["seed"] + options["seeds"] {
            let world = VirtualWorld(seed: UInt64(seed))
            do {
                try world.run { _ in
                    try await LogStoreConformance.randomSequence(
                        on: SegmentedLogStoreFactory(world: world), seed: UInt64(seed), steps: options["steps"])
                }
            } catch {
                print("FAIL \(error)\nagain: cordwood-crashtest log-store --seed \(seed) --seeds 1")
                return 1
            }
        }
        print("\(options["seeds"]) seeds, \(options["seeds"] * options["steps"]) operations")
        return 0
    }
}
