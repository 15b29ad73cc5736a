internal import CordwoodBase

/// The commands `committed` and `vote`: quorum arithmetic, judged by its printed form.
struct QuorumScenario {
    /// Runs a case and returns its output.
    func run(_ scenario: ScenarioScript.Case) throws(ScenarioError) -> String {
        let incoming = try ids(scenario, "cfg")
        let isJoint = scenario.values("cfgj") != nil
        let outgoing = scenario.value("cfgj") == "zero" ? [] : try ids(scenario, "cfgj")
        var order = incoming
        for id in outgoing where !order.contains(id) { order.append(id) }
        let quorum = JointQuorum(incoming: incoming.sorted(), outgoing: outgoing.sorted())
        switch scenario.command {
        case "committed":
            let known = try facts(scenario, "idx", order) { UInt64($0).map(RaftIndex.init(rawValue:)) }
            return committed(quorum, isJoint: isJoint, voters: order.sorted(), known)
        case "vote":
            let votes = try facts(scenario, "votes", order) { ["y": true, "n": false][$0] }
            return vote(quorum, isJoint: isJoint, votes)
        default: throw .unknownCommand(line: scenario.line, scenario.command)
        }
    }

    private func ids(_ scenario: ScenarioScript.Case, _ key: String) throws(ScenarioError) -> [ReplicaID] {
        var ids: [ReplicaID] = []
        for value in scenario.values(key) ?? [] { ids.append(ReplicaID(try scenario.number(value))) }
        return ids
    }

    private func facts<Fact>(
        _ scenario: ScenarioScript.Case, _ key: String, _ order: [ReplicaID], _ read: (String) -> Fact?
    ) throws(ScenarioError) -> [ReplicaID: Fact] {
        let texts = scenario.values(key) ?? []
        if texts.count != order.count { throw scenario.bad("\(texts.count) values for \(order.count) voters") }
        var facts: [ReplicaID: Fact] = [:]
        for (id, text) in zip(order, texts) where text != "_" {
            guard let fact = read(text) else { throw scenario.bad("\(text) is no value of \(key)") }
            facts[id] = fact
        }
        return facts
    }

    // MARK: Commit

    private func committed(
        _ quorum: JointQuorum, isJoint: Bool, voters: [ReplicaID], _ known: [ReplicaID: RaftIndex]
    ) -> String {
        let index = quorum.committed { known[$0] }
        var lines: [String] = []
        if voters.isEmpty {
            lines.append("<empty majority quorum>" + text(index))
        } else {
            lines.append(String(repeating: " ", count: voters.count) + "    idx")
            for voter in voters {
                let bar: String
                if let own = known[voter] {
                    let behind = voters.count { known[$0, default: 0] < own }
                    bar =
                        String(repeating: "x", count: behind) + ">"
                        + String(repeating: " ", count: voters.count - behind)
                } else {
                    bar = "?" + String(repeating: " ", count: voters.count)
                }
                let number = String(known[voter]?.rawValue ?? 0)
                let padding = String(repeating: " ", count: max(0, 5 - number.count))
                lines.append("\(bar) \(padding)\(number)    (id=\(voter))")
            }
            lines.append(text(index))
        }
        return (lines + contradictions(quorum, isJoint: isJoint, index) { known[$0] }).joined(separator: "\n")
    }

    private func text(_ index: RaftIndex) -> String {
        index.rawValue == Quorum.everything ? "\u{221E}" : index.description
    }

    /// What must hold of every result, said only when it does not.
    private func contradictions(
        _ quorum: JointQuorum, isJoint: Bool, _ index: RaftIndex, _ known: (ReplicaID) -> RaftIndex?
    ) -> [String] {
        var found: [String] = []
        func check(_ name: String, _ other: RaftIndex) {
            if other != index { found.append("\(name): \(text(other))") }
        }
        if !isJoint {
            check(
                "joint with itself", JointQuorum(incoming: quorum.incoming, outgoing: quorum.incoming).committed(known))
        }
        check("halves swapped", JointQuorum(incoming: quorum.outgoing, outgoing: quorum.incoming).committed(known))
        check("counted", min(counted(quorum.incoming, known), counted(quorum.outgoing, known)))
        for voter in Set(quorum.incoming + quorum.outgoing).sorted() {
            guard let own = known(voter), own < index, own > 0 else { continue }
            check("voter \(voter) lowered", quorum.committed { $0 == voter ? own.previous : known($0) })
        }
        return found
    }

    /// The same by trying every candidate: the highest index that more than half of the voters have reached.
    private func counted(_ voters: [ReplicaID], _ known: (ReplicaID) -> RaftIndex?) -> RaftIndex {
        if voters.isEmpty { return RaftIndex(Quorum.everything) }
        let candidates = voters.compactMap(known).filter { candidate in
            2 * voters.count { (known($0) ?? 0) >= candidate } > voters.count
        }
        return candidates.max() ?? 0
    }

    // MARK: Votes

    private func vote(_ quorum: JointQuorum, isJoint: Bool, _ votes: [ReplicaID: Bool]) -> String {
        let outcome = quorum.outcome { votes[$0] }
        var lines = [text(outcome)]
        var others = [
            ("halves swapped", JointQuorum(incoming: quorum.outgoing, outgoing: quorum.incoming).outcome { votes[$0] })
        ]
        if !isJoint {
            let twice = JointQuorum(incoming: quorum.incoming, outgoing: quorum.incoming)
            others.append(("joint with itself", twice.outcome { votes[$0] }))
        }
        for (name, other) in others where other != outcome { lines.append("\(name): \(text(other))") }
        return lines.joined(separator: "\n")
    }

    private func text(_ outcome: VoteOutcome) -> String {
        switch outcome {
        case .won: "VoteWon"
        case .lost: "VoteLost"
        case .pending: "VotePending"
        }
    }
}
