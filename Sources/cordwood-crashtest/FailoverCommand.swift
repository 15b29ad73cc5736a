import CordwoodOptions
import CordwoodTrials

/// `failover`: how long a group takes no writes when its leader is killed.
struct FailoverCommand: Command {
    static let name = "failover"
    static let synopsis =
        "failover [--kills 100] [--seed N] [--nodes 3]      time without writes after a leader's SIGKILL under load"

    private static let kills = Option<Int>.integer("kills", default: 100, in: 1...100_000, "leaders to kill")

    private static let program = TrialProgram(
        name, "time to the first acknowledged write after a leader's SIGKILL; ends with 1 when that is too long",
        rate: 2000, [kills.declaration])

    static func run(_ arguments: [String]) -> Int32 {
        program.run(arguments) { FailoverTrial(kills: $0[kills]) }
    }
}
