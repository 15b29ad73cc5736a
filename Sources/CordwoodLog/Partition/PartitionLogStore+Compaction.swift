public import CordwoodBase
internal import CordwoodIO
public import CordwoodRaft

/// Giving space back: whole segments below an index, and the whole log.
extension PartitionLogStore {
    /// Frees the segments that hold nothing behind `index`. A record that names the first segment still needed is
    /// durable before anything is removed.
    public func compact(through index: PartitionLogIndex) async throws(LogError) {
        try await pool.open(self)
        await lockWriting()
        defer { unlockWriting() }
        guard openState == .open else { return }
        var freed: [PartitionSegment] = []
        while freed.count + 1 < segments.count, segments[freed.count + 1].firstIndex <= index.rawValue + 1 {
            freed.append(segments[freed.count])
        }
        guard !freed.isEmpty else { return }
        try await makeRoom(for: segments[segments.count - 1].alignmentBytes)
        try await writeControl(.release(segments[freed.count].id))
        try await syncTail()
        if unsyncedEntries > 0 { settlePersisted() }
        segments.removeFirst(freed.count)
        startIndex = PartitionLogIndex(segments[0].firstIndex)
        try await remove(freed)
    }

    private func remove(_ freed: [PartitionSegment]) async throws(LogError) {
        let shard = try await pool.shard(of: partition)
        for segment in freed {
            await pool.descriptors.forget(segment.path)
            do { try await pool.seams.files.remove(segment.path) } catch {
                if error.reason != .notFound { throw .unavailable("\(error)") }
            }
            shard.segments[partition]?.removeAll { $0 == segment.id }
            shard.generation += 1
        }
        try await pool.syncDirectory(of: partition)
    }
}

extension PartitionLogPool {
    /// Removes a partition's log, newest segment first, so that a crash in between leaves a log that ends earlier,
    /// which the next call removes. Doing it again changes nothing.
    public func drop(_ partition: PartitionID) async throws(LogError) {
        let store = store(of: partition)
        await store.lockWriting()
        defer { store.unlockWriting() }
        let shard = try await shard(of: partition)
        for segment in (shard.segments[partition] ?? []).reversed() {
            let path = shard.file(partition, segment)
            await descriptors.forget(path)
            do { try await seams.files.remove(path) } catch {
                if error.reason != .notFound { throw .unavailable("\(error)") }
            }
            shard.generation += 1
        }
        shard.segments[partition] = nil
        try await syncDirectory(of: partition)
        forget(store)
    }
}
