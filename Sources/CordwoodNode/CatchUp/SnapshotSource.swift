public import CordwoodBase
public import CordwoodIO
public import CordwoodLog
public import CordwoodMachine
import CordwoodRaft

/// The side that has it: makes manifests, keeps what they name while it is fetched, and gives the pieces.
///
/// Pieces are given by what they are, not by whose manifest names them: any replica may be asked for what another one
/// offered, and a restart forgets nothing but the pins.
///
/// Confined to the loop.
public final class SnapshotSource {
    /// What a running transfer keeps from being given back.
    public struct Pin: Hashable, Sendable {
        public var peer: ReplicaID
        /// The segmented log is kept from here on: S + 1.
        public var index: RaftIndex
        public var sinceNanoseconds: UInt64
        /// When the peer last asked for something, or the offer was made.
        public var heardNanoseconds: UInt64
        /// The peer has asked for a piece.
        public var hasBegun = false
    }

    private struct Transfer {
        var pin: Pin
        /// `nil` while it is made.
        var manifest: SnapshotManifest?
    }

    private let store: SegmentedLogStore
    private let machines: SegmentedStateMachine
    private let membership: () -> Membership
    private let timestamp: () -> Int64
    private let configuration: CatchUpConfiguration
    private let log: any LogSink
    private let seams: Seams
    private var transfers: [ReplicaID: Transfer] = [:]
    /// Manifests that are being made.
    private var offersUnderWay = 0
    private var isClosed = false
    private var idlers: [UnsafeContinuation<Void, Never>] = []

    /// Told when a replica says that its transfer has failed.
    public var onFailed: ((ReplicaID, LogPosition) -> Void)?

    /// How long a manifest waits for the partitions to be persisted.
    private static let patienceNanoseconds: UInt64 = 30_000_000_000
    private static let largestPieceBytes = 4 << 20

    /// - Parameters:
    ///   - membership: the group as it is after everything dispatched.
    ///   - timestamp: the newest timestamp, in microseconds since 1970, of any entry dispatched.
    public init(
        store: SegmentedLogStore, machines: SegmentedStateMachine, configuration: CatchUpConfiguration,
        log: any LogSink, seams: Seams, membership: @escaping () -> Membership, timestamp: @escaping () -> Int64
    ) {
        self.store = store
        self.machines = machines
        self.membership = membership
        self.timestamp = timestamp
        self.configuration = configuration
        self.log = log
        self.seams = seams
        machines.snapshots.isHeld = { [unowned self] in isHeld($0, $1) }
        machines.logHold = { [unowned self] in firstHeld($0) }
    }

    // MARK: Manifests

    /// Makes a manifest for a replica at what is dispatched now, and pins what it names until `release`. It takes the
    /// place of an earlier one for the same replica.
    public func offer(for peer: ReplicaID) async throws(CatchUpError) -> SnapshotManifest {
        if isClosed { throw .cancelled }
        offersUnderWay += 1
        defer { endOffer() }
        let now = seams.clock.monotonicNanoseconds
        let index = machines.dispatchedThrough
        var manifest = try begin(at: index)
        transfers[peer] = Transfer(
            pin: Pin(peer: peer, index: index.next, sinceNanoseconds: now, heardNanoseconds: now), manifest: nil)
        do throws(CatchUpError) {
            try await untilPersisted(manifest.partitions)
            for at in manifest.partitions.indices {
                if isClosed { throw .cancelled }
                try await complete(&manifest.partitions[at])
            }
            if manifest.boundary.chain == .zero {
                manifest.boundary.chain = try await CatchUpError.lifting { try await store.entry(at: index).chain }
            }
        } catch {
            if transfers[peer]?.pin.index == index.next { transfers[peer] = nil }
            throw error
        }
        transfers[peer]?.manifest = manifest
        log.write(
            LogEvent(
                .info, "node", "snapshot offered",
                fields: [
                    .init("peer", "\(peer)"), .init("index", "\(index)"),
                    .init("partitions", "\(manifest.partitions.count)"),
                ]))
        return manifest
    }

    private func endOffer() {
        offersUnderWay -= 1
        guard offersUnderWay == 0 else { return }
        let waiting = idlers
        idlers = []
        for waiter in waiting { waiter.resume() }
    }

    /// No more manifests are made; on return none is under way, and nothing reads partition logs for one.
    public func close() async {
        isClosed = true
        if offersUnderWay > 0 { await withUnsafeContinuation { idlers.append($0) } }
    }

    /// What must be taken in one step, before anything else is dispatched: which entries, group and sessions there are
    /// at S.
    private func begin(at index: RaftIndex) throws(CatchUpError) -> SnapshotManifest {
        guard index > 0 else { throw .notReady("nothing has been dispatched") }
        let term: Term?
        do throws(LogError) { term = try store.term(at: index) } catch { throw .log(error) }
        guard let term else { throw .notReady("the term of entry \(index) is not known") }
        let tracker = machines.dispatcher.tracker
        var partitions: [SnapshotManifest.Partition] = []
        for number in 0..<machines.dispatcher.partitionCount {
            let partition = PartitionID(UInt64(number))
            guard let last = try? tracker.lastIndex(of: partition, through: index), last > 0 else { continue }
            partitions.append(
                SnapshotManifest.Partition(
                    line: SystemCheckpoint.Line(partition: partition, persisted: last, raftIndex: 0, chain: .zero),
                    first: 1))
        }
        // Whoever installs this is never told an entry up to S again.
        var sessions = machines.sessions
        sessions.forgetRefusals(below: index.next)
        return SnapshotManifest(
            boundary: LogBoundary(index: index, term: term, chain: store.recentChain(at: index) ?? .zero),
            timestampMicroseconds: timestamp(), membership: membership(), sessions: sessions, partitions: partitions)
    }

    /// Waits until partitions are durable up to what the manifest names of them.
    private func untilPersisted(_ partitions: [SnapshotManifest.Partition]) async throws(CatchUpError) {
        let deadline = seams.clock.monotonicNanoseconds + Self.patienceNanoseconds
        while true {
            try await CatchUpError.lifting { try await machines.logs.persistAll() }
            if isClosed { throw .cancelled }
            let late = partitions.first { machines.logs.store(of: $0.partition).persistedIndex < $0.line.persisted }
            guard let late else { return }
            guard seams.clock.monotonicNanoseconds < deadline else {
                throw .notReady("partition \(late.partition) is not persisted up to \(late.line.persisted)")
            }
            await seams.clock.sleep(nanoseconds: 20_000_000)
        }
    }

    /// Fills in what is known only from files: chain, Raft index, range and machine snapshot of a partition.
    private func complete(_ entry: inout SnapshotManifest.Partition) async throws(CatchUpError) {
        let partition = entry.partition
        let last = entry.line.persisted
        let log = machines.logs.store(of: partition)
        let found = try await CatchUpError.lifting {
            if machines.configuration.compactsLogs { try await log.open() }
            return try await log.line(at: last)
        }
        guard let found else { throw .notReady("record \(last) of partition \(partition) is not in its log") }
        entry.line = found
        entry.first = min(log.startIndex, last.next)
        entry.snapshot = try await newestSnapshot(of: partition, in: entry.first.previous...last)
        guard entry.first > 1, entry.snapshot == nil else { return }
        // What the machine holds replaces the snapshots that were lost, here or for the next manifest.
        _ = await machines.snapshot(partition, evenIfUnchanged: true)
        entry.snapshot = try await newestSnapshot(of: partition, in: entry.first.previous...last)
        if entry.snapshot == nil {
            throw .notReady("partition \(partition) begins at \(entry.first) and has no snapshot before it")
        }
    }

    /// The newest intact snapshot of a partition that shows an index of the range. What is named is verified first:
    /// whoever fetches a damaged file finds that out at its end, and would be offered the same again.
    private func newestSnapshot(
        of partition: PartitionID, in range: ClosedRange<PartitionLogIndex>
    ) async throws(CatchUpError) -> SnapshotFile? {
        for header in try await CatchUpError.lifting({ try await machines.snapshots.list(partition) })
        where range.contains(header.index) {
            if isClosed { throw .cancelled }
            let file = try await CatchUpError.lifting {
                try await machines.snapshots.intactFile(partition, header.index)
            }
            if let file { return file }
            log.write(
                LogEvent(
                    .warn, "node", "a damaged snapshot is not offered",
                    fields: [.init("partition", "\(partition)"), .init("index", "\(header.index)")]))
        }
        return nil
    }

    // MARK: Pins

    /// The transfer for a replica has ended: nothing is kept for it any more.
    public func release(_ peer: ReplicaID) { transfers[peer] = nil }

    /// The lowest index that running transfers need of the segmented log, if there is one. A transfer that holds back
    /// more than it may, or has been silent for too long, is let go: a later manifest goes on from what it has.
    public func floor() -> RaftIndex? {
        let now = seams.clock.monotonicNanoseconds
        let all = store.finishedBytes(below: store.nextIndex)
        for peer in transfers.keys.sorted() {
            guard let pin = transfers[peer]?.pin else { continue }
            let heldBytes = all - min(all, store.finishedBytes(below: pin.index))
            guard
                heldBytes > configuration.maxPinnedBytes
                    || now - pin.sinceNanoseconds > configuration.maxPinnedNanoseconds
                    || now - pin.heardNanoseconds > configuration.idleNanoseconds
            else { continue }
            transfers[peer] = nil
            log.write(
                LogEvent(
                    .warn, "node", "a transfer holds the log back no longer",
                    fields: [.init("peer", "\(peer)"), .init("index", "\(pin.index)"), .init("bytes", "\(heldBytes)")]))
        }
        return transfers.values.map(\.pin.index).min()
    }

    /// What running transfers pin, by replica.
    public var pins: [Pin] { transfers.values.map(\.pin).sorted { $0.peer < $1.peer } }

    private func isHeld(_ partition: PartitionID, _ index: PartitionLogIndex) -> Bool {
        transfers.values.contains { $0.manifest.map { $0.entry(of: partition)?.snapshot?.index == index } ?? true }
    }

    /// Nothing of a partition's log may go while a manifest is made, nothing that it names may go later.
    private func firstHeld(_ partition: PartitionID) -> PartitionLogIndex? {
        transfers.values.compactMap { transfer in
            guard let manifest = transfer.manifest else { return 1 }
            return manifest.entry(of: partition)?.first
        }.min()
    }

    // MARK: Pieces

    /// Answers a request of the service `piece`. Any bytes are answered.
    public func serve(_ body: [UInt8], from peer: ReplicaID) async -> [UInt8] {
        transfers[peer]?.pin.heardNanoseconds = seams.clock.monotonicNanoseconds
        transfers[peer]?.pin.hasBegun = true
        do throws(DecodeError) { return await answer(try PieceRequest(decoding: body), to: peer).encoded() } catch {
            return PieceAnswer.failed("\(error)").encoded()
        }
    }

    private func answer(_ request: PieceRequest, to peer: ReplicaID) async -> PieceAnswer {
        switch request {
        case .log(let partition, let from, let through, let maxBytes):
            guard machines.dispatcher.has(partition) else { return .failed("no partition \(partition)") }
            do throws(LogError) {
                return .data(
                    try await machines.logs.store(of: partition).export(
                        from: from, through: through, maxBytes: min(maxBytes, Self.largestPieceBytes)))
            } catch {
                switch error {
                case .purged: return .gone
                case .notFound: return .notYet
                default: return .failed("\(error)")
                }
            }
        case .snapshot(let partition, let index, let offset, let maxBytes):
            do throws(IOError) {
                let bytes = try await machines.snapshots.bytes(
                    of: partition, index, at: offset, count: min(maxBytes, Self.largestPieceBytes))
                return bytes.map { .data($0) } ?? .gone
            } catch { return .failed("\(error)") }
        case .failed(let position):
            onFailed?(peer, position)
            return .noted
        }
    }
}
