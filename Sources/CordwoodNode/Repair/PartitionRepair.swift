import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft

/// Makes a damaged partition log whole: its own records as far as they are intact, those of other replicas where they
/// are not.
///
/// This node knows what the log must come to: the index and the partition chain of the last record that it had on
/// disk, from memory or from the newest system checkpoint. A log that ends in that chain is the one that was there,
/// whoever gave its records. It is made beside the damaged one, in `repair/whole`, and takes its place when it is
/// verified and durable. What stands behind that record is in the segmented log, and is forwarded again.
///
/// Where logs are cut below machine snapshots, the first records may be with nobody any more. The log is made from
/// behind a snapshot of this node then, the first that lies behind what is lacking: it names its place in the chain.
final class PartitionRepair {
    typealias Call = (ReplicaID, [UInt8]) async throws(PeerError) -> [UInt8]

    struct Statistics: Hashable {
        /// Bytes that came from others.
        var fetchedBytes: UInt64 = 0
        /// Bytes that were intact here.
        var salvagedBytes: UInt64 = 0
        /// Pieces that did not verify.
        var damagedPieces: UInt64 = 0
    }

    private let logs: PartitionLogPool
    /// Where a log may begin, beside its first record; `nil` where all records are kept.
    private let snapshots: SnapshotStore?
    private let staging: StagingArea
    private let pieceBytes: Int
    private let limit: RateLimit
    private let call: Call
    private(set) var statistics = Statistics()
    /// Nothing more is asked for.
    var isCancelled = false

    init(
        logs: PartitionLogPool, snapshots: SnapshotStore?, staging: StagingArea, configuration: CatchUpConfiguration,
        seams: Seams, call: @escaping Call
    ) {
        self.logs = logs
        self.snapshots = snapshots
        self.staging = staging
        self.call = call
        pieceBytes = configuration.pieceBytes
        limit = RateLimit(bytesPerSecond: configuration.bytesPerSecond, clock: seams.clock)
    }

    /// Puts a whole log of a partition together, beside the damaged one: verified and durable on return. Gives the
    /// record that it ends with; `nil` when all that was ever on disk is in the segmented log.
    func prepare(
        _ partition: PartitionID, from peers: [ReplicaID]
    ) async throws(RepairError) -> SystemCheckpoint.Line? {
        let log = logs.store(of: partition)
        try? await log.open()
        if log.contradictsLog, let failure = log.openState.failure { throw .log(failure) }
        do throws(IOError) { try await staging.prepare() } catch { throw .io(error) }
        guard let anchor = log.anchor, anchor.persisted > 0 else { return nil }
        for attempt in 0..<2 {
            let staged = try await make(partition, upTo: anchor, peers, isFresh: attempt > 0)
            let line = try await RepairError.lifting { () throws(LogError) in
                try await staged.persist()
                return try await staged.line(at: anchor.persisted)
            }
            if line == anchor { return anchor }
        }
        throw .diverged(partition, anchor.persisted)
    }

    /// Puts the whole log in the place of the damaged one, and opens it; what it has ignored meanwhile is still to be
    /// given to it again.
    func exchange(_ partition: PartitionID, endingAt line: SystemCheckpoint.Line?) async throws(RepairError) {
        try await RepairError.lifting { () throws(LogError) in
            try await logs.restore(partition, from: staging.whole, endingAt: line)
        }
    }

    /// Appends what others hold behind the end of a whole log, up to a record: pieces that follow it by the chain.
    func extend(
        _ partition: PartitionID, through line: SystemCheckpoint.Line, from peers: [ReplicaID]
    ) async throws(RepairError) {
        let log = logs.store(of: partition)
        try await RepairError.lifting { () throws(LogError) in try await logs.persist(partition) }
        while log.writtenIndex < line.persisted {
            if isCancelled { throw .closing }
            let point = try await RepairError.lifting { () throws(LogError) in
                try await log.point(at: log.writtenIndex)
            }
            let run = try await fetched(partition, after: point, through: line.persisted, peers)
            statistics.fetchedBytes += UInt64(run.byteCount)
            try await RepairError.lifting { () throws(LogError) in
                try await log.ingest(run, through: line.persisted)
                try await logs.persist(partition)
            }
        }
        let end = try await RepairError.lifting { () throws(LogError) in try await log.line(at: line.persisted) }
        guard end == line else { throw .diverged(partition, line.persisted) }
    }

    func close() async { await staging.close() }

    /// What an earlier attempt has left goes on, unless it cannot be read.
    private func openStaged(_ partition: PartitionID, isFresh: Bool) async throws(RepairError) -> PartitionLogStore {
        let pool = staging.whole
        if !isFresh {
            let staged = pool.store(of: partition)
            if (try? await staged.open()) != nil { return staged }
        }
        return try await RepairError.lifting { () throws(LogError) in
            try await pool.drop(partition)
            let staged = pool.store(of: partition)
            try await staged.open()
            return staged
        }
    }

    /// A log that ends at the anchor's index.
    private func make(
        _ partition: PartitionID, upTo anchor: SystemCheckpoint.Line, _ peers: [ReplicaID], isFresh: Bool
    ) async throws(RepairError) -> PartitionLogStore {
        var staged = try await openStaged(partition, isFresh: isFresh)
        while true {
            do throws(RepairError) {
                try await fill(staged, upTo: anchor, peers)
                return staged
            } catch {
                guard case .noIntactCopy(_, let lacking) = error,
                    let start = try await snapshot(of: partition, in: lacking..<anchor.persisted)
                else { throw error }
                staged = try await openStaged(partition, isFresh: true)
                try await RepairError.lifting { () throws(LogError) in try await staged.begin(behind: start) }
            }
        }
    }

    /// The place of the oldest machine snapshot of this node in a range, intact.
    private func snapshot(
        of partition: PartitionID, in range: Range<PartitionLogIndex>
    ) async throws(RepairError) -> PartitionPoint? {
        guard let snapshots else { return nil }
        do throws(IOError) {
            for header in try await snapshots.list(partition).reversed() where range.contains(header.index) {
                guard try await snapshots.read(partition, header.index) != nil else { continue }
                return PartitionPoint(
                    partitionIndex: header.index, raftIndex: header.raftIndex, term: header.term, chain: header.chain)
            }
            return nil
        } catch { throw .io(error) }
    }

    // MARK: Filling

    private func fill(
        _ staged: PartitionLogStore, upTo anchor: SystemCheckpoint.Line, _ peers: [ReplicaID]
    ) async throws(RepairError) {
        let own = try await RepairError.lifting { () throws(LogError) in
            try await PartitionSalvage.read(staged.partition, in: logs)
        }
        while staged.writtenIndex < anchor.persisted {
            if isCancelled { throw .closing }
            let point = try await RepairError.lifting { () throws(LogError) in
                try await staged.point(at: staged.writtenIndex)
            }
            let run: PartitionExport
            if let found = try await salvaged(own, after: point, through: anchor.persisted) {
                run = found
                statistics.salvagedBytes += UInt64(run.byteCount)
            } else {
                run = try await fetched(staged.partition, after: point, through: anchor.persisted, peers)
                statistics.fetchedBytes += UInt64(run.byteCount)
            }
            try await RepairError.lifting { () throws(LogError) in
                try await staged.ingest(run, through: anchor.persisted)
            }
        }
    }

    private func salvaged(
        _ own: PartitionSalvage, after point: PartitionPoint, through last: PartitionLogIndex
    ) async throws(RepairError) -> PartitionExport? {
        let bytes = try await RepairError.lifting { () throws(LogError) in
            try await own.run(after: point, through: last, maxBytes: pieceBytes)
        }
        return bytes.flatMap { try? PartitionExport(decoding: $0) }
    }

    /// Asks one replica after the other for the records behind a point, until one gives them and they verify.
    private func fetched(
        _ partition: PartitionID, after point: PartitionPoint, through last: PartitionLogIndex, _ peers: [ReplicaID]
    ) async throws(RepairError) -> PartitionExport {
        let request = RepairRequest.records(partition, after: point, through: last, maxBytes: pieceBytes).encoded()
        var isCertain = true
        var reason = "nobody to ask"
        for peer in peers {
            if isCancelled { throw .closing }
            do {
                switch try PieceAnswer(decoding: try await call(peer, request)) {
                case .data(let bytes):
                    let run = try PartitionExport(decoding: bytes)
                    guard run.partition == partition, run.previous == point else {
                        throw DecodeError.invalid(field: "first record", value: run.first.rawValue)
                    }
                    await limit.take(bytes.count)
                    return run
                case .gone: reason = "replica \(peer) does not have it"
                case .notYet, .noted:
                    isCertain = false
                    reason = "replica \(peer) does not have it yet"
                case .failed(let text):
                    isCertain = false
                    reason = "replica \(peer): \(text)"
                }
            } catch let error as DecodeError {
                statistics.damagedPieces += 1
                isCertain = false
                reason = "what replica \(peer) gives does not verify: \(error)"
            } catch {
                isCertain = false
                reason = "replica \(peer): \(error)"
            }
        }
        let index = point.partitionIndex.next
        throw isCertain ? .noIntactCopy(partition, index) : .unreachable(partition, index, reason)
    }
}
