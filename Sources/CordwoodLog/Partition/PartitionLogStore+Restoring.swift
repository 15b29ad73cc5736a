public import CordwoodBase
internal import CordwoodIO
public import CordwoodRaft

/// Putting intact files in the place of damaged ones, under a log that stays in use.
///
/// The same store goes on: whoever holds it waits while its files are changed, and what it has taken and not written is
/// compared with what the new files hold, as at any opening. A log that could not be opened has ignored what it was
/// given meanwhile; it takes that again from the segmented log (`retake`) before it listens to anybody else.
extension PartitionLogStore {
    /// The last record that this node knows the partition to have on disk, with the chain there: what intact files must
    /// come to. `nil` when nothing was ever persisted.
    public var anchor: SystemCheckpoint.Line? {
        if let persistedLine { return persistedLine }
        return expected
    }

    /// The files cannot be trusted, and intact ones may take their place: it is not the segmented log that lacks
    /// something.
    public var isDamaged: Bool {
        if case .failed = openState { return !contradictsLog }
        return false
    }

    /// What was taken and ignored, because the files could not be used, is still to be given again.
    public var isToRetake: Bool { isRetaking }

    /// Takes a record that was ignored. In index order; those that the files hold are passed over.
    ///
    /// - Throws: `.corrupt` when records before it are lacking: neither log has them.
    public func retake(_ record: PartitionLogRecord) throws(LogError) {
        invariant(
            isRetaking, "partition \(partition) lacks nothing, and is given record \(record.partitionIndex) again")
        guard record.partitionIndex >= nextIndex else { return }
        guard record.partitionIndex == nextIndex else {
            throw .corrupt(
                damage(
                    .missing, segments.last?.path ?? pool.configuration.directory, 0..<0,
                    "records \(nextIndex) to \(record.partitionIndex.previous) are in neither log"))
        }
        take(record)
    }

    /// Everything handed out has been taken again: from here on the log takes what comes.
    public func endRetaking() { isRetaking = false }

    /// Bytes of the files, as far as they are written.
    public var byteCount: UInt64 { segments.reduce(0) { $0 + $1.end } }

    /// Reads every record that the files hold, and checks that the partition chain runs through all of them. Returns
    /// what is damaged; the first piece of each segment.
    public func verify() async throws(LogError) -> [Damage] {
        try await pool.open(self)
        var damages: [Damage] = []
        var next = startIndex
        guard next <= writtenIndex else { return [] }
        var chain = try await point(at: next.previous).chain
        while next <= writtenIndex {
            do throws(LogError) {
                let checked = try await check(from: next, after: chain)
                next = checked.next
                chain = checked.chain
            } catch {
                guard case .corrupt(let damage) = error else { throw error }
                damages.append(damage)
                // What stands behind the damage in its segment cannot be reached; the next one can.
                guard let later = segments.first(where: { $0.firstIndex > next.rawValue }) else { break }
                next = PartitionLogIndex(later.firstIndex)
                chain = later.base.chain
            }
        }
        return damages
    }

    private func check(
        from index: PartitionLogIndex, after previous: ChainValue
    ) async throws(LogError) -> (next: PartitionLogIndex, chain: ChainValue) {
        var next = index
        var chain = previous
        var isBroken = false
        try await withBatch(holding: index) { view, last in
            for record in view.records where record.header.rawKind == RecordKind.partitionEntry.rawValue {
                guard let header = try? record.partitionHeader(), header.position.partitionIndex <= last else { break }
                if header.position.partitionIndex < next { continue }
                guard header.position.partitionIndex == next, record.partitionChain(after: chain) == header.chain else {
                    isBroken = true
                    return
                }
                chain = header.chain
                next = next.next
            }
        }
        guard !isBroken, next > index else {
            throw damaged(
                damage(.corrupt, segments.last?.path ?? "", 0..<0, "the partition chain breaks before record \(next)"))
        }
        return (next, chain)
    }

    /// Everything known of the files is forgotten: others have taken their place.
    fileprivate func beginAnew(endingAt line: SystemCheckpoint.Line?) {
        segments = []
        tail = PartitionStreamTail()
        claims.removeAll()
        startIndex = 1
        writtenIndex = line?.persisted ?? 0
        persistedIndex = writtenIndex
        persistedLine = line
        expected = line
        unsyncedEntries = 0
        unsyncedBytes = 0
        contradictsLog = false
        fileGeneration += 1
    }

    /// Makes durable what was written, so that the files hold all that was ever counted as persisted, and appends to
    /// `other` what it lacks of that.
    fileprivate func complete(_ other: PartitionLogStore) async throws(LogError) {
        if unsyncedEntries > 0 || tail.needsDirectorySync {
            try await syncTail()
            settlePersisted()
        }
        while other.writtenIndex < persistedIndex {
            let bytes = try await export(from: other.writtenIndex.next, through: persistedIndex, maxBytes: 1 << 20)
            do throws(DecodeError) {
                let run = try PartitionExport(decoding: bytes)
                do throws(LogError) { try await other.ingest(run) } catch {
                    throw .invalid(field: "\(error)", value: 0)
                }
            } catch { throw .unavailable("partition \(partition): \(error)") }
        }
        try await other.persist()
    }
}

extension PartitionLogPool {
    /// Puts the whole and verified log that another pool holds of a partition in the place of this pool's files, and
    /// opens it. What the partition has persisted since the other log was made is copied first. Durable on return.
    ///
    /// Cut short by a crash, the files that have come over and those that have not lie in two places; `adopt` puts the
    /// rest in place (see `interruptedAdoptions`).
    ///
    /// - Parameter line: the other log's last record, which this partition is known to hold; `nil` when there is no
    ///   other log, since the segmented log holds everything: the files are set aside then.
    /// - Throws: `.corrupt` when what has been persisted since cannot be copied; nothing has changed then.
    public func restore(
        _ partition: PartitionID, from other: PartitionLogPool, endingAt line: SystemCheckpoint.Line?
    ) async throws(LogError) {
        let store = store(of: partition)
        if store.openState == .unopened || store.openState == .opening { try? await open(store) }
        await store.lockWriting()
        defer { store.unlockWriting() }
        guard stores[Int(partition.rawValue)] === store else { throw .closed }
        var line = line
        if store.openState == .open {
            try await store.complete(other.store(of: partition))
            line = store.persistedLine ?? line
        } else {
            store.isRetaking = true
        }
        store.openState = .opening
        do throws(LogError) {
            if line == nil { try await setAside(partition) } else { try await moveFiles(of: partition, from: other) }
            cache.removeAll(of: partition)
            store.beginAnew(endingAt: line)
            try await store.load()
            store.openState = .open
        } catch {
            fail(store, error)
            store.wakeOpeners()
            throw error
        }
        store.wakeOpeners()
    }

    /// The partitions of which a move of files from another pool was cut short: its files lie here from a later segment
    /// on than the first. What they lack has gone over already, and only the rest is still to go.
    public func interruptedAdoptions() async throws(LogError) -> [PartitionID] {
        var found: [PartitionID] = []
        for partition in try await partitionsOnDisk() {
            let segments = try await shard(of: partition).segments[partition] ?? []
            if let first = segments.first, first > 1 { found.append(partition) }
        }
        return found
    }
}
