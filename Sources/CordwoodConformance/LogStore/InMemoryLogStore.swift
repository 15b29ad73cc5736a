public import CordwoodBase
public import CordwoodIO
public import CordwoodRaft

/// A log store without a disk: the contract of `RaftLogStore` and nothing else.
///
/// It holds the log twice, as callers see it and as it would be after a crash. Between the two stand batches in their
/// order: the open one, and those under way. A batch that completes is applied to the durable copy as a whole, at once,
/// after a delay, or when a test says so.
public final class InMemoryLogStore: RaftLogStore {
    /// When a batch that was ended becomes durable.
    public enum Completion {
        /// Before `endBatch` returns.
        case immediate
        /// So many nanoseconds later by a clock, in order.
        case delayed(any Clock, nanoseconds: UInt64)
        /// When `completeBatch` is called.
        case manual
    }

    /// What a crash leaves of a store.
    public struct Remains: Sendable {
        var contents = LogModel()
        var epoch: StreamEpoch = 0

        /// Nothing: a store made from it is a fresh one.
        public init() {}
    }

    private struct Batch {
        var operations: [LogOperation] = []
        /// The last ticket that was handed out when the batch was ended.
        var lastSequence: UInt64 = 0
        var epoch: StreamEpoch

        /// The lowest end to which the batch cuts the log.
        var durableLimit: RaftIndex {
            var limit = RaftIndex(rawValue: .max)
            for case .truncate(let end) in operations { limit = min(limit, end) }
            return limit
        }
    }

    public var onProgress: ((LogProgress) -> Void)?

    private let completion: Completion
    private var current: LogModel
    private var durable: LogModel
    private var durableEpoch: StreamEpoch
    private var epoch: StreamEpoch
    private var open: Batch
    private var underWay: [Batch] = []
    private var lastSequence: UInt64 = 0
    private var settledSequence: UInt64 = 0
    /// Tickets for entries, while they are not settled.
    private var entryTickets: [UInt64: RaftIndex] = [:]
    private var staleTickets: Set<UInt64> = []
    private var waiters: [(sequence: UInt64, continuation: UnsafeContinuation<Void, Never>)] = []
    private var nextBatchFailure: String?
    private var failure: String?
    private var isClosed = false

    /// Opens what a crash or a close has left, under a new epoch.
    public init(_ remains: Remains = Remains(), completion: Completion = .immediate) {
        self.completion = completion
        current = remains.contents
        durable = remains.contents
        epoch = remains.epoch.next
        durableEpoch = remains.epoch.next
        open = Batch(epoch: remains.epoch.next)
    }

    // MARK: Positions

    public var state: LogState {
        LogState(
            boundary: current.boundary, startIndex: startIndex, nextIndex: nextIndex, durableIndex: durableIndex,
            vote: current.vote, commitHint: current.commitHint, epoch: epoch, health: health)
    }

    private var health: LogHealth { isClosed ? .closed : failure == nil ? .ok : .poisoned }

    public var nextIndex: RaftIndex { current.nextIndex }
    public var startIndex: RaftIndex { current.startIndex }
    public var lastEntry: LogPosition? { current.lastEntry }

    /// The durable prefix of the log as it is now: what a batch under way is about to drop does not count.
    public var durableIndex: RaftIndex {
        var index = durable.lastIndex
        for batch in underWay { index = min(index, batch.durableLimit) }
        return min(index, open.durableLimit)
    }

    public func term(at index: RaftIndex) throws(LogError) -> Term? { try current.term(at: index) }

    /// The index that the next entry of a partition must have.
    public func nextPartitionIndex(_ partition: PartitionID) -> PartitionLogIndex {
        current.nextPartitionIndex(partition)
    }

    // MARK: Writing

    public func append(_ entries: [Entry]) throws(LogError) -> LogTicket {
        try checkWritable()
        return take([.append(try current.extend(with: entries))])
    }

    public func replaceSuffix(from index: RaftIndex, with entries: [Entry]) throws(LogError) -> LogTicket {
        try checkWritable()
        guard index >= startIndex, index <= nextIndex else {
            throw .invalidArgument("replacement from \(index) in \(startIndex)..<\(nextIndex)")
        }
        if index == nextIndex { return try append(entries) }
        var replaced = current
        replaced.apply(.truncate(after: index.previous))
        let chained = try replaced.extend(with: entries)
        current = replaced
        raiseEpoch(dropping: index)
        return take([.truncate(after: index.previous), .append(chained)])
    }

    public func truncate(after index: RaftIndex) throws(LogError) -> LogTicket {
        try checkWritable()
        guard index.next >= startIndex else {
            throw .invalidArgument("truncation after \(index) in \(startIndex)..<\(nextIndex)")
        }
        if index.next >= nextIndex { return take([]) }
        current.apply(.truncate(after: index))
        raiseEpoch(dropping: index.next)
        return take([.truncate(after: index)])
    }

    public func recordVote(_ vote: Vote) throws(LogError) -> LogTicket {
        try checkWritable()
        current.apply(.vote(vote))
        return take([.vote(vote)])
    }

    public func updateCommit(_ index: RaftIndex) {
        let hint = min(index, durableIndex)
        guard hint > current.commitHint, health == .ok else { return }
        current.apply(.commitHint(hint))
        open.operations.append(.commitHint(hint))
    }

    public func endBatch() {
        guard failure == nil, !isClosed else { return }
        if open.operations.isEmpty, open.lastSequence <= settledSequence { return }
        let batch = open
        open = Batch(epoch: epoch)
        underWay.append(batch)
        switch completion {
        case .immediate: completeBatch()
        case .manual: break
        case .delayed(let clock, let nanoseconds):
            _ = clock.schedule(atNanoseconds: clock.monotonicNanoseconds + nanoseconds) { self.completeBatch() }
        }
    }

    /// Puts operations that callers see already into the open batch.
    private func take(_ operations: [LogOperation]) -> LogTicket {
        lastSequence += 1
        for case .append(let entries) in operations where !entries.isEmpty {
            entryTickets[lastSequence] = current.lastIndex
        }
        open.operations.append(contentsOf: operations)
        open.lastSequence = lastSequence
        return LogTicket(epoch: epoch, index: current.lastIndex, sequence: lastSequence)
    }

    private func raiseEpoch(dropping first: RaftIndex) {
        epoch = epoch.next
        open.epoch = epoch
        for (sequence, index) in entryTickets where index >= first {
            staleTickets.insert(sequence)
            entryTickets[sequence] = nil
        }
    }

    private func checkWritable() throws(LogError) {
        if isClosed { throw .closed }
        if let failure { throw .poisoned(failure) }
    }

    // MARK: Durability

    /// Batches that were ended and are not durable.
    public var batchesUnderWay: Int { underWay.count }

    /// The oldest batch under way becomes durable.
    public func completeBatch() {
        guard failure == nil, !underWay.isEmpty else { return }
        if let nextBatchFailure {
            failure = nextBatchFailure
            report()
            return
        }
        let batch = underWay.removeFirst()
        for operation in batch.operations { durable.apply(operation) }
        durableEpoch = batch.epoch
        settledSequence = max(settledSequence, batch.lastSequence)
        entryTickets = entryTickets.filter { $0.key > settledSequence }
        report()
    }

    /// The next batch that would complete fails, and with it everything after: the store is poisoned.
    public func failNextBatch(_ reason: String) { nextBatchFailure = reason }

    private func report() {
        let failed = failure.map { LogError.poisoned($0) }
        onProgress?(LogProgress(durableIndex: durableIndex, sequence: settledSequence, failure: failed))
        let ready = waiters.filter { $0.sequence <= settledSequence || failed != nil || isClosed }
        waiters.removeAll { $0.sequence <= settledSequence || failed != nil || isClosed }
        for waiter in ready { waiter.continuation.resume() }
    }

    public func waitUntilDurable(_ ticket: LogTicket) async throws(LogError) {
        guard ticket.sequence <= lastSequence else { throw .stale }
        if settledSequence < ticket.sequence, failure == nil, !isClosed {
            await withUnsafeContinuation { waiters.append((ticket.sequence, $0)) }
        }
        if staleTickets.contains(ticket.sequence) { throw .stale }
        if settledSequence >= ticket.sequence { return }
        if let failure { throw .poisoned(failure) }
        throw .closed
    }

    public func flush() async throws(LogError) {
        try checkWritable()
        let ticket = take([])
        endBatch()
        try await waitUntilDurable(ticket)
    }

    public func close() async throws(LogError) {
        if isClosed { return }
        if failure == nil {
            endBatch()
            while !underWay.isEmpty { completeBatch() }
        }
        isClosed = true
        report()
    }

    /// What a crash at this moment leaves: the durable part, and as many of the batches under way as are named.
    public func remainsAfterCrash(keepingBatches count: Int = 0) -> Remains {
        var remains = Remains()
        remains.contents = durable
        remains.epoch = durableEpoch
        for batch in underWay.prefix(count) {
            for operation in batch.operations { remains.contents.apply(operation) }
            remains.epoch = batch.epoch
        }
        return remains
    }

    // MARK: Reading

    public func entries(in range: Range<RaftIndex>, maxBytes: Int?) async throws(LogError) -> [Entry] {
        if isClosed { throw .closed }
        return try current.entries(in: range, maxBytes: maxBytes)
    }

    public func entry(at index: RaftIndex) async throws(LogError) -> Entry {
        if isClosed { throw .closed }
        return try current.entry(at: index)
    }

    // MARK: Transfer

    public func export(_ range: Range<RaftIndex>) async throws(LogError) -> [UInt8] {
        let entries = try await entries(in: range, maxBytes: nil)
        let before = range.isEmpty ? current.boundary : try current.boundary(at: range.lowerBound.previous)
        return ExportedEntries(before: before, entries: entries).encoded()
    }

    public func install(_ exported: [UInt8], at index: RaftIndex) async throws(LogError) {
        try checkWritable()
        let transfer = try ExportedEntries(decoding: exported)
        guard !transfer.entries.isEmpty else { return }
        var log = current
        var operations: [LogOperation] = []
        if log.entries.isEmpty, index > log.nextIndex {
            let before = LogBoundary(
                index: index.previous, term: transfer.before.term, chain: transfer.before.chain)
            operations.append(.begin(before))
        } else {
            guard index >= startIndex, index <= nextIndex else {
                throw .invalidArgument("installation at \(index) in \(startIndex)..<\(nextIndex)")
            }
            operations.append(.truncate(after: index.previous))
        }
        for operation in operations { log.apply(operation) }
        var moved = transfer.entries
        for position in moved.indices { moved[position].index = index + UInt64(position) }
        operations.append(.append(try log.extend(with: moved)))
        current = log
        raiseEpoch(dropping: index)
        let ticket = take(operations)
        endBatch()
        try await waitUntilDurable(ticket)
    }

    public func compact(through index: RaftIndex, boundary: LogBoundary?) async throws(LogError) {
        try checkWritable()
        guard index >= startIndex else { return }
        let new: LogBoundary
        if index < nextIndex {
            new = try current.boundary(at: index)
        } else {
            guard let boundary, boundary.index == index else {
                throw .invalidArgument("compaction through \(index), beyond \(current.lastIndex), needs its boundary")
            }
            new = boundary
        }
        current.apply(.compact(new))
        let ticket = take([.compact(new)])
        endBatch()
        try await waitUntilDurable(ticket)
    }
}
