public import CordwoodBase
internal import CordwoodIO
public import CordwoodRaft

/// The log of one partition: the committed slices of the Raft log that belong to it, in the record and segment format
/// of the segmented log, under another file policy.
///
/// A record is taken in memory, in index order, and can be read at once. It is written later, with many others in one
/// large sequential write, and synced in a round of the pool; what is synced is *persisted*. Until then the segmented
/// log can give it again, which is why its floor waits. The files are opened when they are first needed: records may
/// be taken before that, and are compared with what the files hold when they are opened, so re-forwarding after a
/// restart is nothing but appending again.
///
/// Under the gate `.segmented` only committed slices are taken. What a file holds beyond, or differently from, what the
/// segmented log says is then proof that the segmented log has lost promised data; it is reported and never repaired
/// by overwriting. Under the gate `.partition` logged slices are taken too: what a durable truncation record of the
/// segmented log has dropped since is cut here by one of its own (`cut(after:)`).
public final class PartitionLogStore {
    public let partition: PartitionID

    unowned let pool: PartitionLogPool
    let buffered: BufferedBytes

    /// Whether the files have been looked at.
    public internal(set) var openState = OpenState.unopened

    public enum OpenState: Hashable, Sendable {
        case unopened
        case opening
        case open
        /// A write or a sync failed: what is in the files can be read, nothing more is taken until they are opened
        /// anew.
        case readOnly(LogError)
        /// The files cannot be trusted: what they hold is left, others go on.
        case failed(LogError)

        /// Why nothing more is taken.
        public var failure: LogError? {
            switch self {
            case .readOnly(let error), .failed(let error): error
            case .unopened, .opening, .open: nil
            }
        }
    }

    /// Lowest index that can be read.
    public internal(set) var startIndex: PartitionLogIndex = 1
    /// Index of the last record in the files, written but perhaps not yet durable.
    public internal(set) var writtenIndex: PartitionLogIndex = 0
    /// Index of the last record that is durable in the files.
    public internal(set) var persistedIndex: PartitionLogIndex = 0
    /// Position and chain of the persisted record; `nil` when there is none.
    public internal(set) var persistedLine: SystemCheckpoint.Line?

    /// Highest index taken when it was logged, before it was known to be committed: it is not taken again then.
    public internal(set) var forwardedIndex: PartitionLogIndex = 0

    /// Taken and not yet written.
    var buffer: RecordQueue {
        _read { yield ownedBuffer.value }
        _modify { yield &ownedBuffer.value }
    }
    private let ownedBuffer = Owned(RecordQueue())
    /// Index of the buffer's first record, when it has one.
    var bufferStart: UInt64 = 0
    /// Taken though the files hold them, and not yet compared.
    var claims: [PartitionLogRecord] = []
    var segments: [PartitionSegment] = []
    /// State of the stream's end.
    var tail = PartitionStreamTail()
    var openers: [UnsafeContinuation<Void, Never>] = []
    var writers: [UnsafeContinuation<Void, Never>] = []
    var isWriting = false
    /// When the oldest record that is not persisted was taken.
    var dirtySince: UInt64 = 0
    var isQueued = false
    /// What was written and not synced, for the pool's bookkeeping.
    var unsyncedEntries = 0
    var unsyncedBytes = 0
    /// What the segmented log's checkpoint says of this partition.
    var expected: SystemCheckpoint.Line?
    /// Rises when other files take the place of those that were read: see `restore`.
    var fileGeneration = 0
    /// Only `retake` gives records now.
    var isRetaking = false
    /// The files hold what the segmented log does not know, or something else: it is that log which has lost data.
    public internal(set) var contradictsLog = false

    init(partition: PartitionID, pool: PartitionLogPool, expected: SystemCheckpoint.Line?) {
        self.partition = partition
        self.pool = pool
        buffered = pool.buffered
        self.expected = expected
        if let expected {
            writtenIndex = expected.persisted
            persistedIndex = expected.persisted
            persistedLine = expected
        }
    }

    /// Index behind the last record, buffered ones included.
    public var nextIndex: PartitionLogIndex {
        buffer.isEmpty
            ? writtenIndex.next : PartitionLogIndex(max(bufferStart + UInt64(buffer.count), writtenIndex.rawValue + 1))
    }

    /// Looks at the files, once. Whatever else needs them does so by itself.
    public func open() async throws(LogError) { try await pool.open(self) }

    /// Takes the next committed record. It can be read when the call returns. One that the files hold already is
    /// compared with what they hold.
    public func append(_ record: PartitionLogRecord) {
        if openState.failure != nil || isRetaking { return }
        take(record)
    }

    func take(_ record: PartitionLogRecord) {
        let index = record.partitionIndex.rawValue
        if buffer.isEmpty {
            if openState == .open, index <= writtenIndex.rawValue {
                compareLater(record)
                return
            }
            invariant(
                openState != .open || index == writtenIndex.rawValue + 1,
                "partition \(partition) record \(index) behind \(writtenIndex)")
            bufferStart = index
        } else {
            invariant(
                index == bufferStart + UInt64(buffer.count),
                "partition \(partition) record \(index), expected \(bufferStart + UInt64(buffer.count))")
        }
        let before = buffer.byteCount
        buffer.append(record)
        buffered.add(buffer.byteCount - before)
        if !isQueued || buffered.isOverLimit { pool.took(self) }
    }

    func wakeOpeners() {
        let waiting = openers
        openers.removeAll()
        for opener in waiting { opener.resume() }
    }

    /// Takes the next logged record before it is known to be committed: only under the gate `.partition`.
    public func forward(_ record: PartitionLogRecord) {
        append(record)
        forwardedIndex = record.partitionIndex
    }

    private func compareLater(_ record: PartitionLogRecord) {
        claims.append(record)
        guard claims.count == 1 else { return }
        pool.seams.scheduler.spawn("compare partition \(partition)") { await self.compareClaims() }
    }

    private func compareClaims() async {
        while let record = claims.first {
            do throws(LogError) { try await compare(record) } catch {
                claims.removeAll()
                pool.fail(self, error)
                return
            }
            claims.removeFirst()
        }
    }

    /// A record that has not been written yet.
    public func bufferedRecord(at index: PartitionLogIndex) -> PartitionLogRecord? {
        bufferOffset(of: index).map { buffer[$0] }
    }

    /// What was decided of a record that has not been written yet; `nil` for others.
    public func bufferedVerdict(at index: PartitionLogIndex) -> PartitionLogRecord.Verdict? {
        bufferOffset(of: index).map { buffer.verdict($0) }
    }

    private func bufferOffset(of index: PartitionLogIndex) -> Int? {
        guard index.rawValue >= bufferStart, index.rawValue - bufferStart < UInt64(buffer.count) else { return nil }
        return Int(index.rawValue - bufferStart)
    }

    /// The participants of a record's entry have decided.
    public func decide(_ index: PartitionLogIndex, isRefused: Bool) {
        guard let offset = bufferOffset(of: index) else { return }
        buffer.setVerdict(offset, isRefused ? .refused : .apply)
    }

    /// Records from `index` on, verified: at most `maxCount`, at most `maxBytes` of payload, at least one when there is
    /// one.
    public func records(from index: PartitionLogIndex, maxCount: Int, maxBytes: Int) async throws(LogError)
        -> [PartitionLogRecord]
    {
        if let found = buffered(from: index, maxCount, maxBytes) { return found }
        try await pool.open(self)
        guard index >= startIndex else { throw .purged(RaftIndex(index.rawValue)) }
        guard index < nextIndex, maxCount > 0 else { return [] }
        if let found = buffered(from: index, maxCount, maxBytes) { return found }
        var found: [PartitionLogRecord] = []
        var bytes = 0
        var next = index
        while found.count < maxCount, bytes < maxBytes || found.isEmpty, next <= writtenIndex {
            let batch = try await batch(holding: next)
            let held = Int(min(UInt64(maxCount - found.count), endOfBatch(holding: next) - next.rawValue))
            let records = batch.records(from: next, maxCount: held)
            guard !records.isEmpty else { throw lacking(next) }
            for record in records {
                if !found.isEmpty, bytes + record.byteCount > maxBytes { return found }
                found.append(record)
                bytes += record.byteCount
            }
            next = PartitionLogIndex(index.rawValue + UInt64(found.count))
        }
        return found
    }

    private func buffered(from index: PartitionLogIndex, _ maxCount: Int, _ maxBytes: Int) -> [PartitionLogRecord]? {
        guard var offset = bufferOffset(of: index), maxCount > 0 else { return nil }
        var found: [PartitionLogRecord] = []
        var bytes = 0
        while offset < buffer.count, found.count < maxCount {
            let record = buffer[offset]
            if !found.isEmpty, bytes + record.byteCount > maxBytes { break }
            found.append(record)
            bytes += record.byteCount
            offset += 1
        }
        return found
    }

    /// Where a record stands in the Raft log, and the partition chain there: of any record held, and of the one before
    /// the first that is held. For the index 0 it is the start of every chain.
    public func line(at index: PartitionLogIndex) async throws(LogError) -> SystemCheckpoint.Line? {
        if index == 0 { return SystemCheckpoint.Line(partition: partition, persisted: 0, raftIndex: 0, chain: .zero) }
        if let persistedLine, persistedLine.persisted == index { return persistedLine }
        try await pool.open(self)
        if let first = segments.first, first.base.index.rawValue == index.rawValue { return first.baseLine(partition) }
        guard index >= startIndex, index <= writtenIndex else { return nil }
        return try await batch(holding: index).line(at: index, of: partition)
    }

    /// True when the files hold the record at `index` as the Raft log has it.
    public func holds(_ index: PartitionLogIndex, raftIndex: RaftIndex, term: Term) async throws(LogError) -> Bool {
        guard let record = try await records(from: index, maxCount: 1, maxBytes: 0).first else { return false }
        return record.position.raftIndex == raftIndex && record.position.term == term
    }
}

/// One segment file of a partition log.
struct PartitionSegment {
    var id: SegmentID
    var path: String
    var incarnation: SegmentIncarnation = 0
    var seed: LinkSeed
    /// Index of the first record in it. A segment that was begun behind a truncation may begin below its predecessor's:
    /// of two that could hold an index the later one does.
    var firstIndex: UInt64
    /// The record before the first one in it, and where that stands in the Raft log.
    var base = LogBoundary.zero
    var baseRaftIndex: RaftIndex = 0
    func baseLine(_ partition: PartitionID) -> SystemCheckpoint.Line {
        SystemCheckpoint.Line(
            partition: partition, persisted: PartitionLogIndex(base.index.rawValue), raftIndex: baseRaftIndex,
            chain: base.chain)
    }

    /// The same as a place in the partition's history.
    var before: PartitionPoint {
        PartitionPoint(
            partitionIndex: PartitionLogIndex(base.index.rawValue), raftIndex: baseRaftIndex, term: base.term,
            chain: base.chain)
    }

    /// Where each batch of records begins, ascending; empty while the segment has not been read.
    var batches: [BatchPlace] = []
    var isIndexed = false
    /// Behind the last batch.
    var end: UInt64
    /// Length of the file.
    var allocatedBytes: UInt64
    var alignmentBytes: Int

    struct BatchPlace {
        var firstIndex: UInt64
        var offset: UInt64
    }
}

extension [PartitionSegment.BatchPlace] {
    /// The position of the first batch that begins behind an index.
    func firstPlace(behind index: UInt64) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle].firstIndex <= index { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// Where a partition's stream ends, and what its next batch must carry.
struct PartitionStreamTail {
    var logID = UniqueID.none
    var epoch: StreamEpoch = 1
    /// The epoch to announce with the next batch, after an open that found batches.
    var announces: StreamEpoch?
    var acceptedEnd = StreamPosition.zero
    var discardedBytes: UInt64 = 0
    var link = PhysicalLink.zero
    /// The end of the stream that was durable when the last sync returned.
    var durable = StreamPosition.zero
    /// The last record written: index, term, chain, and its Raft index.
    var last = LogBoundary.zero
    var lastRaftIndex: RaftIndex = 0
    /// A segment was made and its directory not synced since.
    var needsDirectorySync = false

    /// The last record as a place in the partition's history.
    var point: PartitionPoint {
        PartitionPoint(
            partitionIndex: PartitionLogIndex(last.index.rawValue), raftIndex: lastRaftIndex, term: last.term,
            chain: last.chain)
    }
}
