/// How many acknowledgements make an entry visible, beyond Raft's commit.
public enum QuorumDecision: Sendable {
    /// More than half of the members.
    case majority
    /// A number of members, at least 1 and at most all of them.
    case threshold(Int)
    /// A decision of the user's own.
    case custom(CustomQuorum)

    /// Acknowledgements needed among `memberCount` members; `nil` when only the custom function knows.
    public func requiredCount(memberCount: Int) -> Int? {
        switch self {
        case .majority: Quorum.majority(of: memberCount)
        case .threshold(let count): max(1, min(count, memberCount))
        case .custom: nil
        }
    }
}

extension QuorumDecision: Equatable {
    public static func == (left: Self, right: Self) -> Bool {
        switch (left, right) {
        case (.majority, .majority): true
        case (.threshold(let one), .threshold(let other)): one == other
        case (.custom(let one), .custom(let other)): one.name == other.name
        default: false
        }
    }
}

/// A quorum function with a name. Two of the same name are taken for the same function.
public struct CustomQuorum: Sendable {
    public let name: String
    /// Gets the members, sorted, and those of them that acknowledged, sorted. More acknowledgements must never turn a
    /// yes into a no.
    public let isSatisfied: @Sendable (_ members: [ReplicaID], _ acknowledgers: [ReplicaID]) -> Bool

    public init(
        name: String, isSatisfied: @escaping @Sendable (_ members: [ReplicaID], _ acknowledgers: [ReplicaID]) -> Bool
    ) {
        self.name = name
        self.isSatisfied = isSatisfied
    }
}

/// Whose acknowledgements count for a partition, and how many are needed.
///
/// The rule is a gate for visibility on top of Raft's commit: it can delay the watermark, never make an uncommitted
/// entry visible, and never hold the log's floor.
public struct PartitionQuorumRule: Sendable, Equatable {
    /// Sorted, each once. With none every entry is satisfied at once.
    public let members: [ReplicaID]
    public let decision: QuorumDecision

    public init(members: some Sequence<ReplicaID>, decision: QuorumDecision = .majority) {
        self.members = sortedUnique(members)
        self.decision = decision
    }

    /// True when Raft's commit alone satisfies the rule.
    public var followsCommit: Bool { members.isEmpty || decision == .majority }

    /// Acknowledgements needed, `nil` when a custom function decides.
    public var requiredCount: Int? { members.isEmpty ? 0 : decision.requiredCount(memberCount: members.count) }

    /// Whether these replicas are enough. Those that are no members are ignored.
    public func isSatisfied(by acknowledgers: some Sequence<ReplicaID>) -> Bool {
        if members.isEmpty { return true }
        let counted = sortedUnique(acknowledgers).filter { members.contains($0) }
        if case .custom(let quorum) = decision { return quorum.isSatisfied(members, counted) }
        return counted.count >= requiredCount ?? .max
    }
}

/// The sequence's values in ascending order, each once.
@usableFromInline
func sortedUnique(_ replicas: some Sequence<ReplicaID>) -> [ReplicaID] {
    var unique: [ReplicaID] = []
    for replica in replicas.sorted() where unique.last != replica { unique.append(replica) }
    return unique
}
