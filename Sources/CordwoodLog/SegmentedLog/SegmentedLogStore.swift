public import CordwoodBase
internal import CordwoodIO
public import CordwoodRaft

/// The Raft log of a node: one ordered stream of entries, votes and boundaries in append-only segments.
///
/// The store is confined to its loop. Calls that change the log take effect in memory at once and return a ticket; the
/// records they framed go out with the next group commit. What is in memory is bounded: recent entries by
/// `cacheBytes`, positions by marks and runs (see `LogContents`); older entries are read back and verified.
public final class SegmentedLogStore: RaftLogStore {
    public let directory: String
    public let identity: LogIdentity
    public let options: LogStoreOptions
    /// What opening found and did.
    public let recovery: RecoveryReport

    public var onProgress: ((LogProgress) -> Void)?
    /// Called when the newest segment changes its state.
    public var onTailEvent: ((TailEvent) -> Void)? {
        get { stream?.onTailEvent }
        set { stream?.onTailEvent = newValue }
    }

    let seams: Seams
    /// `nil` when the log was opened for reading only.
    let stream: AppendOnlyFile?
    let commit: GroupCommit?
    var lock: (any FileLock)?
    let readers: SegmentReaders
    /// The segments when there is no stream.
    let readOnlySegments: [SegmentSummary]

    var contents: LogContents {
        _read { yield ownedContents.value }
        _modify { yield &ownedContents.value }
    }
    private let ownedContents: Owned<LogContents>
    /// Recent entries, always including those that are not durable yet.
    var recent: IndexedQueue<Entry> {
        _read { yield ownedRecent.value }
        _modify { yield &ownedRecent.value }
    }
    private let ownedRecent: Owned<IndexedQueue<Entry>>
    var recentBytes = 0
    /// Entries from this index on stay in memory, whatever `cacheBytes` says: the owner has not handed them on.
    public var keepsFrom = RaftIndex(UInt64.max)
    var durable: RaftIndex
    /// The last entry that a sync covers, where durability is relaxed.
    var hardened: RaftIndex
    /// The highest committed index that was told; the hint follows it as entries become durable.
    var committed: RaftIndex = 0
    var health: LogHealth
    var failure: LogError?

    /// Number of the last ticket handed out, and of the last one settled.
    var sequence: UInt64 = 0
    var settledSequence: UInt64 = 0
    /// Truncations that a ticket may be older than: indexes rise with the epochs.
    var truncations: [(epoch: StreamEpoch, index: RaftIndex)] = []
    var waiters: [(sequence: UInt64, continuation: UnsafeContinuation<Void, Never>)] = []
    /// Where the log starts for its readers while a compaction still looks up its boundary.
    var pendingStart: RaftIndex = 1
    /// The next entry is the first behind a truncation or another replacement, or may be: the log may have ended with
    /// one.
    var followsReplacement = true
    /// Rises with every truncation and replacement: a read that awaited looks at it.
    var revision = 0

    /// Where the newest complete checkpoint begins: as placed, and as durable.
    var placedCheckpoint: StreamPosition?
    var durableCheckpoint: StreamPosition?
    var unfinishedCheckpoint: StreamPosition?
    var floor: RaftIndex = 1
    var isFreeing = false

    init(
        directory: String, identity: LogIdentity, options: LogStoreOptions, recovery: RecoveryReport,
        stream: AppendOnlyFile?, segments: [SegmentSummary], contents: LogContents, checkpoint: StreamPosition?,
        failure: LogError?, lock: any FileLock, seams: Seams
    ) {
        self.directory = directory
        self.identity = identity
        self.options = options
        self.recovery = recovery
        self.seams = seams
        self.stream = stream
        self.lock = lock
        ownedContents = Owned(contents)
        self.failure = failure
        readOnlySegments = segments
        readers = SegmentReaders(files: seams.files)
        ownedRecent = Owned(IndexedQueue(firstIndex: contents.nextIndex))
        durable = contents.last.index
        hardened = durable
        committed = contents.commitHint
        health = stream == nil ? .readOnly : .ok
        placedCheckpoint = checkpoint
        durableCheckpoint = checkpoint
        if let stream {
            commit = GroupCommit(
                stream: stream,
                limits: .init(
                    batchBytes: min(options.batchBytes, Int(options.segmentBytes / 2)),
                    batchRecords: options.batchRecords, depth: options.depth,
                    promiseDelayNanoseconds: options.promiseDelayNanoseconds),
                state: StreamState(), seams: seams, currentState: { StreamState() },
                carry: { predecessor, state in
                    CarryRecord(
                        identity: identity, epoch: stream.epoch, vote: state.vote, commitHint: state.commitHint,
                        boundary: state.boundary, predecessor: predecessor, last: state.last,
                        checkpoint: state.checkpoint, firstSegment: state.firstSegment, gates: state.gates)
                })
        } else {
            commit = nil
        }
        connect()
    }

    deinit { commit?.abandon() }

    /// Closes the circle between the store and its group commit.
    private func connect() {
        guard let commit else { return }
        commit.start(with: streamState())
        commit.placedCheckpoint = placedCheckpoint
        commit.currentState = { [unowned self] in streamState() }
        commit.onPlaced = { [unowned self] batch, placed in notePlaced(batch, placed) }
        commit.onDurable = { [unowned self] batch in noteDurable(batch) }
        commit.onSettled = { [unowned self] in announceProgress() }
        commit.onFailure = { [unowned self] error in poison(error) }
    }

    private func streamState() -> StreamState {
        contents.noteCommit(min(committed, durable))
        return StreamState(
            vote: contents.vote, commitHint: contents.commitHint, boundary: contents.boundary, last: contents.last,
            gates: contents.gates, firstSegment: contents.firstSegment)
    }

    // MARK: Positions

    public var nextIndex: RaftIndex { contents.nextIndex }
    public var startIndex: RaftIndex { max(contents.startIndex, pendingStart) }
    public var durableIndex: RaftIndex { durable }

    /// The last entry that no power cut takes: `durableIndex`, unless durability is relaxed.
    public var hardenedIndex: RaftIndex { options.syncsBatches ? durable : hardened }

    public var lastEntry: LogPosition? {
        contents.last.index == 0 ? nil : LogPosition(index: contents.last.index, term: contents.last.term)
    }

    public func term(at index: RaftIndex) throws(LogError) -> Term? {
        guard index.next >= startIndex else { throw .purged(index) }
        return contents.terms.term(at: index)
    }

    /// Where each term begins, from the first entry held to the last: what a core is started from.
    public var termRuns: [TermRun] { contents.terms.behindBoundary }

    public var state: LogState {
        LogState(
            boundary: contents.boundary, startIndex: startIndex, nextIndex: nextIndex, durableIndex: hardenedIndex,
            vote: contents.vote, commitHint: max(contents.commitHint, min(committed, durable)), epoch: contents.epoch,
            health: health)
    }

    /// The index that the next entry of a partition takes: uncommitted entries count.
    public func nextPartitionIndex(_ partition: PartitionID) -> PartitionLogIndex {
        contents.tails[partition].partitionIndex.next
    }

    /// The Raft index of a partition's last entry in this log, 0 if there is none.
    public func lastRaftIndex(of partition: PartitionID) -> RaftIndex { contents.tails[partition].raftIndex }

    /// A partition's last entry in this log, uncommitted ones included: its partition index and Raft index, 0 for none.
    /// `nil` when the partition may have had entries that this log does not show.
    public func partitionTail(of partition: PartitionID) -> (partitionIndex: PartitionLogIndex, raftIndex: RaftIndex)? {
        let tail = contents.tails[partition]
        if tail == .none, contents.tails.unknownThrough > 0 { return nil }
        return (tail.partitionIndex, tail.raftIndex)
    }

    /// What truncations have dropped that partition files may still hold: see `DroppedRecord`.
    public var droppedRecords: [DroppedRecord] { contents.dropped }

    /// No partition file holds any of the dropped records any more.
    public func forgetDroppedRecords() { contents.forgetDropped() }

    /// The entry chain at an index from the boundary to the last entry, as far as it is kept in memory.
    public func recentChain(at index: RaftIndex) -> ChainValue? { contents.chain(at: index) }

    /// The newest complete system checkpoint.
    public var checkpoint: SystemCheckpoint? { contents.checkpoint }

    /// A Raft snapshot's installation that no system checkpoint has followed yet: what it says is redone.
    public var installation: InstallRecord? { contents.installation }

    /// The gates in force, oldest first.
    public var gates: [GateRecord] { contents.gates }

    /// How much of the stream was asked to be durable and how much is.
    public var durability: DurabilityCursor { stream?.cursor ?? DurabilityCursor() }

    /// The segments of the stream, oldest first.
    public var segments: [SegmentSummary] { stream?.segments ?? readOnlySegments }

    // MARK: Progress

    private func notePlaced(_ batch: GroupCommit.Batch, _ placed: AppendOnlyFile.PlacedBatch) {
        if let first = batch.firstIndex {
            contents.index.note(
                first: first, position: placed.position, previousLink: placed.previousLink,
                isForced: batch.followsReplacement)
        }
        if batch.beginsCheckpoint { unfinishedCheckpoint = placed.position }
        if batch.endsCheckpoint {
            placedCheckpoint = unfinishedCheckpoint
            commit?.placedCheckpoint = unfinishedCheckpoint
        }
    }

    private func noteDurable(_ batch: GroupCommit.Batch) {
        settledSequence = max(settledSequence, batch.sequence)
        durable = max(durable, batch.lastIndex)
        if batch.endsCheckpoint { durableCheckpoint = placedCheckpoint }
    }

    private func announceProgress() {
        evictRecent()
        onProgress?(LogProgress(durableIndex: durable, sequence: settledSequence))
        wakeWaiters(through: settledSequence)
    }

    func poison(_ error: LogError) {
        guard failure == nil else { return }
        failure = error
        health = .poisoned
        onProgress?(LogProgress(durableIndex: durable, sequence: settledSequence, failure: error))
        wakeWaiters(through: .max)
    }

    func wakeWaiters(through sequence: UInt64) {
        guard let first = waiters.first, first.sequence <= sequence else { return }
        let count = waiters.firstIndex { $0.sequence > sequence } ?? waiters.count
        let woken = waiters[..<count]
        waiters.removeFirst(count)
        for waiter in woken { waiter.continuation.resume() }
    }

    /// Drops the oldest recent entries beyond the bound, as far as they are durable and nobody counts on them.
    func evictRecent() {
        let limit = min(durable.next, keepsFrom)
        while recentBytes > options.cacheBytes, !recent.isEmpty, recent.firstIndex < limit {
            recentBytes -= recent.withFirst { $0.payload.count } + EntryRecord.slicesOffset
            recent.removeFirst()
        }
    }

    /// The first entry that would stay in memory if all below `limit` might go: where the bound on memory is kept.
    public func firstIndexWorthKeeping(below limit: RaftIndex) -> RaftIndex {
        var excess = recentBytes - options.cacheBytes
        var index = recent.firstIndex
        let limit = min(limit, durable.next, recent.endIndex)
        while excess > 0, index < limit, let entry = recent[index] {
            excess -= entry.payload.count + EntryRecord.slicesOffset
            index = index.next
        }
        return index
    }

    /// The recent entries of a range, all of which must be in memory: those that are not durable yet always are, and
    /// those from `keepsFrom` on. Shares the store's memory: let go of it before the next append.
    public func recentEntries(in range: Range<RaftIndex>) -> ArraySlice<Entry> {
        invariant(
            range.lowerBound >= recent.firstIndex && range.upperBound <= recent.endIndex,
            "entries \(range) of which \(recent.firstIndex)..<\(recent.endIndex) are in memory")
        return recent.values(in: range)
    }

    /// The first entry that is in memory; behind the last when there is none.
    public var firstRecentIndex: RaftIndex { recent.firstIndex }

    /// Throws when nothing can be written any more.
    func requireWritable() throws(LogError) -> GroupCommit {
        switch health {
        case .ok: break
        case .closed: throw .closed
        case .poisoned, .readOnly: throw failure ?? .closed
        }
        guard let commit else { throw failure ?? .closed }
        return commit
    }

    public func close() async throws(LogError) {
        guard health != .closed else { return }
        let wasWritable = health == .ok
        health = .closed
        if wasWritable { await commit?.finish() }
        await readers.closeAll()
        await stream?.close()
        lock?.release()
        lock = nil
        let unfinished = settledSequence < sequence || !options.syncsBatches && failure != nil
        wakeWaiters(through: .max)
        if wasWritable, unfinished { throw failure ?? .noSpace("entries without space for a segment were dropped") }
    }
}
