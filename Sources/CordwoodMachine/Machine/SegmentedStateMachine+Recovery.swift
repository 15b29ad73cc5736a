public import CordwoodBase
internal import CordwoodIO
public import CordwoodLog

/// Bringing the partitions to where the logs say they are: a pure function of logs, snapshots and the highest index
/// known to be committed.
///
/// The system checkpoint says what each partition had persisted; the entries that the segmented log retains are
/// tracked and, as far as they are committed, forwarded again. A partition skips what its log has and compares it.
/// Files are opened for partitions that lack something; all others when they are first used.
extension SegmentedStateMachine {
    /// What a recovery did.
    public struct RecoveryReport: Hashable, Sendable {
        /// Partitions that the checkpoint knows.
        public var knownPartitions = 0
        /// Entries read again.
        public var entries = 0
        /// Slices forwarded again to their partitions.
        public var forwarded = 0
        /// Slices that the checkpoint says are persisted.
        public var skipped = 0
        /// Slices tracked but not forwarded, because they are not known to be committed.
        public var uncommitted = 0
        /// Partitions opened at once.
        public var openedPartitions = 0
    }

    /// Recovers the partitions from what the segmented log retains.
    ///
    /// - Parameters:
    ///   - checkpoint: the newest complete system checkpoint, if there is one.
    ///   - retained: the Raft indexes that can be read, purged ones above the floor included.
    ///   - commit: the highest index known to be committed. Nothing behind it is forwarded.
    ///   - gate: with the acknowledgement gate `.partition`, what is to be told of every entry. Entries that are not
    ///     known to be committed then go to their partitions' logs, too.
    ///   - read: gives the entries from an index on, at least one, never beyond the range.
    /// - Throws: `DispatchError` when an entry does not follow the one before it in its partition, and what `read`
    ///   throws.
    public func recover(
        checkpoint: SystemCheckpoint?, retained: Range<RaftIndex>, commit: RaftIndex, gate: PartitionGate? = nil,
        read: (Range<RaftIndex>) async throws -> [Entry]
    ) async throws -> RecoveryReport {
        var report = RecoveryReport()
        isRecovering = true
        defer { isRecovering = false }
        if let checkpoint { try restore(checkpoint, &report) }
        if retained.upperBound > 0 { dispatcher.recordLogged(through: retained.upperBound.previous) }
        dispatcher.recordCommitted(through: commit)
        var next = retained.lowerBound
        while next < retained.upperBound {
            let entries = try await read(next..<retained.upperBound)
            guard let last = entries.last else { break }
            for entry in entries { try recover(entry, commit, gate, &report) }
            next = last.index.next
        }
        dispatcher.recordDispatched(through: min(commit, max(next, 1).previous))
        isRecovering = false
        let meeting = Set(meetings.values.flatMap { $0.participants.map(\.partition) })
        for lane in lanes {
            guard let lane, lane.state == .closed,
                lane.handed > lane.log.persistedIndex.rawValue || meeting.contains(lane.partition)
            else { continue }
            report.openedPartitions += 1
            beginOpening(lane)
        }
        return report
    }

    private func restore(_ checkpoint: SystemCheckpoint, _ report: inout RecoveryReport) throws {
        for line in checkpoint.partitions {
            try dispatcher.restore(line.partition, through: line.persisted, raftIndex: line.raftIndex)
            report.knownPartitions += 1
        }
        restoreSessions(try SessionTable(decoding: checkpoint.sessions))
    }

    private func recover(
        _ entry: Entry, _ commit: RaftIndex, _ gate: PartitionGate?, _ report: inout RecoveryReport
    ) throws {
        report.entries += 1
        var lacking: [EntrySlice] = []
        for slice in entry.slices {
            guard let progress = dispatcher.progress(of: slice.partition) else {
                throw DispatchError.partitionMissing(slice.partition)
            }
            if slice.partitionIndex <= progress.persisted { report.skipped += 1 } else { lacking.append(slice) }
        }
        var rest = entry
        rest.slices = EntrySlices(lacking)
        try dispatcher.recordAppended(rest, nowNanoseconds: seams.clock.monotonicNanoseconds)
        defer { gate?.expect(rest) }
        guard entry.index <= commit else {
            report.uncommitted += lacking.count
            if gate != nil { forward(rest) }
            return
        }
        report.forwarded += lacking.count
        if !lacking.isEmpty || entry.slices.isEmpty { dispatch([entry][...]) }
    }
}
