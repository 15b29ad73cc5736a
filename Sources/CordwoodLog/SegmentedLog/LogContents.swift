public import CordwoodBase
package import CordwoodRaft

/// What a segmented log holds, as far as it is kept in memory: the meaning of the stream up to some batch.
///
/// Built from the stream when it is opened and moved by the same steps while it is written, so both agree by
/// construction. Bounded: term runs, one tail a partition, one mark every 64 KiB, and chain and slices of the entries
/// that may still be truncated.
package struct LogContents {
    /// The log starts behind this entry.
    package private(set) var boundary = LogBoundary.zero
    /// The last entry, or the boundary.
    package private(set) var last = LogBoundary.zero
    private(set) var terms = TermRuns(boundary: 0, term: 0)
    package private(set) var tails = PartitionTails()
    var index = SparseIndex()
    var vote = Vote.none
    /// Highest index that a batch header named as committed.
    package private(set) var commitHint: RaftIndex = 0
    var gates: [GateRecord] = []
    var firstSegment: SegmentID = .none
    var epoch: StreamEpoch = 0
    /// The newest complete system checkpoint.
    package private(set) var checkpoint: SystemCheckpoint?
    var checkpointNumber: UInt64 = 0
    /// The last installation, until a system checkpoint follows it.
    private(set) var installation: InstallRecord?

    /// Chain and slices of an entry: what dropping it needs.
    private struct EntryTrace {
        var chain: ChainValue
        var slices: EntrySlices
    }

    /// What truncations dropped of entries that partition files may hold: only under the gate `.partition` do those
    /// take entries that are not committed. Known as far as the stream that is held shows it.
    package private(set) var dropped: [DroppedRecord] = []

    /// Of the recent entries, and in front of them of the one behind which they begin.
    private var traces = LogContents.traces(behind: .zero)
    /// So many entries can be dropped even when they are known to be committed.
    static let minimumTraces: UInt64 = 65_536

    var startIndex: RaftIndex { boundary.index.next }
    var nextIndex: RaftIndex { last.index.next }

    /// Chain value at an index, when it is still known: the boundary's, the last one's, or a recent entry's.
    func chain(at index: RaftIndex) -> ChainValue? {
        if index == last.index { return last.chain }
        if index == boundary.index { return boundary.chain }
        return traces[index]?.chain
    }

    /// Why the slices cannot be those of the next entry; `nil` when they can.
    func refusal(ofSlices slices: EntrySlices) -> String? {
        switch slices {
        case .none: return nil
        case .one(let slice): return tails.refusal(of: slice)
        case .many(let slices):
            for (number, slice) in slices.enumerated() {
                if number > 0, slices[number - 1].partition >= slice.partition {
                    return "slices are not in ascending order of partition"
                }
                if let refusal = tails.refusal(of: slice) { return refusal }
            }
            return nil
        }
    }

    /// Checks the slices of entries that are to be appended and moves the tails to them. Nothing has changed when it
    /// says why they are refused.
    mutating func admit(_ entries: [Entry]) -> String? {
        for at in entries.indices {
            if let refusal = refusal(ofSlices: entries[at].slices) {
                for admitted in entries[..<at].reversed() {
                    for slice in admitted.slices { tails.retreat(slice) }
                }
                return "entry \(entries[at].index): \(refusal)"
            }
            for slice in entries[at].slices { tails.advance(slice, raftIndex: entries[at].index) }
        }
        return nil
    }

    /// Takes an entry read from the stream when it is the next one; otherwise says why it is not, and nothing has
    /// changed. Mutating throughout, so that the contents are checked in place and never copied for one entry.
    mutating func accept(_ entry: SegmentedRecordHeader, _ record: RecordView) -> String? {
        guard entry.raftIndex == nextIndex else { return "entry \(entry.raftIndex) where \(nextIndex) is next" }
        guard record.entryChain(after: last.chain) == entry.chain else {
            return "entry \(entry.raftIndex) breaks the entry chain"
        }
        if let refusal = refusal(ofSlices: entry.slices) { return "entry \(entry.raftIndex): \(refusal)" }
        append(term: entry.term, slices: entry.slices, chain: entry.chain)
        return nil
    }

    mutating func append(term: Term, slices: EntrySlices, chain: ChainValue) {
        last = LogBoundary(index: last.index.next, term: term, chain: chain)
        terms.append(term)
        traces.append(EntryTrace(chain: chain, slices: slices))
        switch slices {
        case .none: break
        case .one(let slice): tails.advance(slice, raftIndex: last.index)
        case .many(let slices): for slice in slices { tails.advance(slice, raftIndex: last.index) }
        }
        trimTraces()
    }

    /// True when everything behind `index` can be dropped.
    func canTruncate(after index: RaftIndex) -> Bool {
        index >= boundary.index && index <= last.index && chain(at: index) != nil
            && (index == last.index || index.next >= traces.firstIndex)
    }

    mutating func truncate(after index: RaftIndex) {
        guard let term = terms.term(at: index), let chain = chain(at: index), canTruncate(after: index) else {
            brokenInvariant("truncation after \(index) of \(boundary.index)...\(last.index)")
        }
        let mayBeInPartitionFiles = gates.contains { $0.gate == .partition }
        while last.index > index, let trace = traces.removeLast() {
            if mayBeInPartitionFiles { noteDropped(trace.slices) }
            switch trace.slices {
            case .none: break
            case .one(let slice): tails.retreat(slice)
            case .many(let slices): for slice in slices { tails.retreat(slice) }
            }
            last.index = last.index.previous
        }
        last = LogBoundary(index: index, term: term, chain: chain)
        terms.truncate(after: index)
        self.index.truncate(after: index)
        commitHint = min(commitHint, index)
    }

    /// The last entry is about to be dropped.
    private mutating func noteDropped(_ slices: EntrySlices) {
        guard let term = terms.term(at: last.index) else { return }
        for slice in slices {
            dropped.append(
                DroppedRecord(
                    partition: slice.partition, partitionIndex: slice.partitionIndex,
                    position: LogPosition(index: last.index, term: term)))
        }
    }

    /// No partition file holds any of it any more.
    mutating func forgetDropped() { dropped = [] }

    /// The tails as they were behind an entry that everything behind can be dropped to; all unknown for `nil`.
    func tails(after index: RaftIndex?) -> PartitionTails {
        guard let index, index < last.index, canTruncate(after: index) else {
            return index == nil ? PartitionTails() : tails
        }
        var copy = self
        copy.truncate(after: index)
        return copy.tails
    }

    /// Moves the boundary up to an entry that is held.
    mutating func compact(through newBoundary: LogBoundary) {
        boundary = newBoundary
        terms.compact(through: newBoundary.index)
    }

    /// Replaces everything by a boundary beyond the end: entries up to it are not in this log.
    mutating func replaceAll(by newBoundary: LogBoundary) {
        boundary = newBoundary
        last = newBoundary
        terms = TermRuns(boundary: newBoundary.index, term: newBoundary.term)
        traces = Self.traces(behind: newBoundary)
        tails.forget(through: newBoundary.index)
        index.removeAll()
        commitHint = max(commitHint, newBoundary.index)
    }

    /// A Raft snapshot takes the place of everything.
    mutating func install(_ record: InstallRecord) {
        replaceAll(by: record.boundary)
        commitHint = record.boundary.index
        installation = record
        dropped = []
    }

    /// Takes a checkpoint that is complete.
    mutating func take(_ checkpoint: SystemCheckpoint) {
        self.checkpoint = checkpoint
        installation = nil
        tails.merge(checkpoint.partitions)
    }

    /// Nothing follows the newest checkpoint but what has been read: every partition stands where its tail says.
    mutating func closeGap() {
        if checkpoint != nil, installation == nil { tails.closeGap() }
    }

    mutating func noteCommit(_ index: RaftIndex) {
        commitHint = max(commitHint, min(index, last.index))
        trimTraces()
    }

    /// Takes a segment's carry record as the state: reading begins there.
    mutating func begin(with carry: CarryRecord) {
        boundary = carry.boundary
        last = carry.last
        // Entries between the boundary and the last one may be in segments that are gone; the boundary has to pass
        // them.
        terms = TermRuns(boundary: carry.last.index, term: carry.last.term)
        traces = Self.traces(behind: carry.last)
        tails.forget(through: carry.last.index)
        vote = carry.vote
        commitHint = carry.commitHint
        gates = carry.gates
        firstSegment = carry.firstSegment
        epoch = carry.epoch
    }

    /// Goes on behind an entry that is not held; the boundary stays and has to pass it later.
    mutating func restart(at entry: LogBoundary) {
        last = entry
        terms = TermRuns(boundary: entry.index, term: entry.term)
        traces = Self.traces(behind: entry)
        tails.forget(through: entry.index)
        index.removeAll()
    }

    private static func traces(behind entry: LogBoundary) -> IndexedQueue<EntryTrace> {
        var traces = IndexedQueue<EntryTrace>(firstIndex: entry.index)
        traces.append(EntryTrace(chain: entry.chain, slices: .none))
        return traces
    }

    private mutating func trimTraces() {
        guard last.index.rawValue > Self.minimumTraces else { return }
        let keep = min(commitHint, last.index - Self.minimumTraces)
        while traces.firstIndex < keep, !traces.isEmpty { traces.removeFirst() }
    }
}

/// A slice of an entry that a durable truncation record has dropped from the segmented log. A partition file that holds
/// it is ahead, and is cut in front of it.
public struct DroppedRecord: Hashable, Sendable {
    public var partition: PartitionID
    public var partitionIndex: PartitionLogIndex
    /// The dropped entry; no other entry has its index and term.
    public var position: LogPosition

    public init(partition: PartitionID, partitionIndex: PartitionLogIndex, position: LogPosition) {
        self.partition = partition
        self.partitionIndex = partitionIndex
        self.position = position
    }
}
