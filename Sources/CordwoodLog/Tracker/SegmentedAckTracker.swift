public import CordwoodBase

/// The one quorum counter: turns the positions of replicas into what each partition has confirmed, and what each
/// partition has applied and persisted into the index that the segmented log must keep.
///
/// Entries are held once, in a ring in Raft order. A replica is one cursor over it: everything at or before the
/// cursor is acknowledged. Members are a bit set over the cursors; partitions with the same rule share one frontier.
/// Nothing here costs more because there are more partitions, and a majority rule costs nothing beyond Raft's own
/// commit. Three positions walk the ring, each passing every entry once: what is durable, what is committed, and the
/// first entry that is still needed, which is the incremental minimum behind the floor.
///
/// The tracker holds nothing that is stored: after a restart it is rebuilt from the logs.
public final class SegmentedAckTracker {
    /// Replicas whose positions are known at a time; acknowledgements of further ones are ignored.
    public static let maxReplicas = 64

    struct Partition {
        var isRegistered = false
        /// The floor may pass its entries once they are persisted, though they are not applied.
        var isFloorReleased = false
        var quorumClass: Int32 = -1
        var lastRaftIndex: UInt64 = 0
        var appended: UInt64 = 0
        var logged: UInt64 = 0
        var committed: UInt64 = 0
        var confirmed: UInt64 = 0
        /// Confirmed by the leader's word.
        var announced: UInt64 = 0
        var applied: UInt64 = 0
        var persisted: UInt64 = 0

        /// Everything up to here is of no use to the partition any more.
        @inline(__always)
        var done: UInt64 { isFloorReleased ? persisted : min(applied, persisted) }
    }

    struct Cursor {
        var replica: ReplicaID
        var raftIndex: UInt64
    }

    /// Called with a partition whose confirmed index has moved though Raft's commit did not move it there: rules
    /// other than a majority.
    public var onConfirmed: ((PartitionID) -> Void)?

    let partitions: FixedTable<Partition>
    var ring: TrackedRing {
        _read { yield ownedRing.value }
        _modify { yield &ownedRing.value }
    }
    private let ownedRing: Owned<TrackedRing>
    var cursors: [Cursor] = []
    var classes: [QuorumClass] = []
    /// First Raft index of each run of equal terms in the ring, ascending.
    var termRuns: [(first: UInt64, term: UInt64)] = []
    var durable: UInt64
    var commit: UInt64
    var loggedThrough: UInt64
    var committedThrough: UInt64
    var appliedWalk: UInt64

    /// A tracker for partitions 0 to `partitionCount - 1` over a log that begins behind `index`, all of it durable and
    /// committed.
    public init(partitionCount: Int, startingAfter index: RaftIndex = 0) {
        invariant(
            PartitionDispatcherConfiguration.partitionCounts.contains(partitionCount), "\(partitionCount) partitions")
        partitions = FixedTable(repeating: Partition(), count: partitionCount)
        ownedRing = Owned(TrackedRing(first: index.rawValue + 1))
        durable = index.rawValue
        commit = index.rawValue
        loggedThrough = index.rawValue
        committedThrough = index.rawValue
        appliedWalk = index.rawValue
    }

    /// Lowers or raises the place where an empty tracker begins.
    public func restart(after index: RaftIndex) {
        ring.restart(at: index.rawValue + 1)
        termRuns.removeAll()
        durable = index.rawValue
        commit = index.rawValue
        loggedThrough = index.rawValue
        committedThrough = index.rawValue
        appliedWalk = index.rawValue
        for at in classes.indices {
            classes[at].walked = index.rawValue
            classes[at].unconfirmed = []
        }
    }

    /// A snapshot takes the place of everything up to an index: what was tracked is forgotten, and every partition
    /// holds nothing until it is restored. What replicas have acknowledged stands.
    public func install(through index: RaftIndex) {
        restart(after: index)
        for at in partitions.indices where partitions[at].isRegistered {
            var empty = Partition()
            empty.isRegistered = true
            empty.quorumClass = partitions[at].quorumClass
            partitions[at] = empty
        }
    }

    // MARK: Partitions

    func state(_ partition: PartitionID) throws(AckError) -> Partition {
        guard partition.rawValue < UInt64(partitions.count) else { throw .partitionMissing(partition) }
        let state = partitions[Int(partition.rawValue)]
        guard state.isRegistered else { throw .partitionMissing(partition) }
        return state
    }

    /// True when the partition has been registered and not removed.
    public func has(_ partition: PartitionID) -> Bool {
        partition.rawValue < UInt64(partitions.count) && partitions[Int(partition.rawValue)].isRegistered
    }

    /// Registers a partition, or gives a known one a new rule under which its pending entries are judged from now on.
    public func upsertPartition(_ descriptor: PartitionDescriptor) throws(AckError) {
        guard descriptor.partition.rawValue < UInt64(partitions.count) else {
            throw .partitionMissing(descriptor.partition)
        }
        let at = Int(descriptor.partition.rawValue)
        let old = Int(partitions[at].quorumClass)
        if old >= 0, classes[old].rule == descriptor.quorum { return }
        let new = findOrAddClass(descriptor.quorum)
        partitions[at].isRegistered = true
        partitions[at].quorumClass = Int32(new)
        classes[new].partitionCount += 1
        guard old >= 0 else { return }
        move(UInt16(at), from: old, to: new)
        leave(old)
    }

    /// Forgets a partition and drops its entries.
    public func removePartition(_ partition: PartitionID) throws(AckError) -> PartitionProgress {
        let state = try state(partition)
        var raft = state.lastRaftIndex
        while raft >= ring.first, let slice = ring.slice(of: UInt16(partition.rawValue), at: raft) {
            ring.remove(slice.partition, at: raft)
            raft = slice.previousRaftIndex
        }
        let old = Int(state.quorumClass)
        classes[old].unconfirmed.removeAll { UInt64($0.partition) == partition.rawValue }
        leave(old)
        partitions[Int(partition.rawValue)] = Partition()
        return PartitionProgress(state)
    }

    /// Sets a partition's counters to what recovery found, before any of its entries is tracked. All of it is
    /// committed. Where the rule is not a majority it is confirmed once the replicas have said how far they are.
    public func restore(_ partition: PartitionID, _ progress: PartitionProgress, lastRaftIndex: RaftIndex)
        throws(AckError)
    {
        _ = try state(partition)
        let at = Int(partition.rawValue)
        partitions[at].appended = progress.logged.rawValue
        partitions[at].logged = progress.logged.rawValue
        partitions[at].committed = progress.logged.rawValue
        partitions[at].confirmed = progress.confirmed.rawValue
        partitions[at].applied = progress.applied.rawValue
        partitions[at].persisted = progress.persisted.rawValue
        partitions[at].lastRaftIndex = lastRaftIndex.rawValue
        let number = Int(partitions[at].quorumClass)
        if classes[number].followsCommit {
            partitions[at].confirmed = progress.logged.rawValue
        } else if progress.confirmed < progress.logged {
            classes[number].hold(
                .init(
                    raftIndex: lastRaftIndex.rawValue, term: nil, partition: UInt16(at),
                    index: progress.logged.rawValue,
                    reported: false))
        }
    }

    public func progress(of partition: PartitionID) throws(AckError) -> PartitionProgress {
        PartitionProgress(try state(partition))
    }

    /// Index of the partition's last entry at or below Raft's commit.
    public func committedIndex(of partition: PartitionID) throws(AckError) -> PartitionLogIndex {
        PartitionLogIndex(try state(partition).committed)
    }

    /// What admission asks about a partition: last index appended, last applied, Raft index of the last appended;
    /// `nil` when it is not registered.
    public func admissionState(of partition: PartitionID) -> (appended: UInt64, applied: UInt64, lastRaftIndex: UInt64)?
    {
        guard partition.rawValue < UInt64(partitions.count) else { return nil }
        let at = Int(partition.rawValue)
        guard partitions[at].isRegistered else { return nil }
        return (partitions[at].appended, partitions[at].applied, partitions[at].lastRaftIndex)
    }

    /// Index of the partition's last entry at or before a Raft index, found backward from its last one.
    public func lastIndex(of partition: PartitionID, through raft: RaftIndex) throws(AckError) -> PartitionLogIndex {
        let state = try state(partition)
        var at = state.lastRaftIndex
        var index = state.appended
        while at > raft.rawValue, at >= ring.first, let slice = ring.slice(of: UInt16(partition.rawValue), at: at) {
            index = slice.index(near: state.appended) - 1
            at = slice.previousRaftIndex
        }
        return PartitionLogIndex(index)
    }
}

extension PartitionProgress {
    init(_ state: SegmentedAckTracker.Partition) {
        self.init(
            logged: PartitionLogIndex(state.logged), confirmed: PartitionLogIndex(state.confirmed),
            applied: PartitionLogIndex(state.applied), persisted: PartitionLogIndex(state.persisted))
    }
}
