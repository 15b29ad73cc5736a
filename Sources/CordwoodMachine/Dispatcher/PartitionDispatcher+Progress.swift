public import CordwoodBase
internal import CordwoodLog

/// The events that move a partition's counters, each its own.
extension PartitionDispatcher {
    /// An entry has entered this node's log at its end: proposed here and accepted by the core, or received. Checks
    /// that each slice is its partition's next one, before anything is written.
    public func recordAppended(_ entry: Entry, nowNanoseconds: UInt64) throws(DispatchError) {
        try recordAppended(entry.index, entry.term, entry.slices, nowNanoseconds: nowNanoseconds)
    }

    public func recordAppended(
        _ index: RaftIndex, _ term: Term, _ slices: EntrySlices, nowNanoseconds: UInt64
    ) throws(DispatchError) {
        switch slices {
        case .none: break
        case .one(let slice):
            try check(slice)
            track(slice, index, term, nowNanoseconds)
        case .many(let slices):
            for slice in slices { try check(slice) }
            for slice in slices { track(slice, index, term, nowNanoseconds) }
        }
        lastRaftIndex = index.rawValue
    }

    private func check(_ slice: EntrySlice) throws(DispatchError) {
        guard let (appended, _, lastRaft) = tracker.admissionState(of: slice.partition) else {
            throw .partitionMissing(slice.partition)
        }
        guard slice.partitionIndex.rawValue == appended + 1 else {
            throw .indexMismatch(
                slice.partition, expected: PartitionLogIndex(appended + 1), given: slice.partitionIndex)
        }
        guard slice.previousRaftIndex.rawValue == lastRaft else {
            throw .predecessorMismatch(
                slice.partition, expected: RaftIndex(lastRaft), given: slice.previousRaftIndex)
        }
    }

    private func track(_ slice: EntrySlice, _ raft: RaftIndex, _ term: Term, _ now: UInt64) {
        let byteCount = Int(slice.length)
        do {
            try tracker.recordAppend(slice.partition, slice.partitionIndex, raft, term, byteCount: byteCount)
        } catch { brokenInvariant("\(error)") }
        let at = Int(slice.partition.rawValue)
        let mark = Mark(index: slice.partitionIndex.rawValue, raftIndex: raft.rawValue, nanoseconds: now)
        if partitions[at].oldest.index == 0 { partitions[at].oldest = mark }
        if partitions[at].newest.index <= partitions[at].oldest.index { partitions[at].newest = mark }
        partitions[at].inflightBytes &+= byteCount
        space.charge(SpaceBudget.cost(byteCount))
        logBytes.append(byteCount, at: raft.rawValue)
    }

    /// Entries behind a Raft index were dropped from the log: next indexes fall back, what was in flight is not.
    public func recordTruncated(after raft: RaftIndex) {
        tracker.truncate(after: raft) { partition, byteCount in
            let at = Int(partition.rawValue)
            partitions[at].inflightBytes -= byteCount
            if partitions[at].newest.raftIndex > raft.rawValue { partitions[at].newest = Mark() }
            if partitions[at].oldest.raftIndex > raft.rawValue { partitions[at].oldest = Mark() }
            space.release(SpaceBudget.cost(byteCount))
        }
        lastRaftIndex = min(lastRaftIndex, raft.rawValue)
        logBytes.truncate(after: raft.rawValue)
    }

    /// The segmented log is durable up to a Raft index.
    public func recordLogged(through raft: RaftIndex) { tracker.updateSegmentedDurable(raft) }

    /// Raft has committed up to an index.
    public func recordCommitted(through raft: RaftIndex) { tracker.updateCommit(raft) }

    /// Everything up to a Raft index has been handed to its partitions, in log order.
    public func recordDispatched(through raft: RaftIndex) {
        guard raft.rawValue > dispatchedIndex else { return }
        dispatchedIndex = raft.rawValue
        if !barriers.awaitingDispatch.isEmpty { settleDispatched() }
    }

    /// A machine has applied its next entry, which produced so many events. Refused beyond what is logged or committed.
    public func recordApplied(
        _ partition: PartitionID, _ index: PartitionLogIndex, raftIndex: RaftIndex, byteCount: Int, eventCount: UInt32
    ) throws(DispatchError) {
        let confirmed: Bool
        switch tracker.release(partition, index) {
        case .applied(let isConfirmed): confirmed = isConfirmed
        case .partitionMissing: throw .partitionMissing(partition)
        case .beyondLogged(let logged):
            throw .appliedBeyondLogged(partition, applied: index, logged: PartitionLogIndex(logged))
        case .beyondCommit(let committed):
            throw .appliedBeyondCommit(partition, applied: index, committed: PartitionLogIndex(committed))
        }
        let at = Int(partition.rawValue)
        partitions[at].appliedRaftIndex = raftIndex.rawValue
        if index.rawValue > partitions[at].base {
            partitions[at].inflightBytes &-= byteCount
            if index.rawValue >= partitions[at].oldest.index { renewMarks(at, index.rawValue) }
        }
        if partitions[at].isPinned { unpinIfIdle(partition, index) }
        if eventCount > 0 {
            partitions[at].eventCount &+= UInt64(eventCount)
            if confirmed, !partitions[at].hasOwnQuorum || held[at]?.isEmpty ?? true {
                show(partition, at, partitions[at].eventCount)
            } else {
                held[at, default: []].append(
                    HeldEvents(index: index.rawValue, eventCount: partitions[at].eventCount))
            }
        }
        if partitions[at].hasWaiters { settleApplied(partition, index) }
    }

    /// The oldest waiting entry is applied: the next sample stands for what now is the oldest.
    private func renewMarks(_ at: Int, _ applied: UInt64) {
        let newest = partitions[at].newest
        partitions[at].oldest = newest.index > applied ? newest : Mark()
        partitions[at].newest = Mark()
    }

    /// The partition log is durable up to an index.
    ///
    /// - Parameter byteCount: payload bytes of the entries that became so, and `entryCount` their number.
    public func recordPersisted(
        _ partition: PartitionID, through index: PartitionLogIndex, entryCount: Int, byteCount: Int
    ) throws(DispatchError) {
        do { try tracker.recordPersisted(partition, through: index) } catch { throw .partitionMissing(partition) }
        space.release(2 * (UInt64(byteCount) + UInt64(entryCount) * SpaceBudget.framingBytes))
    }

    /// The leader says how far a partition with a quorum rule of its own is confirmed.
    public func recordConfirmed(_ partition: PartitionID, through index: PartitionLogIndex) throws(DispatchError) {
        do { try tracker.recordConfirmed(partition, through: index) } catch { throw .partitionMissing(partition) }
    }

    /// W never falls: a machine that applies again what was shown before a snapshot was installed shows nothing new.
    @inline(__always)
    private func show(_ partition: PartitionID, _ at: Int, _ eventCount: UInt64) {
        guard eventCount > partitions[at].visibleCount else { return }
        partitions[at].visibleCount = eventCount
        onVisible?(partition, eventCount)
    }

    /// Shows the events of applied entries that are confirmed by now.
    func showConfirmed(_ partition: PartitionID) {
        let at = Int(partition.rawValue)
        guard let waiting = held[at], let confirmed = try? tracker.progress(of: partition).confirmed else { return }
        let shown = waiting.prefix { $0.index <= confirmed.rawValue }
        guard let last = shown.last else { return }
        held[at] = shown.count == waiting.count ? nil : Array(waiting.dropFirst(shown.count))
        show(partition, at, last.eventCount)
    }

    // MARK: What recovery found

    /// Sets a partition to what its log holds at start: committed and persisted up to an index.
    public func restore(_ partition: PartitionID, through index: PartitionLogIndex, raftIndex: RaftIndex)
        throws(DispatchError)
    {
        let progress = PartitionProgress(logged: index, confirmed: 0, applied: 0, persisted: index)
        do { try tracker.restore(partition, progress, lastRaftIndex: raftIndex) } catch {
            throw .partitionMissing(partition)
        }
        partitions[Int(partition.rawValue)].base = index.rawValue
    }

    /// Sets a partition to what its machine's snapshot shows: applied up to an index, so many events produced.
    public func restoreApplied(
        _ partition: PartitionID, _ index: PartitionLogIndex, raftIndex: RaftIndex, eventCount: UInt64
    ) throws(DispatchError) {
        guard case .applied(let confirmed) = tracker.release(partition, index) else {
            throw .partitionMissing(partition)
        }
        let at = Int(partition.rawValue)
        partitions[at].appliedRaftIndex = raftIndex.rawValue
        partitions[at].eventCount = eventCount
        if confirmed {
            show(partition, at, eventCount)
        } else {
            held[at] = [HeldEvents(index: index.rawValue, eventCount: eventCount)]
        }
        if partitions[at].hasWaiters { settleApplied(partition, index) }
    }

    // MARK: Reading the counters

    /// W: the number of events produced by entries that are both confirmed and applied here. An event is visible
    /// exactly when its sequence is below it.
    public func watermark(of partition: PartitionID) -> UInt64 {
        partition.rawValue < UInt64(partitions.count) ? partitions[Int(partition.rawValue)].visibleCount : 0
    }

    public func progress(of partition: PartitionID) -> PartitionProgress? { try? tracker.progress(of: partition) }

    /// Raft index up to which every partition has applied.
    public var appliedThrough: RaftIndex { min(tracker.appliedThrough, RaftIndex(dispatchedIndex)) }

    /// Raft index up to which everything has been handed to its partitions.
    public var dispatchedThrough: RaftIndex { RaftIndex(dispatchedIndex) }

    public func status(of partition: PartitionID, nowNanoseconds: UInt64) -> PartitionStatus? {
        guard let progress = progress(of: partition), let admission = tracker.admissionState(of: partition) else {
            return nil
        }
        let state = partitions[Int(partition.rawValue)]
        let inflight = admission.appended - max(admission.applied, state.base)
        return PartitionStatus(
            partition: partition, progress: progress, watermark: state.visibleCount,
            appliedRaftIndex: RaftIndex(state.appliedRaftIndex), nextIndex: PartitionLogIndex(admission.appended + 1),
            inflightEntries: Int(inflight), inflightBytes: inflight == 0 ? 0 : state.inflightBytes,
            backlogAgeNanoseconds: state.oldest.index == 0 || nowNanoseconds < state.oldest.nanoseconds
                ? 0 : nowNanoseconds - state.oldest.nanoseconds,
            oldestNeeded: (try? tracker.partitionWatermark(partition))?.oldestNeeded, isPinned: state.isPinned,
            master: master(of: partition))
    }
}

/// What an operator sees of one partition.
public struct PartitionStatus: Hashable, Sendable {
    public var partition: PartitionID
    public var progress: PartitionProgress
    /// W.
    public var watermark: UInt64
    /// Raft index of the last entry applied, 0 before the first.
    public var appliedRaftIndex: RaftIndex
    /// Index of the next entry to be admitted.
    public var nextIndex: PartitionLogIndex
    public var inflightEntries: Int
    public var inflightBytes: Int
    /// Age of an entry that waits for its apply and is among the oldest that do; never more than that of the oldest.
    public var backlogAgeNanoseconds: UInt64
    /// What the partition needs of the segmented log; `nil` when it holds nothing back.
    public var oldestNeeded: RaftIndex?
    /// Holds back as much of the segmented log as it may: nothing more is admitted until its machine has caught up.
    public var isPinned: Bool
    public var master: ReplicaID?
}
