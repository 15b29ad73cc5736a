public import CordwoodBase
public import CordwoodRaft

/// What a node can say of itself at one moment.
public struct NodeStatus: Hashable, Sendable {
    public var cluster: UniqueID
    public var node: UniqueID
    public var name: String
    public var replica: ReplicaID
    public var role: RaftRole
    public var term: Term
    public var leader: ReplicaID?
    public var vote: ReplicaID
    public var commit: RaftIndex
    /// Everything up to here was handed to its partitions, in log order.
    public var dispatched: RaftIndex
    public var log: LogState
    public var membership: Membership
    /// Proposed and not committed, in bytes.
    public var uncommittedBytes: UInt64
    /// How often somebody else began to lead, as this node has seen it since its start.
    public var leaderChanges: UInt64
    /// Proposals taken in and not answered.
    public var waitingProposals: Int
    /// The group has removed this replica, and it knows.
    public var isRemoved: Bool
    /// Why the store writes no more, if it does not.
    public var storeFailure: LogError?
}

/// What holds truncation back, as the running node knows it.
public struct FloorReport: Hashable, Sendable {
    /// One thing that needs the log from an index on.
    public struct Holder: Hashable, Sendable {
        public enum Reason: String, Hashable, Sendable {
            case commit
            case checkpoint
            case persisted
            case applied
            /// A member brings itself up from pieces that were offered to it.
            case transfer
            /// A member lags behind, within the retention bounds.
            case replica
        }

        /// `nil` when no partition is meant.
        public var partition: PartitionID?
        /// The member that a transfer or the retention is for.
        public var replica: ReplicaID?
        public var reason: Reason
        /// The lowest Raft index that it needs.
        public var index: RaftIndex
    }

    /// Lowest Raft index that the segmented log keeps for somebody.
    public var floor: RaftIndex
    public var durableIndex: RaftIndex
    /// Bytes in segments that lie wholly below the floor and are about to go.
    public var reclaimableBytes: UInt64
    /// Who holds the floor where it is; more than one when they need the same index.
    public var heldBy: [Holder]
}
