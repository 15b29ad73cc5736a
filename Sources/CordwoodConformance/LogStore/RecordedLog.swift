public import CordwoodBase
public import CordwoodRaft

/// A store whose every operation is written down: what was asked for, and what of it was acknowledged.
///
/// A log store has one ordered stream, so after a crash it must hold what it held after some number of operations: at
/// least those that were acknowledged, at most those that were begun.
public final class RecordedLog {
    public let store: any RaftLogStore

    /// The log as it is once everything that was begun is done.
    private(set) var model = LogModel()

    private let ledger: CrashLedger<LogReading>
    private var unawaited: [(number: Int, ticket: LogTicket)] = []

    init(_ store: any RaftLogStore, _ ledger: CrashLedger<LogReading>) {
        self.store = store
        self.ledger = ledger
    }

    // MARK: Operations

    /// Begins an append; `await` it with `settle`.
    public func begin(append count: Int, term: Term, payloadBytes: Int = 100) throws {
        let entries = model.sampleEntries(count, term: term, payloadBytes: payloadBytes)
        var next = model
        _ = try next.extend(with: entries)
        begun(next, try store.append(entries))
    }

    public func begin(replaceFrom index: RaftIndex, count: Int, term: Term, payloadBytes: Int = 100) throws {
        let entries = model.sampleEntries(count, term: term, from: index, payloadBytes: payloadBytes)
        var next = model
        next.apply(.truncate(after: index.previous))
        _ = try next.extend(with: entries)
        begun(next, try store.replaceSuffix(from: index, with: entries))
    }

    public func begin(truncateAfter index: RaftIndex) throws {
        var next = model
        next.apply(.truncate(after: index))
        begun(next, try store.truncate(after: index))
    }

    public func begin(vote: Vote) throws {
        var next = model
        next.apply(.vote(vote))
        begun(next, try store.recordVote(vote))
    }

    public func append(_ count: Int, term: Term, payloadBytes: Int = 100) async throws {
        try begin(append: count, term: term, payloadBytes: payloadBytes)
        try await settle()
    }

    public func replaceSuffix(from index: RaftIndex, count: Int, term: Term, payloadBytes: Int = 100) async throws {
        try begin(replaceFrom: index, count: count, term: term, payloadBytes: payloadBytes)
        try await settle()
    }

    public func truncate(after index: RaftIndex) async throws {
        try begin(truncateAfter: index)
        try await settle()
    }

    public func vote(_ vote: Vote) async throws {
        try begin(vote: vote)
        try await settle()
    }

    /// Compacts. Beyond the last index the boundary's chain value is made up, as if a snapshot knew it.
    public func compact(through index: RaftIndex, term: Term = 1) async throws {
        var next = model
        var boundary: LogBoundary?
        if index >= next.nextIndex {
            boundary = LogBoundary(
                index: index, term: term, chain: ChainValue(high: index.rawValue, low: term.rawValue))
        }
        next.apply(.compact(try boundary ?? next.boundary(at: index)))
        let number = begin(next)
        try await store.compact(through: index, boundary: boundary)
        ledger.acknowledge(number)
    }

    /// Exports a range of the log and installs it in its own place, which drops what follows it.
    public func reinstall(_ range: Range<RaftIndex>) async throws {
        let exported = try await store.export(range)
        var next = model
        next.apply(.truncate(after: range.upperBound.previous))
        let number = begin(next)
        try await store.install(exported, at: range.lowerBound)
        ledger.acknowledge(number)
    }

    /// Ends the batch and waits for everything that was begun.
    public func settle() async throws {
        store.endBatch()
        for (number, ticket) in unawaited {
            do { try await store.waitUntilDurable(ticket) } catch LogError.stale { continue }
            ledger.acknowledge(number)
        }
        unawaited = []
    }

    private func begun(_ next: LogModel, _ ticket: LogTicket) { unawaited.append((begin(next), ticket)) }

    private func begin(_ next: LogModel) -> Int {
        model = next
        return ledger.begin(LogReading(next))
    }
}

/// All that a store holds, read through its contract.
struct LogReading: Hashable {
    var boundary: LogBoundary
    var entries: [Entry]
    var vote: Vote

    init(_ store: any RaftLogStore) async throws(LogError) {
        boundary = store.state.boundary
        vote = store.state.vote
        entries = try await store.entries(in: store.startIndex..<store.nextIndex, maxBytes: nil)
    }

    init(_ contents: LogModel) {
        boundary = contents.boundary
        entries = contents.entries
        vote = contents.vote
    }

    var summary: String {
        let ends = entries.first.map { "\($0.position) to \(entries[entries.count - 1].position)" } ?? "none"
        return "boundary \(boundary.term)/\(boundary.index), \(entries.count) entries (\(ends)), "
            + "vote \(vote.term)/\(vote.candidate)"
    }
}
