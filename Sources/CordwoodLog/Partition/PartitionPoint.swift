public import CordwoodBase

/// A place in a partition's history: a record's index, where it comes from, and the partition chain there.
public struct PartitionPoint: Hashable, Sendable {
    public var partitionIndex: PartitionLogIndex
    public var raftIndex: RaftIndex
    public var term: Term
    public var chain: ChainValue

    public init(partitionIndex: PartitionLogIndex, raftIndex: RaftIndex, term: Term, chain: ChainValue) {
        self.partitionIndex = partitionIndex
        self.raftIndex = raftIndex
        self.term = term
        self.chain = chain
    }

    /// Before the first record.
    public static let start = PartitionPoint(partitionIndex: 0, raftIndex: 0, term: 0, chain: .zero)
}
