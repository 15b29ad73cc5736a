/// One entry of one partition.
public struct PartitionAckKey: Hashable, Sendable, CustomStringConvertible {
    public var partition: PartitionID
    public var partitionIndex: PartitionLogIndex

    public init(partition: PartitionID, partitionIndex: PartitionLogIndex) {
        self.partition = partition
        self.partitionIndex = partitionIndex
    }

    public var description: String { "\(partition):\(partitionIndex)" }
}

/// Who has acknowledged a tracked entry, and whether that is enough.
public struct PartitionAckStatus: Hashable, Sendable {
    public var key: PartitionAckKey
    public var raftIndex: RaftIndex
    public var term: Term
    /// Members only, sorted.
    public var acknowledgers: [ReplicaID]
    public var isQuorumSatisfied: Bool
    /// Acknowledgements needed; `nil` when a custom function decides.
    public var requiredForQuorum: Int?

    public init(
        key: PartitionAckKey, raftIndex: RaftIndex, term: Term, acknowledgers: [ReplicaID], isQuorumSatisfied: Bool,
        requiredForQuorum: Int?
    ) {
        self.key = key
        self.raftIndex = raftIndex
        self.term = term
        self.acknowledgers = acknowledgers
        self.isQuorumSatisfied = isQuorumSatisfied
        self.requiredForQuorum = requiredForQuorum
    }
}

/// What an acknowledgement did to the entry that it names.
@frozen
public struct AckOutcome: Hashable, Sendable {
    public var partition: PartitionID
    public var partitionIndex: PartitionLogIndex
    /// Of the tracked entry, which need not be the one that the acknowledgement was for.
    public var raftIndex: RaftIndex
    /// Members that have acknowledged the entry.
    public var acknowledgementCount: Int
    public var quorumSatisfied: Bool
    /// True in the first outcome that shows the entry satisfied: exactly once for each (partition, index, Raft index,
    /// term).
    public var newlySatisfied: Bool

    @inlinable
    public init(
        partition: PartitionID, partitionIndex: PartitionLogIndex, raftIndex: RaftIndex, acknowledgementCount: Int,
        quorumSatisfied: Bool, newlySatisfied: Bool
    ) {
        self.partition = partition
        self.partitionIndex = partitionIndex
        self.raftIndex = raftIndex
        self.acknowledgementCount = acknowledgementCount
        self.quorumSatisfied = quorumSatisfied
        self.newlySatisfied = newlySatisfied
    }
}

/// Why an acknowledgement or an append could not be tracked.
public enum AckError: Error, Hashable, Sendable, CustomStringConvertible {
    case partitionMissing(PartitionID)
    case entryMissing(PartitionID, PartitionLogIndex)

    public var description: String {
        switch self {
        case .partitionMissing(let partition): "partition \(partition) not registered"
        case .entryMissing(let partition, let index): "partition \(partition) entry \(index) not tracked"
        }
    }
}
