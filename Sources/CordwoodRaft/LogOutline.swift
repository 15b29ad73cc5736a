public import CordwoodBase

/// Indexes from `first` on, up to the next run, have this term.
public struct TermRun: Hashable, Sendable {
    public var first: RaftIndex
    public var term: Term

    public init(first: RaftIndex, term: Term) {
        self.first = first
        self.term = term
    }
}

/// What the core knows of an entry that comes with a message.
@frozen
public struct EntryHead: Hashable, Sendable {
    public var term: Term
    /// Payload bytes.
    public var size: UInt32
    public var type: EntryType

    @inlinable
    public init(term: Term, size: UInt32, type: EntryType) {
        self.term = term
        self.size = size
        self.type = type
    }
}

/// The core's picture of the log: where each term begins, the boundary behind which nothing is held, how far it is
/// durable, committed and applied, the sizes of the newest entries, and where configuration entries are.
///
/// boundary <= applied <= committed <= last holds at all times, but for a snapshot that is being installed:
/// `applied` follows when it is durable. `durable <= last`; `committed` may be ahead of `durable`.
struct LogOutline: Sendable {
    /// The last entry that is not held, or what a snapshot ended with.
    private(set) var boundary: LogPosition
    private(set) var last: RaftIndex
    /// Runs of `boundary.index + 1 ... last`, ascending in index and term.
    private var runs: [TermRun]
    private(set) var durable: RaftIndex
    private(set) var committed: RaftIndex
    private(set) var applied: RaftIndex
    /// A snapshot that replaced the log and is not durable yet.
    private(set) var installing: LogPosition?
    private(set) var sizes: SizeLedger
    /// Indexes of the configuration entries above `applied`, ascending.
    private var configurationEntries: [RaftIndex]

    init(start: borrowing RaftStart) {
        boundary = start.boundary
        last = start.lastIndex
        runs = start.termRuns
        durable = start.lastIndex
        committed = start.commit
        applied = start.applied
        sizes = SizeLedger(last: start.lastIndex)
        configurationEntries = start.configurationEntries
    }

    var firstIndex: RaftIndex { boundary.index.next }

    var lastTerm: Term { runs.last?.term ?? boundary.term }

    var lastPosition: LogPosition { LogPosition(index: last, term: lastTerm) }

    /// The term at an index from the boundary to the end, otherwise `nil`.
    @inline(__always)
    func term(at index: RaftIndex) -> Term? {
        if index > last || index < boundary.index { return nil }
        var place = runs.count - 1
        while place >= 0 {
            if runs[place].first <= index { return runs[place].term }
            place -= 1
        }
        return boundary.term
    }

    func holds(_ position: LogPosition) -> Bool { term(at: position.index) == position.term }

    /// Whether a log that ends at `other` has at least what this one has.
    func isMatched(by other: LogPosition) -> Bool {
        other.term > lastTerm || (other.term == lastTerm && other.index >= last)
    }

    /// The largest index at or below `index` whose term is at most `term`, with that term, 0 where the term is not
    /// known any more: where two logs that differ in these terms can at best agree.
    func agreement(atOrBelow index: RaftIndex, term: Term) -> LogPosition {
        var index = index
        while index > 0 {
            guard let own = self.term(at: index) else { return LogPosition(index: index, term: 0) }
            if own <= term { return LogPosition(index: index, term: own) }
            // The whole run is too new; go to the entry before it.
            index = (runs.last { $0.first <= index }?.first ?? index).previous
        }
        return LogPosition(index: 0, term: 0)
    }

    @inline(__always)
    mutating func append(term: Term, size: UInt64, type: EntryType) {
        last = last.next
        if lastTerm != term || runs.isEmpty {
            invariant(term >= lastTerm, "entry of term \(term) behind \(lastPosition)")
            runs.append(TermRun(first: last, term: term))
        }
        sizes.append(size)
        if type == .configuration { configurationEntries.append(last) }
    }

    /// Drops everything after `index`. What was derived from the dropped entries goes with them.
    mutating func truncate(after index: RaftIndex) {
        invariant(index >= committed, "truncation after \(index) below commit \(committed): \(self)")
        if index >= last { return }
        last = index
        while let run = runs.last, run.first > index { runs.removeLast() }
        while let entry = configurationEntries.last, entry > index { configurationEntries.removeLast() }
        durable = min(durable, index)
        sizes.truncate(after: index)
    }

    mutating func markDurable(through index: RaftIndex) {
        invariant(index <= last, "durable through \(index) beyond the end: \(self)")
        durable = max(durable, index)
    }

    mutating func commit(through index: RaftIndex) {
        invariant(index <= last, "commit \(index) beyond the end: \(self)")
        committed = max(committed, index)
    }

    mutating func apply(through index: RaftIndex) {
        invariant(index <= committed, "applied through \(index) beyond commit: \(self)")
        invariant(index >= applied, "applied moved back to \(index): \(self)")
        applied = index
        if let first = configurationEntries.first, first <= index {
            configurationEntries.removeAll { $0 <= index }
        }
    }

    /// Whether a committed change of the configuration is not applied yet.
    var hasUnappliedConfiguration: Bool { configurationEntries.first.map { $0 <= committed } ?? false }

    /// Moves the boundary to `index`, which is applied.
    mutating func compact(through index: RaftIndex) {
        guard index > boundary.index, let term = term(at: index) else { return }
        invariant(index <= committed, "compaction through \(index) beyond commit: \(self)")
        let kept = runs.lastIndex { $0.first <= index.next } ?? 0
        runs.removeFirst(kept)
        if let run = runs.first, run.first <= index { runs[0].first = index.next }
        if last == index { runs.removeAll(keepingCapacity: true) }
        boundary = LogPosition(index: index, term: term)
        sizes.evict(through: index)
    }

    /// The node no longer has the payloads through `index` at hand. Those not durable yet it must have.
    mutating func evict(through index: RaftIndex) { sizes.evict(through: min(index, durable)) }

    /// Replaces the log by a snapshot that is being installed.
    mutating func install(_ snapshot: LogPosition) {
        boundary = snapshot
        last = snapshot.index
        durable = snapshot.index
        committed = snapshot.index
        runs.removeAll(keepingCapacity: true)
        configurationEntries.removeAll(keepingCapacity: true)
        sizes.restart(after: snapshot.index)
        installing = snapshot
    }

    /// The snapshot is durable; `applied` follows it.
    mutating func installed(_ snapshot: LogPosition) {
        if installing == snapshot { installing = nil }
        apply(through: max(applied, snapshot.index))
    }
}

extension LogOutline: CustomStringConvertible {
    var description: String {
        "log behind \(boundary) to \(lastPosition), durable \(durable), committed \(committed), applied \(applied)"
            + (installing.map { ", installing \($0)" } ?? "")
    }
}
