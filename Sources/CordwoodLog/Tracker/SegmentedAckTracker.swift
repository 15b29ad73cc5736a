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
    private var termRuns: [(first: UInt64, term: UInt64)] = []
    private var durable: UInt64
    private var commit: UInt64
    private var loggedThrough: UInt64
    private var committedThrough: UInt64
    private var appliedWalk: UInt64
    private var sealedEnds: [UInt64] = []
    private var reclaimable: UInt64?

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
        sealedEnds.removeAll()
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

    /// Index of the last entry appended, uncommitted ones included.
    public func appendedIndex(of partition: PartitionID) throws(AckError) -> PartitionLogIndex {
        PartitionLogIndex(try state(partition).appended)
    }

    /// Raft index of the last entry appended, 0 if there is none.
    public func lastRaftIndex(of partition: PartitionID) throws(AckError) -> RaftIndex {
        RaftIndex(try state(partition).lastRaftIndex)
    }

    // MARK: Entries

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

    // MARK: Positions in the log

    public var segmentedDurableIndex: RaftIndex { RaftIndex(durable) }

    public var commitIndex: RaftIndex { RaftIndex(commit) }

    /// The segmented log is durable up to an index; a lower one than known is ignored.
    public func updateSegmentedDurable(_ raft: RaftIndex) {
        guard raft.rawValue > durable else { return }
        durable = raft.rawValue
        walkLogged()
    }

    /// Raft has committed up to an index; a lower one than known is ignored.
    public func updateCommit(_ raft: RaftIndex) {
        guard raft.rawValue > commit else { return }
        commit = raft.rawValue
        walkCommitted()
        for at in classes.indices where !classes[at].followsCommit && classes[at].partitionCount > 0 { walk(at) }
    }

    /// Forgets every entry behind a Raft index and pulls durable index and cursors back to it. Tells partition and
    /// payload bytes of each that is dropped.
    public func truncate(after raft: RaftIndex, dropped: (PartitionID, Int) -> Void = { _, _ in }) {
        let keep = raft.rawValue
        invariant(keep >= commit, "truncation to \(keep) below commit \(commit)")
        while ring.count > 0, ring.end - 1 > keep {
            let last = ring.end - 1
            ring.forEach(at: last) { slice in
                let at = Int(slice.partition)
                let index = slice.index(near: partitions[at].appended)
                partitions[at].appended = index - 1
                partitions[at].lastRaftIndex = slice.previousRaftIndex
                partitions[at].logged = min(partitions[at].logged, index - 1)
                partitions[at].persisted = min(partitions[at].persisted, index - 1)
                dropped(PartitionID(UInt64(at)), Int(slice.byteCount))
            }
            ring.dropLast()
        }
        while let run = termRuns.last, run.first > keep { termRuns.removeLast() }
        for at in cursors.indices { cursors[at].raftIndex = min(cursors[at].raftIndex, keep) }
        for at in classes.indices { classes[at].frontier = min(classes[at].frontier, keep) }
        durable = min(durable, keep)
        loggedThrough = min(loggedThrough, keep)
        appliedWalk = min(appliedWalk, keep)
    }

    /// A segment was sealed; `last` is the last Raft index in it.
    public func recordSealedSegment(endingAt last: RaftIndex) { sealedEnds.append(last.rawValue) }

    // MARK: What follows from it

    /// Lowest Raft index that the segmented log must keep for the partitions: at most commit + 1.
    public var floor: RaftIndex {
        dropDone()
        return RaftIndex(ring.count == 0 ? commit + 1 : min(ring.first, commit + 1))
    }

    /// A partition that holds the floor where it is, if one does.
    public var floorHolder: PartitionID? {
        let floor = floor.rawValue
        var holder: PartitionID?
        ring.forEach(at: floor) { slice in
            let state = partitions[Int(slice.partition)]
            if slice.index(near: state.appended) > state.done { holder = PartitionID(UInt64(slice.partition)) }
        }
        return floor > commit ? nil : holder
    }

    /// Raft index up to which every partition has applied what it was given.
    public var appliedThrough: RaftIndex {
        if appliedWalk < ring.first - 1 { appliedWalk = min(ring.first - 1, committedThrough) }
        while appliedWalk < committedThrough {
            let raft = appliedWalk + 1
            if raft < ring.end {
                let applied = ring.allSatisfy(at: raft) { slice in
                    let state = partitions[Int(slice.partition)]
                    return slice.index(near: state.appended) <= state.applied
                }
                if !applied { break }
            }
            appliedWalk = raft
        }
        return RaftIndex(appliedWalk)
    }

    public var segmentedWatermarks: SegmentedWatermarks {
        let floor = floor
        while let end = sealedEnds.first, end < floor.rawValue {
            reclaimable = max(reclaimable ?? 0, end)
            sealedEnds.removeFirst()
        }
        return SegmentedWatermarks(
            durableIndex: segmentedDurableIndex, floor: floor, reclaimableThrough: reclaimable.map { RaftIndex($0) })
    }

    public func partitionWatermark(_ partition: PartitionID) throws(AckError) -> PartitionWatermark {
        let state = try state(partition)
        let oldest = state.done < state.appended ? raftIndex(of: UInt16(partition.rawValue), state.done + 1) : nil
        return PartitionWatermark(
            partition: partition, oldestNeeded: oldest.map { RaftIndex($0) },
            confirmed: PartitionLogIndex(state.confirmed))
    }

    /// Who has acknowledged an entry that is not yet both confirmed and applied.
    public func status(of partition: PartitionID, _ index: PartitionLogIndex) throws(AckError) -> PartitionAckStatus {
        let state = try state(partition)
        guard index.rawValue > min(state.applied, state.confirmed),
            let raft = raftIndex(of: UInt16(partition.rawValue), index.rawValue)
        else { throw .entryMissing(partition, index) }
        let quorumClass = classes[Int(state.quorumClass)]
        return PartitionAckStatus(
            key: PartitionAckKey(partition: partition, partitionIndex: index), raftIndex: RaftIndex(raft),
            term: Term(term(of: UInt16(partition.rawValue), at: raft) ?? 0),
            acknowledgers: quorumClass.rule.members.filter { member in
                cursors.contains { $0.replica == member && $0.raftIndex >= raft }
            },
            isQuorumSatisfied: isSatisfied(quorumClass, raft), requiredForQuorum: quorumClass.rule.requiredCount)
    }

    // MARK: Walks

    private func walkLogged() {
        let end = min(durable, ring.end - 1)
        var raft = max(loggedThrough + 1, ring.first)
        while raft <= end {
            ring.forEach(at: raft) { slice in
                let at = Int(slice.partition)
                partitions[at].logged = slice.index(near: partitions[at].appended)
            }
            raft += 1
        }
        loggedThrough = max(loggedThrough, min(durable, ring.end - 1))
    }

    private func walkCommitted() {
        let end = min(commit, ring.end - 1)
        var raft = max(committedThrough + 1, ring.first)
        while raft <= end {
            ring.forEach(at: raft) { slice in
                let at = Int(slice.partition)
                markCommitted(at, slice.index(near: partitions[at].appended))
            }
            raft += 1
        }
        committedThrough = max(committedThrough, end)
    }

    @inline(__always)
    private func markCommitted(_ at: Int, _ index: UInt64) {
        partitions[at].committed = index
        if classes[Int(partitions[at].quorumClass)].followsCommit {
            partitions[at].confirmed = index
        } else if index <= partitions[at].announced {
            confirm(UInt16(at), index)
        }
    }

    /// Drops from the front what no partition needs any more.
    private func dropDone() {
        while ring.count > 0, ring.first <= commit {
            let raft = ring.first
            let isDone = ring.allSatisfy(at: raft) { slice in
                let state = partitions[Int(slice.partition)]
                return slice.index(near: state.appended) <= state.done
            }
            guard isDone else { break }
            ring.forEach(at: raft) { keepIfUnconfirmed($0, raft) }
            ring.dropFirst()
        }
        while termRuns.count > 1, termRuns[1].first <= ring.first { termRuns.removeFirst() }
    }

    private func keepIfUnconfirmed(_ slice: TrackedSlice, _ raft: UInt64) {
        let state = partitions[Int(slice.partition)]
        let index = slice.index(near: state.appended)
        guard index > state.confirmed else { return }
        classes[Int(state.quorumClass)].hold(
            .init(
                raftIndex: raft, term: term(at: raft), partition: slice.partition, index: index,
                reported: slice.flags.contains(.reported)))
    }

    func confirm(_ partition: UInt16, _ index: UInt64) {
        guard index > partitions[Int(partition)].confirmed else { return }
        partitions[Int(partition)].confirmed = index
        onConfirmed?(PartitionID(UInt64(partition)))
    }

    /// Term of a tracked entry.
    func term(at raft: UInt64) -> UInt64? {
        guard raft >= ring.first else { return nil }
        return termRuns.last { $0.first <= raft }?.term
    }

    /// Term of a partition's tracked entry, which may have left the ring unconfirmed; `nil` when it is not known.
    private func term(of partition: UInt16, at raft: UInt64) -> UInt64? {
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
    private func forget(_ partition: UInt16, from index: UInt64) {
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

extension PartitionProgress {
    init(_ state: SegmentedAckTracker.Partition) {
        self.init(
            logged: PartitionLogIndex(state.logged), confirmed: PartitionLogIndex(state.confirmed),
            applied: PartitionLogIndex(state.applied), persisted: PartitionLogIndex(state.persisted))
    }
}
