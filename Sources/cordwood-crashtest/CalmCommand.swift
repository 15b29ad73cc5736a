import CordwoodOptions
import CordwoodTrials

/// `calm`: a healthy group keeps its leader.
struct CalmCommand: Command {
    static let name = "calm"
    static let synopsis =
        "calm [--seconds 60] [--nodes 3]                    nobody campaigns in a time of idling and one of load"

    private static let seconds = Option<Int>.integer(
        "seconds", default: 60, in: 1...1_000_000, "of idling, and of load behind it")

    private static let program = TrialProgram(
        name, "nobody campaigns in a healthy group, idle or under load; ends with 1 when somebody does",
        rate: 2000, [seconds.declaration])

    static func run(_ arguments: [String]) -> Int32 {
        program.run(arguments) { CalmTrial(seconds: Double($0[seconds])) }
    }
}
