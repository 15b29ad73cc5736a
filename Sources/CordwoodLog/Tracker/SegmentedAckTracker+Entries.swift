public import CordwoodBase

/// What happens to entries: tracked when they are appended, acknowledged by replicas, confirmed, applied and persisted.
extension SegmentedAckTracker {
    /// Tracks an entry of a partition. Of an entry that is known already only a higher Raft index changes something:
    /// the partition's entries from there on were truncated, and are forgotten with their acknowledgements.
    public func recordAppend(
        _ partition: PartitionID, _ index: PartitionLogIndex, _ raft: RaftIndex, _ term: Term, byteCount: Int = 0
    ) throws(AckError) {
        guard has(partition) else { throw .partitionMissing(partition) }
        let at = Int(partition.rawValue)
        if index.rawValue <= partitions[at].appended, partitions[at].appended != 0 {
            guard let known = raftIndex(of: UInt16(at), index.rawValue), raft.rawValue > known else { return }
            forget(UInt16(at), from: index.rawValue)
        }
        invariant(
            partitions[at].lastRaftIndex == 0 || index.rawValue == partitions[at].appended + 1,
            "partition \(partition) entry \(index) tracked after \(partitions[at].appended)")
        if ring.isFull { dropDone() }
        ring.append(
            TrackedSlice(
                previousRaftIndex: partitions[at].lastRaftIndex, indexLow: UInt32(truncatingIfNeeded: index.rawValue),
                byteCount: UInt32(clamping: byteCount), partition: UInt16(at), flags: .one),
            at: raft.rawValue)
        partitions[at].appended = index.rawValue
        partitions[at].lastRaftIndex = raft.rawValue
        if termRuns.last?.term != term.rawValue { termRuns.append((raft.rawValue, term.rawValue)) }
        // What comes in below a known position, as in recovery, is passed by the walks at once; a further slice of an
        // entry that they have passed is marked by itself.
        if raft.rawValue <= loggedThrough { partitions[at].logged = index.rawValue }
        if raft.rawValue <= committedThrough { markCommitted(at, index.rawValue) }
        if raft.rawValue <= durable { walkLogged() }
        if raft.rawValue <= commit { walkCommitted() }
    }

    /// A replica holds an entry durably, and with it everything before it in Raft order. An acknowledgement for another
    /// term or Raft index than the tracked entry's vouches for another entry and changes nothing.
    public func acknowledge(
        _ partition: PartitionID, _ index: PartitionLogIndex, _ raft: RaftIndex, _ term: Term, by replica: ReplicaID
    ) throws(AckError) -> AckOutcome {
        let state = try state(partition)
        let id = UInt16(partition.rawValue)
        guard index.rawValue > min(state.applied, state.confirmed),
            let known = raftIndex(of: id, index.rawValue)
        else { throw .entryMissing(partition, index) }
        let wasReported = isReported(id, known, Int(state.quorumClass))
        if known == raft.rawValue, self.term(of: id, at: known).map({ $0 == term.rawValue }) ?? true {
            moveCursor(of: replica, to: known)
        }
        let quorumClass = classes[Int(state.quorumClass)]
        let satisfied = isSatisfied(quorumClass, known)
        if satisfied, !wasReported { markReported(id, known, Int(state.quorumClass)) }
        return AckOutcome(
            partition: partition, partitionIndex: index, raftIndex: RaftIndex(known),
            acknowledgementCount: (acknowledgerBits(of: known) & quorumClass.memberBits).nonzeroBitCount,
            quorumSatisfied: satisfied, newlySatisfied: satisfied && !wasReported)
    }

    /// A replica holds everything up to a Raft index durably. Ignored when the entry there has another term.
    public func acknowledge(through raft: RaftIndex, _ term: Term, by replica: ReplicaID) {
        if raft.rawValue >= ring.first {
            guard raft.rawValue < ring.end, self.term(at: raft.rawValue) == term.rawValue else { return }
        }
        moveCursor(of: replica, to: raft.rawValue)
    }

    /// The leader says that a partition is confirmed up to an index; counts as far as commit has come.
    public func recordConfirmed(_ partition: PartitionID, through index: PartitionLogIndex) throws(AckError) {
        let state = try state(partition)
        guard index.rawValue > state.announced else { return }
        let at = Int(partition.rawValue)
        partitions[at].announced = index.rawValue
        let confirmed = min(index.rawValue, state.committed)
        if confirmed > state.confirmed {
            partitions[at].confirmed = confirmed
            onConfirmed?(partition)
        }
    }

    /// The machine has applied the partition's entries up to an index.
    public func releaseEntry(_ partition: PartitionID, _ index: PartitionLogIndex) throws(AckError) {
        guard has(partition) else { throw .partitionMissing(partition) }
        let at = Int(partition.rawValue)
        if index.rawValue > partitions[at].applied { partitions[at].applied = index.rawValue }
    }

    /// What an apply is in the eyes of the tracker.
    @frozen
    public enum Release {
        /// Recorded; says whether the entry is confirmed too.
        case applied(isConfirmed: Bool)
        case partitionMissing
        case beyondLogged(UInt64)
        case beyondCommit(UInt64)
    }

    /// `releaseEntry` for an index that is checked against what is logged and committed.
    public func release(_ partition: PartitionID, _ index: PartitionLogIndex) -> Release {
        guard has(partition) else { return .partitionMissing }
        let at = Int(partition.rawValue)
        if index.rawValue > partitions[at].logged { return .beyondLogged(partitions[at].logged) }
        if index.rawValue > partitions[at].committed { return .beyondCommit(partitions[at].committed) }
        if index.rawValue > partitions[at].applied { partitions[at].applied = index.rawValue }
        return .applied(isConfirmed: index.rawValue <= partitions[at].confirmed)
    }

    /// The partition log holds the partition's entries up to an index durably.
    public func recordPersisted(_ partition: PartitionID, through index: PartitionLogIndex) throws(AckError) {
        guard has(partition) else { throw .partitionMissing(partition) }
        let at = Int(partition.rawValue)
        if index.rawValue > partitions[at].persisted { partitions[at].persisted = index.rawValue }
    }

    /// Lets the floor pass what the partition has persisted without having applied it, or takes that back.
    public func setFloorReleased(_ partition: PartitionID, _ isReleased: Bool) throws(AckError) {
        guard has(partition) else { throw .partitionMissing(partition) }
        partitions[Int(partition.rawValue)].isFloorReleased = isReleased
    }

    // MARK: The chain of a partition

    /// Term of a tracked entry.
    func term(at raft: UInt64) -> UInt64? {
        guard raft >= ring.first else { return nil }
        return termRuns.last { $0.first <= raft }?.term
    }

    /// Term of a partition's tracked entry, which may have left the ring unconfirmed; `nil` when it is not known.
    func term(of partition: UInt16, at raft: UInt64) -> UInt64? {
        if raft >= ring.first { return term(at: raft) }
        return classes[Int(partitions[Int(partition)].quorumClass)].unconfirmed
            .first { $0.partition == partition && $0.raftIndex == raft }?.term
    }

    /// Raft index of a tracked entry, found backward along the partition's chain.
    func raftIndex(of partition: UInt16, _ index: UInt64) -> UInt64? {
        let state = partitions[Int(partition)]
        guard index <= state.appended else { return nil }
        var raft = state.lastRaftIndex
        while raft >= ring.first, let slice = ring.slice(of: partition, at: raft) {
            let found = slice.index(near: state.appended)
            if found == index { return raft }
            if found < index { return nil }
            raft = slice.previousRaftIndex
        }
        return classes[Int(state.quorumClass)].unconfirmed.first { $0.partition == partition && $0.index == index }?
            .raftIndex
    }

    /// Forgets a partition's entries from an index on.
    func forget(_ partition: UInt16, from index: UInt64) {
        let at = Int(partition)
        while partitions[at].appended >= index, let slice = ring.slice(of: partition, at: partitions[at].lastRaftIndex)
        {
            ring.remove(partition, at: partitions[at].lastRaftIndex)
            partitions[at].appended -= 1
            partitions[at].lastRaftIndex = slice.previousRaftIndex
        }
        partitions[at].logged = min(partitions[at].logged, partitions[at].appended)
    }
}
