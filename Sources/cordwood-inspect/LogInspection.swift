internal import CordwoodBase
internal import CordwoodLog
internal import CordwoodRaft

/// What is said of one segment: its records' ranges.
struct SegmentSummary {
    var entryCount = 0
    var indexes: ClosedRange<UInt64>?
    var terms: ClosedRange<Term>?
    var promise = StreamPosition.zero

    mutating func note(index: UInt64, term: Term) {
        entryCount += 1
        indexes = indexes.map { min($0.lowerBound, index)...max($0.upperBound, index) } ?? index...index
        terms = terms.map { min($0.lowerBound, term)...max($0.upperBound, term) } ?? term...term
    }
}

/// Reads the segmented log as recovery does, by the same replay, and notes what the inspector prints.
final class LogInspection: StreamVisitor {
    let replay = LogReplay()
    private(set) var segments: [SegmentID: SegmentSummary] = [:]
    /// Lowest partition log index of each partition that the log still has.
    private(set) var firstKept: [PartitionID: PartitionLogIndex] = [:]
    /// Called with each batch's segment and offset, and each of its records, once they have been accepted.
    var onRecord: ((RecordView, SegmentID, BatchView) -> Void)?

    var firstSegment: SegmentID { replay.firstSegment }
    var nextIndex: RaftIndex? { replay.nextIndex }

    func begin(_ header: SegmentHeader, carry: CarryRecord, isFirst: Bool) throws(StreamFault) {
        try replay.begin(header, carry: carry, isFirst: isFirst)
        segments[header.segment] = SegmentSummary()
    }

    func accept(_ batch: BatchView, in segment: SegmentHeader) throws(StreamFault) {
        try replay.accept(batch, in: segment)
        var summary = segments[segment.segment] ?? SegmentSummary()
        summary.promise = max(summary.promise, batch.header.promise)
        for record in batch.records {
            if let entry = try? record.entryHeader() {
                summary.note(index: entry.raftIndex.rawValue, term: entry.term)
                for slice in entry.slices where firstKept[slice.partition] == nil {
                    firstKept[slice.partition] = slice.partitionIndex
                }
            }
            onRecord?(record, segment.segment, batch)
        }
        segments[segment.segment] = summary
    }
}

/// Reads a partition log and checks that its records follow each other by index and chain.
final class PartitionInspection: StreamVisitor {
    private(set) var segments: [SegmentID: SegmentSummary] = [:]
    /// The last record: its partition log index stands where a segmented log has the Raft index.
    private(set) var last = LogBoundary.zero
    private(set) var lastRaftIndex: RaftIndex = 0
    /// The record before the first one that is held.
    private(set) var start: PartitionLogIndex = 0
    private(set) var firstSegment: SegmentID = .none
    /// The chain at the index that the system checkpoint names, when the log has it.
    private(set) var chainAtCheckpoint: ChainValue?
    private let checkpoint: SystemCheckpoint.Line?
    var onRecord: ((RecordView, SegmentID, BatchView) -> Void)?

    let nextIndex: RaftIndex? = nil
    var persisted: PartitionLogIndex { PartitionLogIndex(last.index.rawValue) }

    init(checkpoint: SystemCheckpoint.Line?) { self.checkpoint = checkpoint }

    func begin(_ header: SegmentHeader, carry: CarryRecord, isFirst: Bool) throws(StreamFault) {
        if isFirst {
            last = carry.last
            lastRaftIndex = carry.commitHint
            start = PartitionLogIndex(carry.last.index.rawValue)
            noteCheckpoint()
        } else if carry.last != last {
            throw StreamFault("the carry record says \(carry.last.index), the log before it \(last.index)")
        }
        firstSegment = max(firstSegment, carry.firstSegment)
        segments[header.segment] = SegmentSummary()
    }

    func accept(_ batch: BatchView, in segment: SegmentHeader) throws(StreamFault) {
        var summary = segments[segment.segment] ?? SegmentSummary()
        summary.promise = max(summary.promise, batch.header.promise)
        for record in batch.records {
            do throws(DecodeError) {
                try accept(record, batch, &summary)
            } catch {
                throw StreamFault("\(error)")
            }
            onRecord?(record, segment.segment, batch)
        }
        segments[segment.segment] = summary
    }

    private func accept(
        _ record: RecordView, _ batch: BatchView, _ summary: inout SegmentSummary
    ) throws(DecodeError) {
        switch record.header.kind {
        case .partitionEntry:
            let entry = try record.partitionHeader()
            let index = entry.position.partitionIndex
            guard index.rawValue == last.index.rawValue + 1 else {
                throw .invalid(field: "partition log index", value: index.rawValue)
            }
            guard record.partitionChain(after: last.chain) == entry.chain else {
                throw .invalid(field: "partition chain at index", value: index.rawValue)
            }
            last = LogBoundary(index: RaftIndex(index.rawValue), term: entry.position.term, chain: entry.chain)
            lastRaftIndex = entry.position.raftIndex
            summary.note(index: index.rawValue, term: entry.position.term)
            noteCheckpoint()
        case nil: return
        default:
            switch try record.control() {
            case .truncation(let record):
                last = record.last
                lastRaftIndex = batch.header.commitHint
            case .release(let segment): firstSegment = max(firstSegment, segment)
            default: break
            }
        }
    }

    private func noteCheckpoint() {
        if let checkpoint, checkpoint.persisted.rawValue == last.index.rawValue { chainAtCheckpoint = last.chain }
    }
}
