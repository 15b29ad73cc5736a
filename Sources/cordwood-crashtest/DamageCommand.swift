import CordwoodConformance
import CordwoodVirtual
import Foundation

/// `damage`: flips every byte, zeroes every sector, cuts at every length and removes every file of a small log, one
/// at a time, and opens it. Every outcome must be a true one.
struct DamageCommand: Command {
    static let name = "damage"
    static let synopsis = "damage [--stride 1]    damage a small log in one place at a time"

    /// 0 when nothing was silent, 1 at the first damage that was, 2 for a wrong call.
    static func run(_ arguments: [String]) -> Int32 {
        guard let options = NumberOptions(arguments, defaults: ["stride": 1]), options.words.isEmpty,
            options["stride"] > 0
        else {
            complain("usage: cordwood-crashtest \(synopsis)")
            return 2
        }
        let sweep = DamageSweep(opening: SegmentedLogStoreFactory.openSmall)
        do {
            let subject = try sweep.prepare(DamageSweep.script.body)
            let stride = options["stride"]
            let kinds: [(String, [DamageSweep.Damaging])] = [
                ("files removed", DamageSweep.removals(of: subject.image)),
                ("sectors of 4096 zeroed", DamageSweep.zeroedSectors(of: subject.image, sectorBytes: 4096)),
                ("sectors of 512 zeroed", DamageSweep.zeroedSectors(of: subject.image, sectorBytes: 512)),
                ("bytes flipped", DamageSweep.flips(of: subject.image, every: stride)),
                ("files cut", DamageSweep.truncations(of: subject.image, every: stride)),
            ]
            for (what, damagings) in kinds {
                let report = try sweep.run(subject, damagings)
                print("\(what): \(report.cases) cases: \(report)")
            }
            return 0
        } catch {
            print("FAIL \(error)")
            return 1
        }
    }
}
