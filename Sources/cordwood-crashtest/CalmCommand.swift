import CordwoodOptions
import CordwoodTrials

/// `calm`: a healthy group keeps its leader.
struct CalmCommand: Command {
    static let name = "calm"
    static let synopsis =
        "calm [--seconds 60] [--nodes 3]                    nobody campaigns in a time of idling and one of load"

    private static let seconds = Option<Int>.integer(
        "seconds", default: 60, in: 1...1_000_000, "of idling, and of load behind it")
    private static let rate = Option<Int>.integer(
        "rate", default: 2000, in: 1...100_000, "appends a second that the writers try at most")

    private static let program = TrialProgram(
        name, "nobody campaigns in a healthy group, idle or under load; ends with 1 when somebody does",
        [seconds.declaration, rate.declaration])

    static func run(_ arguments: [String]) -> Int32 {
        program.run(arguments) { run, values, seams, interruption in
            var options = CalmTrial.Options()
            options.seed = run.seed
            options.nodes = run.nodes
            options.folder = run.folder
            options.nodeProgram = run.nodeProgram
            options.seconds = Double(values[seconds])
            options.rate = values[rate]
            let trial = CalmTrial(options, seams, say: TrialProgram.say)
            interruption.act = { trial.interrupt() }
            return try await trial.run()
        }
    }
}
