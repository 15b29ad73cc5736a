internal import CordwoodBase
internal import CordwoodIO
public import CordwoodRaft

/// Cutting: giving up records whose entries the segmented log has dropped under a durable truncation record. Only under
/// the gate `.partition` can a partition log hold such records, since only then does it take entries that are not
/// committed.
///
/// A cut is a truncation record in the partition log, like one in the segmented log: nothing is overwritten, and what
/// stands behind the record it names does not count from there on. When the cut goes back behind the newest segment's
/// first record, the next batch begins another segment. Done again after a crash, it finds nothing to cut.
extension PartitionLogStore {
    /// The first of some dropped records that the files hold.
    func firstDropped(_ dropped: [DroppedRecord]) async throws(LogError) -> PartitionLogIndex? {
        for record in dropped.sorted(by: { $0.partitionIndex < $1.partitionIndex })
        where record.partitionIndex >= startIndex && record.partitionIndex <= writtenIndex {
            let held = try await batch(holding: record.partitionIndex).records(
                from: record.partitionIndex, maxCount: 1)
            if held.first?.position.raft == record.position { return record.partitionIndex }
        }
        return nil
    }

    /// Drops the written records behind `index`. Durable on return. The caller writes alone, or opens the files.
    func cut(after index: PartitionLogIndex) async throws(LogError) {
        guard index < writtenIndex else { return }
        let (last, raftIndex) = try await boundary(at: index)
        try await makeRoom(for: segments[segments.count - 1].alignmentBytes)
        writtenIndex = index
        tail.last = last
        tail.lastRaftIndex = raftIndex
        let newest = segments.count - 1
        segments[newest].batches.removeAll { $0.firstIndex > index.rawValue }
        try await writeControl(
            .truncation(TruncationRecord(last: last, epoch: tail.announces ?? tail.epoch.next)))
        try await syncTail()
        unsyncedEntries = 0
        unsyncedBytes = 0
        persistedIndex = index
        persistedLine =
            index == 0
            ? nil
            : SystemCheckpoint.Line(partition: partition, persisted: index, raftIndex: raftIndex, chain: last.chain)
    }

    /// Takes back what was taken of dropped records, and cuts those that are written.
    func giveUp(_ dropped: [DroppedRecord]) async throws(LogError) {
        await lockWriting()
        defer { unlockWriting() }
        let before = buffer.byteCount
        while !buffer.isEmpty {
            let last = buffer.position(buffer.count - 1)
            let isDropped = dropped.contains { $0.partitionIndex == last.partitionIndex && $0.position == last.raft }
            guard isDropped else { break }
            buffer.removeLast()
        }
        buffered.remove(before - buffer.byteCount)
        if openState == .open, let first = try await firstDropped(dropped) { try await cut(after: first.previous) }
        // What the log still holds has not been dropped, be it what has taken the place of dropped records. One that
        // takes nothing has been given more than it holds.
        let isTaking = openState == .open && !isRetaking
        guard let next = isTaking ? nextIndex : dropped.map(\.partitionIndex).min() else { return }
        forwardedIndex = min(forwardedIndex, next.previous)
    }

    /// A written record as the one that a truncation leaves as the last, and its Raft index.
    private func boundary(at index: PartitionLogIndex) async throws(LogError) -> (LogBoundary, RaftIndex) {
        if let segment = segments.last(where: { $0.base.index.rawValue == index.rawValue }) {
            return (segment.base, segment.baseRaftIndex)
        }
        let batch = try await batch(holding: index)
        guard let line = batch.line(at: index, of: partition),
            let record = batch.records(from: index, maxCount: 1).first
        else {
            let segment = segments[segments.count - 1]
            throw .corrupt(
                damage(.corrupt, segment.path, 0..<segment.end, "record \(index), to be the last one, is not there"))
        }
        return (
            LogBoundary(index: RaftIndex(index.rawValue), term: record.position.term, chain: line.chain), line.raftIndex
        )
    }
}

extension PartitionRecordPosition {
    /// The Raft entry that the record is a slice of.
    var raft: LogPosition { LogPosition(index: raftIndex, term: term) }
}

extension PartitionLogPool {
    /// Takes note of dropped records, so that whoever opens a log that holds them cuts it.
    public func noteDropped(_ dropped: [DroppedRecord]) {
        for record in dropped { self.dropped[record.partition, default: []].append(record) }
    }

    /// Takes back and cuts what partition logs hold of dropped records. The truncation record that drops them must be
    /// durable in the segmented log. Durable on return. Opens the logs that are not open, which cuts them.
    public func giveUp(_ dropped: [DroppedRecord]) async throws(LogError) {
        for (partition, records) in Dictionary(grouping: dropped, by: \.partition).sorted(by: { $0.key < $1.key }) {
            let store = store(of: partition)
            if store.openState == .unopened { self.dropped[partition, default: []] += records }
            do throws(LogError) {
                try await open(store)
                try await store.giveUp(records)
                self.dropped[partition] = nil
            } catch {
                fail(store, error)
                throw error
            }
        }
    }
}
