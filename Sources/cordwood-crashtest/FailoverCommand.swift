import CordwoodOptions
import CordwoodTrials

/// `failover`: how long a group takes no writes when its leader is killed.
struct FailoverCommand: Command {
    static let name = "failover"
    static let synopsis =
        "failover [--kills 100] [--seed N] [--nodes 3]      time without writes after a leader's SIGKILL under load"

    private static let kills = Option<Int>.integer("kills", default: 100, in: 1...100_000, "leaders to kill")
    private static let rate = Option<Int>.integer(
        "rate", default: 2000, in: 1...100_000, "appends a second that the writers try at most")

    private static let program = TrialProgram(
        name, "time to the first acknowledged write after a leader's SIGKILL; ends with 1 when that is too long",
        [kills.declaration, rate.declaration])

    static func run(_ arguments: [String]) -> Int32 {
        program.run(arguments) { run, values, seams, interruption in
            var options = FailoverTrial.Options()
            options.seed = run.seed
            options.nodes = run.nodes
            options.folder = run.folder
            options.nodeProgram = run.nodeProgram
            options.inspectProgram = run.inspectProgram
            options.kills = values[kills]
            options.rate = values[rate]
            let trial = FailoverTrial(options, seams, say: TrialProgram.say)
            interruption.act = { trial.interrupt() }
            return try await trial.run()
        }
    }
}
