import CordwoodBase
import CordwoodLog
import CordwoodRaft

/// What a log store holds, as a value: the model to which every store is compared.
///
/// Entries are contiguous from `boundary.index + 1` on. Every change of a log is one `LogOperation`, and `apply` is the
/// whole meaning of each; the checks that refuse an operation stand before it.
struct LogModel: Hashable, Sendable {
    /// Where a partition stands: its highest index in the log, and the Raft index of the entry that holds it.
    struct PartitionEnd: Hashable, Sendable {
        var index: PartitionLogIndex
        var raftIndex: RaftIndex
    }

    private(set) var boundary = LogBoundary.zero
    private(set) var entries: [Entry] = []
    private(set) var vote = Vote.none
    private(set) var commitHint: RaftIndex = 0
    private(set) var partitionEnds: [PartitionID: PartitionEnd] = [:]
    /// After a jump over entries that the log never held, a partition's first entry may have any index.
    private(set) var knowsAllPartitions = true

    init() {}

    var startIndex: RaftIndex { boundary.index.next }
    var nextIndex: RaftIndex { startIndex + UInt64(entries.count) }
    var lastIndex: RaftIndex { boundary.index + UInt64(entries.count) }
    var lastTerm: Term { entries.last?.term ?? boundary.term }
    var lastChain: ChainValue { entries.last?.chain ?? boundary.chain }

    /// `nil` while the log has never held anything.
    var lastEntry: LogPosition? {
        lastIndex == 0 ? nil : LogPosition(index: lastIndex, term: lastTerm)
    }

    func term(at index: RaftIndex) throws(LogError) -> Term? {
        if index >= nextIndex { return nil }
        if index == boundary.index { return boundary.term }
        return try entry(at: index).term
    }

    func entry(at index: RaftIndex) throws(LogError) -> Entry {
        if index >= nextIndex { throw .notFound(index) }
        if index < startIndex { throw .purged(index) }
        return entries[Int(index - startIndex)]
    }

    func entries(in range: Range<RaftIndex>, maxBytes: Int?) throws(LogError) -> [Entry] {
        var found: [Entry] = []
        var bytes = 0
        var index = range.lowerBound
        while index < range.upperBound {
            // An entry that does not fit ends the prefix; one that is missing is an error, since the prefix needs it.
            let entry = try entry(at: index)
            bytes += entry.payload.count
            if let maxBytes, bytes > maxBytes, !found.isEmpty { break }
            found.append(entry)
            index = index.next
        }
        return found
    }

    func boundary(at index: RaftIndex) throws(LogError) -> LogBoundary {
        if index == boundary.index { return boundary }
        let entry = try entry(at: index)
        return LogBoundary(index: index, term: entry.term, chain: entry.chain)
    }

    /// The index that the next entry of a partition must have.
    func nextPartitionIndex(_ partition: PartitionID) -> PartitionLogIndex {
        partitionEnds[partition]?.index.next ?? 1
    }

    // MARK: Checks

    /// Takes entries at the end and gives them their chain values. Takes none of them when one does not fit.
    mutating func extend(with new: [Entry]) throws(LogError) -> [Entry] {
        let end = lastIndex
        do throws(LogError) {
            for entry in new {
                guard entry.index == nextIndex else {
                    throw .invalidArgument("entry \(entry.index) where \(nextIndex) is next")
                }
                try checkSlices(of: entry)
                var chained = entry
                chained.chain = EntryChain.value(after: lastChain, entry)
                apply(.append([chained]))
            }
        } catch {
            apply(.truncate(after: end))
            throw error
        }
        return Array(entries.suffix(new.count))
    }

    private func checkSlices(of entry: Entry) throws(LogError) {
        for slice in entry.slices {
            let end = partitionEnds[slice.partition]
            if end == nil, !knowsAllPartitions { continue }
            let expected = end ?? PartitionEnd(index: 0, raftIndex: 0)
            guard slice.partitionIndex == expected.index.next, slice.previousRaftIndex == expected.raftIndex else {
                throw .invalidArgument(
                    "entry \(entry.index) has index \(slice.partitionIndex) after entry \(slice.previousRaftIndex) "
                        + "of partition \(slice.partition), which is at \(expected.index) of \(expected.raftIndex)")
            }
        }
    }

    // MARK: Changes

    mutating func apply(_ operation: LogOperation) {
        switch operation {
        case .append(let new):
            for entry in new {
                entries.append(entry)
                for slice in entry.slices {
                    partitionEnds[slice.partition] = PartitionEnd(
                        index: slice.partitionIndex, raftIndex: entry.index)
                }
            }
        case .truncate(let index):
            while lastIndex > index, let dropped = entries.popLast() {
                for slice in dropped.slices { retract(slice) }
            }
            commitHint = min(commitHint, lastIndex)
        case .vote(let new): vote = new
        case .commitHint(let index): commitHint = max(commitHint, min(index, lastIndex))
        case .compact(let new):
            if new.index <= lastIndex {
                entries.removeFirst(Int(new.index - boundary.index))
            } else {
                entries.removeAll()
                knowsAllPartitions = false
            }
            boundary = new
        case .begin(let new):
            boundary = new
            knowsAllPartitions = new.index == 0
        }
    }

    private mutating func retract(_ slice: EntrySlice) {
        let index = slice.partitionIndex.previous
        partitionEnds[slice.partition] =
            index == 0 || (slice.previousRaftIndex == 0)
            ? nil : PartitionEnd(index: index, raftIndex: slice.previousRaftIndex)
    }
}

/// One change of a log. A replaced suffix is a truncation and an append that stand or fall together.
enum LogOperation: Hashable, Sendable {
    case append([Entry])
    case truncate(after: RaftIndex)
    case vote(Vote)
    case commitHint(RaftIndex)
    /// The log starts behind the boundary.
    case compact(LogBoundary)
    /// The first entries of an empty log do not begin at 1.
    case begin(LogBoundary)
}
