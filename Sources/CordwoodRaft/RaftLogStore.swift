public import CordwoodBase

/// The durable log under a Raft node: entries, vote and boundary in one ordered stream.
///
/// A store belongs to one serial loop. Positions, `append`, `replaceSuffix`, `truncate`, `recordVote` and tickets are
/// synchronous; what may wait for a disk is `async`. An entry is readable as soon as `append` returns and durable once
/// its ticket is. NuRaft's names stand in brackets, for mapping only.
public protocol RaftLogStore: AnyObject {
    /// Everything about the log at once.
    var state: LogState { get }

    /// Last index + 1; 1 on a fresh store. [next_slot]
    var nextIndex: RaftIndex { get }

    /// Lowest index that can be read; 1 at birth, boundary + 1 after compaction. [start_index]
    var startIndex: RaftIndex { get }

    /// Position of the last entry, or of the boundary when no entry is held; `nil` on a virgin store. [last_entry]
    var lastEntry: LogPosition? { get }

    /// Highest index of the contiguous durable prefix. Falls only by truncation, and then before the call returns.
    /// [last_durable_index]
    var durableIndex: RaftIndex { get }

    /// Term at an index: of the boundary at `startIndex - 1`, 0 at index 0 of a virgin store, `nil` from `nextIndex`
    /// on.
    /// Throws `.purged` below the boundary. [term_at]
    func term(at index: RaftIndex) throws(LogError) -> Term?

    /// Takes entries at `nextIndex` and following. Refuses a gap or an index that is there already. The caller keeps
    /// nothing that the store needs. [append]
    func append(_ entries: [Entry]) throws(LogError) -> LogTicket

    /// Drops `index` and everything after it and takes `entries` from there on, in one atomic step. [write_at]
    func replaceSuffix(from index: RaftIndex, with entries: [Entry]) throws(LogError) -> LogTicket

    /// Drops everything after `index`; beyond the end it changes nothing.
    func truncate(after index: RaftIndex) throws(LogError) -> LogTicket

    /// Puts term and vote into the same ordered stream.
    func recordVote(_ vote: Vote) throws(LogError) -> LogTicket

    /// Submits the open batch: the group-commit point. [end_of_append_batch]
    func endBatch()

    /// A hint at the highest committed index, written with the next batch; ignored when it is behind. Never moves a
    /// hint ahead of durable entries.
    func updateCommit(_ index: RaftIndex)

    /// Called on the loop whenever the durable position has moved, after the new value can be seen.
    var onProgress: ((LogProgress) -> Void)? { get set }

    /// Returns once what the ticket names is durable. Throws `.stale` when a truncation dropped it, `.poisoned` when it
    /// can never be.
    func waitUntilDurable(_ ticket: LogTicket) async throws(LogError)

    /// The longest prefix of the range that fits `maxBytes` of payload, at least one entry; `nil` is no limit. Any
    /// index of that prefix missing or damaged is the error. [log_entries_ext]
    func entries(in range: Range<RaftIndex>, maxBytes: Int?) async throws(LogError) -> [Entry]

    /// The entry; `.notFound` from `nextIndex` on, `.purged` below `startIndex`. [entry_at]
    func entry(at index: RaftIndex) async throws(LogError) -> Entry

    /// Encodes a range for `install` elsewhere. [pack]
    func export(_ range: Range<RaftIndex>) async throws(LogError) -> [UInt8]

    /// Puts an exported range at `index`, replacing what is there and after it. Durable on return; damaged bytes change
    /// nothing. [apply_pack]
    func install(_ exported: [UInt8], at index: RaftIndex) async throws(LogError)

    /// Moves the logical start behind `index` at once; on return the new boundary is durable. Beyond the last index
    /// the caller gives the boundary (term and chain at `index`), which only a snapshot knows. [compact]
    func compact(through index: RaftIndex, boundary: LogBoundary?) async throws(LogError)

    /// Everything appended before the call is durable on return. [flush]
    func flush() async throws(LogError)

    /// Drains what is in flight, writes the last promise and releases the directory. Idempotent; later calls throw
    /// `.closed`.
    func close() async throws(LogError)
}

extension RaftLogStore {
    /// Term and vote, durable on return.
    public func saveVote(_ vote: Vote) async throws(LogError) {
        let ticket = try recordVote(vote)
        endBatch()
        try await waitUntilDurable(ticket)
    }
}

/// Names what a durable write vouches for: everything in the stream up to this point of this epoch.
@frozen
public struct LogTicket: Hashable, Sendable {
    public var epoch: StreamEpoch
    /// Last Raft index that the write covers.
    public var index: RaftIndex
    /// Position in the order of calls; rises by one with each ticket.
    public var sequence: UInt64

    @inlinable
    public init(epoch: StreamEpoch, index: RaftIndex, sequence: UInt64) {
        self.epoch = epoch
        self.index = index
        self.sequence = sequence
    }
}

/// What became durable.
public struct LogProgress: Hashable, Sendable {
    /// The durable position now.
    public var durableIndex: RaftIndex
    /// Every ticket up to this sequence is settled.
    public var sequence: UInt64
    /// Not `nil` when the store can never make anything durable again.
    public var failure: LogError?

    public init(durableIndex: RaftIndex, sequence: UInt64, failure: LogError? = nil) {
        self.durableIndex = durableIndex
        self.sequence = sequence
        self.failure = failure
    }
}

/// The last purged entry, or the one a snapshot ends with: index, term and entry chain.
@frozen
public struct LogBoundary: Hashable, Sendable {
    public var index: RaftIndex
    public var term: Term
    public var chain: ChainValue

    @inlinable
    public init(index: RaftIndex, term: Term, chain: ChainValue) {
        self.index = index
        self.term = term
        self.chain = chain
    }

    /// Before the first entry.
    public static let zero = LogBoundary(index: 0, term: 0, chain: .zero)
}

/// Whether a store can still write.
public enum LogHealth: Hashable, Sendable {
    case ok
    /// Damage was found that recovery could not explain away: reads of the intact part go on, nothing is written.
    case readOnly
    /// A write or sync failed: nothing more is written until the store is reopened; reads go on.
    case poisoned
    case closed
}

/// The state of a log at one moment.
public struct LogState: Hashable, Sendable {
    public var boundary: LogBoundary
    public var startIndex: RaftIndex
    public var nextIndex: RaftIndex
    public var durableIndex: RaftIndex
    public var vote: Vote
    public var commitHint: RaftIndex
    public var epoch: StreamEpoch
    public var health: LogHealth

    public init(
        boundary: LogBoundary, startIndex: RaftIndex, nextIndex: RaftIndex, durableIndex: RaftIndex, vote: Vote,
        commitHint: RaftIndex, epoch: StreamEpoch, health: LogHealth
    ) {
        self.boundary = boundary
        self.startIndex = startIndex
        self.nextIndex = nextIndex
        self.durableIndex = durableIndex
        self.vote = vote
        self.commitHint = commitHint
        self.epoch = epoch
        self.health = health
    }
}
