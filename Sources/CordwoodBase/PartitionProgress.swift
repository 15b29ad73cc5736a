/// The four counters of one partition on one node, each advanced by its own event alone.
///
/// `applied` is at most `logged` and at most what Raft has committed; `persisted` and `applied` have no order between
/// them.
@frozen
public struct PartitionProgress: Hashable, Sendable {
    /// Highest index that is durable in the segmented log.
    public var logged: PartitionLogIndex
    /// Highest index of the contiguous prefix that the quorum rule has satisfied and Raft has committed.
    public var confirmed: PartitionLogIndex
    /// Highest index that the machine has applied.
    public var applied: PartitionLogIndex
    /// Highest index that is durable in the partition log.
    public var persisted: PartitionLogIndex

    @inlinable
    public init(
        logged: PartitionLogIndex = 0, confirmed: PartitionLogIndex = 0, applied: PartitionLogIndex = 0,
        persisted: PartitionLogIndex = 0
    ) {
        self.logged = logged
        self.confirmed = confirmed
        self.applied = applied
        self.persisted = persisted
    }
}

/// What one partition still needs of the segmented log.
@frozen
public struct PartitionWatermark: Hashable, Sendable {
    public var partition: PartitionID
    /// Raft index of the oldest entry that is not persisted or not applied; `nil` when the partition is idle.
    public var oldestNeeded: RaftIndex?
    public var confirmed: PartitionLogIndex

    @inlinable
    public init(partition: PartitionID, oldestNeeded: RaftIndex?, confirmed: PartitionLogIndex) {
        self.partition = partition
        self.oldestNeeded = oldestNeeded
        self.confirmed = confirmed
    }
}

/// How far the segmented log is durable and how much of it all partitions together still need.
@frozen
public struct SegmentedWatermarks: Hashable, Sendable {
    public var durableIndex: RaftIndex
    /// Lowest Raft index that must stay, as far as partitions and commit decide.
    public var floor: RaftIndex
    /// Last index of the newest sealed segment that lies wholly below the floor.
    public var reclaimableThrough: RaftIndex?

    @inlinable
    public init(durableIndex: RaftIndex, floor: RaftIndex, reclaimableThrough: RaftIndex?) {
        self.durableIndex = durableIndex
        self.floor = floor
        self.reclaimableThrough = reclaimableThrough
    }
}

/// The persisted index of each partition that has one, ascending by partition.
public struct PartitionDurability: Hashable, Sendable {
    public var persisted: [PartitionAckKey]

    public init(persisted: [PartitionAckKey] = []) { self.persisted = persisted }

    /// 0 for a partition that has nothing persisted.
    public subscript(partition: PartitionID) -> PartitionLogIndex {
        var low = 0
        var high = persisted.count
        while low < high {
            let middle = (low + high) / 2
            if persisted[middle].partition < partition { low = middle + 1 } else { high = middle }
        }
        return low < persisted.count && persisted[low].partition == partition ? persisted[low].partitionIndex : 0
    }
}
