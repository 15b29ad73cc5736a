internal import CordwoodBase
internal import CordwoodRaft

/// The commands `simple`, `enter-joint` and `leave-joint`: the algebra of configuration changes on one table of peers.
struct ConfigurationScenario {
    private var table = PeerTable(window: InflightWindow(maxMessages: 10))
    /// Rises with every command, so that a peer's `next` shows in which one its progress was created.
    private var lastIndex: RaftIndex = 0

    /// Runs a case and returns its output.
    mutating func run(_ scenario: ScenarioScript.Case) throws(ScenarioError) -> String {
        let steps = try ConfigurationChange.Step.parse(scenario.input, scenario)
        defer { lastIndex = lastIndex.next }
        do throws(ConfigurationError) {
            switch scenario.command {
            case "simple": try table.applySimple(steps, lastIndex: lastIndex)
            case "enter-joint":
                let leavesAutomatically = scenario.value("autoleave") == "true"
                try table.enterJoint(steps, leavesAutomatically: leavesAutomatically, lastIndex: lastIndex)
            default: try table.leaveJoint()
            }
        } catch {
            return error.description
        }
        let peers = table.peers.map { "\($0.id): \($0.progress)" }
        return ([table.configuration.description] + peers).joined(separator: "\n")
    }
}

extension ConfigurationChange.Step {
    /// Reads the notation `v1 l2 r3 u4`.
    static func parse(_ text: String, _ scenario: ScenarioScript.Case) throws(ScenarioError) -> [Self] {
        var steps: [Self] = []
        for word in text.split(whereSeparator: \.isWhitespace) {
            let id = ReplicaID(try scenario.number(String(word.dropFirst())))
            switch word.first {
            case "v": steps.append(.addVoter(id))
            case "l": steps.append(.addLearner(id))
            case "r": steps.append(.remove(id))
            case "u": steps.append(.update(id))
            default: throw scenario.bad("\(word) is no change")
            }
        }
        return steps
    }

    /// The same notation, written.
    var notation: String {
        switch self {
        case .addVoter(let id): "v\(id)"
        case .addLearner(let id): "l\(id)"
        case .remove(let id): "r\(id)"
        case .update(let id): "u\(id)"
        }
    }
}
