public import CordwoodBase

/// Who belongs to a group, and as what. All lists ascend and hold no id twice.
///
/// Outside joint consensus `outgoing` and `learnersNext` are empty and `leavesAutomatically` is false. Learners are
/// disjoint from both halves; `learnersNext` are voters of the outgoing half that become learners when joint consensus
/// is left.
public struct GroupConfiguration: Hashable, Sendable {
    /// Voters; while joint, those of the incoming half.
    public var voters: [ReplicaID]
    /// Voters of the outgoing half; empty unless joint.
    public var outgoing: [ReplicaID]
    public var learners: [ReplicaID]
    public var learnersNext: [ReplicaID]
    /// The leader leaves joint consensus by itself once the joint configuration is applied.
    public var leavesAutomatically: Bool

    public init(
        voters: [ReplicaID] = [], outgoing: [ReplicaID] = [], learners: [ReplicaID] = [],
        learnersNext: [ReplicaID] = [], leavesAutomatically: Bool = false
    ) {
        self.voters = voters.sorted()
        self.outgoing = outgoing.sorted()
        self.learners = learners.sorted()
        self.learnersNext = learnersNext.sorted()
        self.leavesAutomatically = leavesAutomatically
    }

    public var isJoint: Bool { !outgoing.isEmpty }

    /// Whether the replica votes, in either half.
    public func isVoter(_ replica: ReplicaID) -> Bool { voters.contains(replica) || outgoing.contains(replica) }

    /// Whether the replica is named at all.
    public func contains(_ replica: ReplicaID) -> Bool { isVoter(replica) || learners.contains(replica) }

    public var quorum: JointQuorum { JointQuorum(incoming: voters, outgoing: outgoing) }

    /// Why this cannot be a configuration, or `nil` when it can.
    public var flaw: String? {
        for (name, list) in [
            ("voters", voters), ("outgoing voters", outgoing), ("learners", learners), ("next learners", learnersNext),
        ] {
            if list.contains(.none) { return "\(name) name replica 0" }
            if zip(list, list.dropFirst()).contains(where: { $0 >= $1 }) { return "\(name) repeat a replica" }
        }
        if voters.isEmpty && !(outgoing.isEmpty && learners.isEmpty) { return "no voters" }
        if let both = learners.first(where: isVoter) { return "replica \(both) is voter and learner" }
        if let stray = learnersNext.first(where: { !outgoing.contains($0) || voters.contains($0) }) {
            return "next learner \(stray) is no voter on its way out"
        }
        if !isJoint && leavesAutomatically { return "set to leave a joint configuration without being in one" }
        return nil
    }
}

extension GroupConfiguration: CustomStringConvertible {
    public var description: String {
        func list(_ ids: [ReplicaID]) -> String { "(" + ids.map(\.description).joined(separator: " ") + ")" }
        var text = "voters=" + list(voters)
        if isJoint { text += "&&" + list(outgoing) }
        if !learners.isEmpty { text += " learners=" + list(learners) }
        if !learnersNext.isEmpty { text += " learners_next=" + list(learnersNext) }
        if leavesAutomatically { text += " autoleave" }
        return text
    }
}
