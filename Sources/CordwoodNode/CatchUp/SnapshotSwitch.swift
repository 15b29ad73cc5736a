import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft

/// Puts staged pieces in their places once an install record has decided that they count.
///
/// Every step is a rename or an append that may be done again, so a crash at any point is answered by doing all of it
/// again: what is in place already is recognised by its chain.
struct SnapshotSwitch {
    let live: PartitionLogPool
    let snapshots: SnapshotStore
    let staging: StagingArea
    let seams: Seams

    private static let partitionsAtOnce = 8
    private static let runBytes = 4 << 20

    /// Returns the partitions whose machine got a snapshot.
    ///
    /// - Throws: `.needsSnapshot` with the partitions of which pieces are lacking; all others are in place.
    func run(_ manifest: SnapshotManifest) async throws(CatchUpError) -> Set<PartitionID> {
        var restored: Set<PartitionID> = []
        var lacking: [PartitionID] = []
        // Under the gate 'partition' there may be files of partitions in which nothing is committed.
        for partition in try await CatchUpError.lifting({ try await live.partitionsOnDisk() })
        where manifest.entry(of: partition) == nil {
            try await CatchUpError.lifting { try await live.drop(partition) }
        }
        try await inParallel(Self.partitionsAtOnce, manifest.partitions, seams.scheduler) {
            entry throws(CatchUpError) in
            if try await place(entry.snapshot) { restored.insert(entry.partition) }
            if try await !place(entry) { lacking.append(entry.partition) }
        }
        if !lacking.isEmpty { throw .needsSnapshot(lacking.sorted()) }
        return restored
    }

    private func place(_ snapshot: SnapshotFile?) async throws(CatchUpError) -> Bool {
        guard let snapshot else { return false }
        return try await CatchUpError.lifting {
            guard try await staging.snapshots.describe(snapshot.partition, snapshot.index)?.file == snapshot else {
                return false
            }
            try await snapshots.adopt(snapshot.partition, snapshot.index, from: staging.snapshots)
            return true
        }
    }

    /// False when the partition is not complete and the pieces that it lacks are not staged.
    private func place(_ entry: SnapshotManifest.Partition) async throws(CatchUpError) -> Bool {
        try await CatchUpError.lifting {
            if try await isInPlace(entry) { return true }
            try await live.adopt(entry.partition, from: staging.whole, endingAt: nil)
            if try await isInPlace(entry) { return true }
            do throws(LogError) { try await lengthen(entry) } catch {
                switch error {
                case .poisoned, .noSpace: throw error
                default: return false
                }
            }
            return try await isInPlace(entry)
        }
    }

    /// Whether the log ends as the manifest says. What it holds behind that was never committed, and goes.
    private func isInPlace(_ entry: SnapshotManifest.Partition) async throws(LogError) -> Bool {
        let log = live.store(of: entry.partition)
        guard let line = try? await log.line(at: entry.line.persisted), line == entry.line,
            log.persistedIndex >= entry.line.persisted
        else { return false }
        if log.nextIndex > entry.line.persisted.next { try await log.truncate(after: entry.line.persisted) }
        return true
    }

    /// Appends the staged suffix. What the log had taken and not written is in it; what it has written of another
    /// history was never committed, and goes.
    private func lengthen(_ entry: SnapshotManifest.Partition) async throws(LogError) {
        let last = entry.line.persisted
        let log = live.store(of: entry.partition)
        let staged = staging.suffix.store(of: entry.partition)
        try await log.open()
        try await staged.open()
        log.dropUnwritten()
        let common = try await log.point(at: min(log.writtenIndex, staged.writtenIndex)).chain
        if try await staged.point(at: min(log.writtenIndex, staged.writtenIndex)).chain != common {
            try await log.truncate(after: staged.startIndex.previous)
        }
        while log.writtenIndex < last {
            let bytes = try await staged.export(from: log.writtenIndex.next, through: last, maxBytes: Self.runBytes)
            let run: PartitionExport
            do throws(DecodeError) { run = try PartitionExport(decoding: bytes) } catch {
                throw .unavailable("a staged piece does not verify: \(error)")
            }
            try await log.ingest(run, through: last)
        }
        try await log.persist()
    }
}
