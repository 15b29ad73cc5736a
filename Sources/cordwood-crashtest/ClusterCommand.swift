import CordwoodOptions
import CordwoodTrials

/// `cluster`: a group of real processes under load and under faults drawn from a seed.
struct ClusterCommand: Command {
    static let name = "cluster"
    static let synopsis = """
        cluster [--minutes 2] [--seed N] [--nodes 3] ...   a group of real processes under load and faults; --help
                                                           says more
        """

    private static let minutes = Option<Int>.integer(
        "minutes", default: 2, in: 1...10_000, "how long faults strike; the last audit comes on top")
    private static let traces = Option<Bool>.boolean(
        "traces", default: false, "nodes write consensus traces, and each line is checked")
    private static let damages = Option<Bool>.boolean(
        "damages", default: false, "files of stopped nodes are damaged, too")
    private static let without = Option<String>.text(
        "without", default: "", "faults to leave out, as the table of counts names them, parted by commas")

    private static let program = TrialProgram(
        name, "a group of real processes under load and faults; ends with 1 at the first promise that is broken",
        rate: 600, [minutes.declaration, traces.declaration, damages.declaration, without.declaration])

    static func run(_ arguments: [String]) -> Int32 {
        program.run(arguments) { values in
            var options = ClusterTrial.Options()
            options.seconds = Double(values[minutes] * 60)
            options.traces = values[traces]
            options.damages = values[damages]
            options.without = Set(values[without].split(separator: ",").compactMap { FaultKind(rawValue: String($0)) })
            return ClusterTrial(options)
        }
    }
}
