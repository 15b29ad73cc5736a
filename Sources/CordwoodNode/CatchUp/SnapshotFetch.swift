import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft

/// Brings over what a manifest names and this replica lacks, into the staging area.
///
/// A partition is skipped whose log has the manifest's chain at its last index. One whose log is a prefix gets the
/// rest, staged as a suffix; one that holds nothing, cannot be read, or is of another history gets all of it. Every
/// piece is verified before it is written, the chain through all of them, and the whole against the manifest, so a
/// piece that lies costs time and nothing else. Several partitions travel at once, each with one piece in hand and one
/// under way; while one is being synced, another one travels in its place.
final class SnapshotFetch {
    typealias Call = (ReplicaID, [UInt8]) async throws -> [UInt8]

    struct Statistics: Hashable, Sendable {
        /// Bytes of the pieces that came over.
        var fetchedBytes: UInt64 = 0
        var pieces = 0
        /// Partitions that were held already.
        var heldPartitions = 0
        var fetchedPartitions = 0
        /// Pieces that did not verify.
        var damagedPieces = 0
    }

    private let live: PartitionLogPool
    private let liveSnapshots: SnapshotStore
    private let staging: StagingArea
    private let configuration: CatchUpConfiguration
    private let call: Call
    /// How far a partition's log is known to be committed.
    private let committed: (PartitionID) -> PartitionLogIndex
    private let limit: RateLimit
    /// For partitions that travel; those that are being synced have none.
    private let places: Places
    private let seams: Seams
    private(set) var statistics = Statistics()
    private(set) var isCancelled = false

    /// Written and not synced bytes of one partition after which they are synced: the device is to have work all the
    /// time, and not all of it at the end.
    private static let syncBytes = 8 << 20

    init(
        live: PartitionLogPool, snapshots: SnapshotStore, staging: StagingArea, configuration: CatchUpConfiguration,
        seams: Seams, committed: @escaping (PartitionID) -> PartitionLogIndex, call: @escaping Call
    ) {
        self.live = live
        liveSnapshots = snapshots
        self.staging = staging
        self.configuration = configuration
        self.seams = seams
        self.call = call
        self.committed = committed
        limit = RateLimit(bytesPerSecond: configuration.bytesPerSecond, clock: seams.clock)
        places = Places(configuration.partitionsAtOnce)
    }

    /// Nothing more is asked for; `run` throws `.cancelled`.
    func cancel() { isCancelled = true }

    /// Returns when everything that the manifest names is held or staged, verified and durable.
    ///
    /// - Parameter peers: replicas to ask, the most likely first. A piece that one does not give is asked of the next.
    func run(_ manifest: SnapshotManifest, from peers: [ReplicaID]) async throws(CatchUpError) {
        try await CatchUpError.lifting {
            try await staging.prepare()
            // What waits in memory is held once it is on disk; what cannot be persisted is fetched.
            try? await live.persistAll()
        }
        try await inParallel(2 * configuration.partitionsAtOnce, manifest.partitions, seams.scheduler) {
            [self] entry throws(CatchUpError) in
            await places.take()
            defer { places.giveBack() }
            if isCancelled { throw .cancelled }
            try await fetch(entry, peers)
        }
    }

    /// Makes durable what of a partition has been staged, and lets another one travel meanwhile.
    private func persist(_ staged: PartitionLogStore) async throws(CatchUpError) {
        places.giveBack()
        do throws(LogError) { try await staged.persist() } catch {
            await places.take()
            throw .log(error)
        }
        await places.take()
    }

    private func fetch(_ entry: SnapshotManifest.Partition, _ peers: [ReplicaID]) async throws(CatchUpError) {
        if await isHeld(entry, in: live) {
            statistics.heldPartitions += 1
        } else {
            statistics.fetchedPartitions += 1
            try await fetchLog(entry, peers)
        }
        if let snapshot = entry.snapshot { try await fetch(snapshot, entry, peers) }
    }

    /// Whether a log holds a partition as the manifest has it, durably.
    private func isHeld(_ entry: SnapshotManifest.Partition, in pool: PartitionLogPool) async -> Bool {
        let log = pool.store(of: entry.partition)
        guard let line = try? await log.line(at: entry.line.persisted) else { return false }
        return line == entry.line && log.persistedIndex >= entry.line.persisted
    }

    // MARK: Partition logs

    private func fetchLog(_ entry: SnapshotManifest.Partition, _ peers: [ReplicaID]) async throws(CatchUpError) {
        let held = live.store(of: entry.partition)
        let isReadable = (try? await held.open()) != nil && held.openState == .open
        let front = min(held.persistedIndex, committed(entry.partition))
        if isReadable, front > 0, front < entry.line.persisted, entry.first <= front.next,
            try await fetchSuffix(entry, behind: front, of: held, peers)
        {
            return
        }
        try await fetchWhole(entry, peers)
    }

    /// The rest of a log of which the front is held. False when what is held is of another history.
    private func fetchSuffix(
        _ entry: SnapshotManifest.Partition, behind front: PartitionLogIndex, of held: PartitionLogStore,
        _ peers: [ReplicaID]
    ) async throws(CatchUpError) -> Bool {
        let pool = staging.suffix
        var staged = try await openStaged(entry.partition, pool)
        let isUseless = staged.startIndex > front.next || staged.writtenIndex < front
        if isUseless || staged.writtenIndex > entry.line.persisted {
            staged = try await startOver(entry.partition, pool)
        }
        if staged.writtenIndex == 0 {
            let point = try await CatchUpError.lifting { try await held.point(at: front) }
            try await CatchUpError.lifting { try await staged.begin(behind: point) }
        }
        return try await fill(staged, pool, entry, peers)
    }

    private func fetchWhole(_ entry: SnapshotManifest.Partition, _ peers: [ReplicaID]) async throws(CatchUpError) {
        let pool = staging.whole
        var staged = try await openStaged(entry.partition, pool)
        if staged.writtenIndex > entry.line.persisted { staged = try await startOver(entry.partition, pool) }
        if try await fill(staged, pool, entry, peers) { return }
        // What was staged is of another history than what came now.
        staged = try await startOver(entry.partition, pool)
        guard try await fill(staged, pool, entry, peers) else {
            throw .damaged(entry.partition, "the log that came over does not end as the manifest says")
        }
    }

    private func openStaged(_ partition: PartitionID, _ pool: PartitionLogPool) async throws(CatchUpError)
        -> PartitionLogStore
    {
        let staged = pool.store(of: partition)
        do throws(LogError) {
            try await staged.open()
            return staged
        } catch {
            // Damage, most likely of a power cut: it is fetched again.
            return try await startOver(partition, pool)
        }
    }

    private func startOver(_ partition: PartitionID, _ pool: PartitionLogPool) async throws(CatchUpError)
        -> PartitionLogStore
    {
        try await CatchUpError.lifting {
            try await pool.drop(partition)
            let staged = pool.store(of: partition)
            try await staged.open()
            return staged
        }
    }

    /// Fetches records behind what is staged until the partition's last one. False when they do not follow what is
    /// staged, or do not end as the manifest says.
    private func fill(
        _ staged: PartitionLogStore, _ pool: PartitionLogPool, _ entry: SnapshotManifest.Partition,
        _ peers: [ReplicaID]
    ) async throws(CatchUpError) -> Bool {
        let last = entry.line.persisted
        var next = max(staged.nextIndex, staged.writtenIndex == 0 ? entry.first : 1)
        var unsynced = 0
        var underWay: Pending<PartitionExport>?
        while next <= last {
            let run: PartitionExport
            if let pending = underWay {
                run = try await pending.value()
            } else {
                run = try await records(of: entry, from: next, peers)
            }
            underWay = nil
            next = run.last.partitionIndex.next
            if next <= last {
                let from = next
                underWay = Pending(seams.scheduler) { [self] () throws(CatchUpError) in
                    try await records(of: entry, from: from, peers)
                }
            }
            let follows = try await CatchUpError.lifting {
                if staged.writtenIndex == 0, run.previous != .start { try await staged.begin(behind: run.previous) }
                do { try await staged.ingest(run, through: last) } catch LogError.invalidArgument { return false }
                unsynced += run.byteCount
                return true
            }
            guard follows else {
                if let pending = underWay { _ = try? await pending.value() }
                return false
            }
            if unsynced >= Self.syncBytes, next <= last {
                try await persist(staged)
                unsynced = 0
            }
        }
        try await persist(staged)
        return await isHeld(entry, in: pool)
    }

    private func records(
        of entry: SnapshotManifest.Partition, from index: PartitionLogIndex, _ peers: [ReplicaID]
    ) async throws(CatchUpError) -> PartitionExport {
        let request = PieceRequest.log(
            entry.partition, from: index, through: entry.line.persisted, maxBytes: configuration.pieceBytes)
        return try await ask(request, of: entry.partition, peers) { bytes throws(DecodeError) in
            let run = try PartitionExport(decoding: bytes)
            guard run.partition == entry.partition, run.first == index else {
                throw .invalid(field: "piece's first record", value: run.first.rawValue)
            }
            return run
        }
    }

    // MARK: Machine snapshots

    private func fetch(
        _ snapshot: SnapshotFile, _ entry: SnapshotManifest.Partition, _ peers: [ReplicaID]
    ) async throws(CatchUpError) {
        if try await isHeld(snapshot) { return }
        for _ in 0..<2 {
            var offset = try await CatchUpError.lifting { try await staging.snapshots.partialBytes(of: snapshot) }
            while offset < snapshot.byteCount {
                if isCancelled { throw .cancelled }
                let request = PieceRequest.snapshot(
                    entry.partition, snapshot.index, offset: offset, maxBytes: configuration.pieceBytes)
                let bytes = try await ask(request, of: entry.partition, peers) { bytes throws(DecodeError) in
                    guard !bytes.isEmpty, UInt64(bytes.count) <= snapshot.byteCount - offset else {
                        throw .invalid(field: "snapshot piece length", value: UInt64(bytes.count))
                    }
                    return bytes
                }
                try await CatchUpError.lifting { try await staging.snapshots.addPart(of: snapshot, at: offset, bytes) }
                offset += UInt64(bytes.count)
            }
            if try await CatchUpError.lifting({ try await staging.snapshots.finishPart(of: snapshot) }) { return }
        }
        throw .damaged(entry.partition, "the snapshot at \(snapshot.index) that came over is not the one named")
    }

    /// Whether the snapshot is staged, or it or a newer one is here, intact.
    private func isHeld(_ snapshot: SnapshotFile) async throws(CatchUpError) -> Bool {
        try await CatchUpError.lifting {
            if try await staging.snapshots.intactFile(snapshot.partition, snapshot.index) == snapshot { return true }
            for header in try await liveSnapshots.list(snapshot.partition) where header.index >= snapshot.index {
                if try await liveSnapshots.intactFile(snapshot.partition, header.index) != nil { return true }
            }
            return false
        }
    }

    // MARK: Asking

    /// Asks one replica after the other until one gives a piece that verifies.
    private func ask<Value>(
        _ request: PieceRequest, of partition: PartitionID, _ peers: [ReplicaID],
        _ verify: ([UInt8]) throws(DecodeError) -> Value
    ) async throws(CatchUpError) -> Value {
        let encoded = request.encoded()
        var isGone = false
        var reason = "nobody to ask"
        for peer in peers {
            if isCancelled { throw .cancelled }
            do {
                let answer = try PieceAnswer(decoding: try await call(peer, encoded))
                switch answer {
                case .data(let bytes):
                    let value = try verify(bytes)
                    statistics.pieces += 1
                    statistics.fetchedBytes += UInt64(bytes.count)
                    await limit.take(bytes.count)
                    return value
                case .gone: isGone = true
                case .notYet: reason = "replica \(peer) does not have it yet"
                case .failed(let text): reason = "replica \(peer): \(text)"
                case .noted: reason = "replica \(peer) answers another question"
                }
            } catch let error as DecodeError {
                statistics.damagedPieces += 1
                reason = "a piece of replica \(peer) does not verify: \(error)"
            } catch { reason = "replica \(peer): \(error)" }
        }
        if isGone { throw .gone(partition) }
        throw .unreachable(partition, reason)
    }
}
