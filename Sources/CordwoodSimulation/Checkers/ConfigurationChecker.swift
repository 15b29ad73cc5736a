import CordwoodBase
import CordwoodNode
import CordwoodRaft

/// The group's configuration is what the log makes of it: behind an index there is one for ever, whoever has applied
/// it; ids are never given out twice; and it changes by one voter at a time or through a joint configuration, so that
/// quorums of two that follow each other always overlap.
final class ConfigurationChecker {
    private let judge: Judge
    private var known: [RaftIndex: Membership] = [:]
    /// The name and the directory behind each id that was ever given out.
    private var owners: [ReplicaID: (name: String, node: UniqueID)] = [:]

    init(_ judge: Judge) { self.judge = judge }

    /// How many configurations there were.
    var count: Int { known.count }

    func look(at membership: Membership, of life: String) {
        let index = membership.configurationIndex
        guard index > 0 else { return }
        if let before = known[index] {
            judge.require(
                before == membership, "the configuration follows from the log",
                "behind \(index) it is \(membership) on \(life), and \(before) elsewhere")
            return
        }
        known[index] = membership
        judge.require(
            !membership.configuration.voters.isEmpty && membership.configuration.flaw == nil,
            "a group has voters", "\(life) has \(membership)")
        for member in membership.members {
            if let owner = owners[member.replica] {
                judge.require(
                    owner.name == member.name && (owner.node == .none || owner.node == member.node),
                    "ids are never given out twice",
                    "replica \(member.replica) is \(member), and was \(owner.name) of \(owner.node)")
            }
            owners[member.replica] = (member.name, member.node)
        }
    }

    /// A replica has applied a configuration entry.
    func follows(_ before: Membership, _ after: Membership, on life: String) {
        look(at: after, of: life)
        let (old, new) = (before.configuration, after.configuration)
        let isSafe =
            switch (old.isJoint, new.isJoint) {
            case (false, false): Set(old.voters).symmetricDifference(new.voters).count <= 1
            case (false, true): Set(new.outgoing) == Set(old.voters)
            case (true, false): Set(new.voters) == Set(old.voters)
            case (true, true): new == old
            }
        judge.require(
            isSafe, "quorums of two configurations overlap",
            "\(life) goes from \(old) behind \(before.configurationIndex) to \(new) behind \(after.configurationIndex)")
    }
}
