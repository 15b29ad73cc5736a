package import CordwoodBase
internal import CordwoodRaft

/// Builds the contents of a segmented log out of its batches, checking every entry's index, chain and slices.
package final class LogReplay: StreamVisitor {
    package private(set) var contents = LogContents()
    private(set) var checkpointPosition: StreamPosition?
    private(set) var entryCount = 0
    /// Entries up to this one stand in segments before the first one read.
    private(set) var unreadThrough: RaftIndex = 0
    /// The highest committed index that a batch named, even where the log does not reach it.
    private(set) var highestHint: RaftIndex = 0
    private var pieces = CheckpointAssembly()
    /// The next entry follows a truncation or another replacement.
    private var mustMark = false

    package init() {}

    package var firstSegment: SegmentID { contents.firstSegment }
    package var nextIndex: RaftIndex? { contents.nextIndex }

    /// Recovery has begun a new epoch.
    func resumed(in epoch: StreamEpoch) {
        contents.epoch = epoch
        contents.closeGap()
    }

    package func begin(_ header: SegmentHeader, carry: CarryRecord, isFirst: Bool) throws(StreamFault) {
        if isFirst {
            contents.begin(with: carry)
            unreadThrough = carry.last.index
            checkpointPosition = nil
        } else {
            guard carry.last == contents.last, carry.boundary == contents.boundary, carry.vote == contents.vote else {
                throw StreamFault(
                    "the carry record says \(carry.last.index) from \(carry.boundary.index), "
                        + "the log before it \(contents.last.index) from \(contents.boundary.index)")
            }
            contents.firstSegment = max(contents.firstSegment, carry.firstSegment)
        }
    }

    package func accept(_ batch: BatchView, in segment: SegmentHeader) throws(StreamFault) {
        contents.epoch = batch.header.epoch
        var marked = false
        for record in batch.records {
            do {
                switch record.header.kind {
                case .entry:
                    let entry = try record.entryHeader()
                    if !marked {
                        contents.index.note(
                            first: entry.raftIndex,
                            position: StreamPosition(segment: segment.segment, offset: batch.offset),
                            previousLink: batch.header.previousLink, isForced: mustMark)
                        marked = true
                        mustMark = false
                    }
                    if let refusal = contents.accept(entry, record) { throw StreamFault(refusal) }
                    entryCount += 1
                case nil: continue
                default: try accept(try record.control(), batch, segment)
                }
            } catch let error as DecodeError {
                throw StreamFault(error)
            } catch {
                throw error as? StreamFault ?? StreamFault("\(error)")
            }
        }
        contents.noteCommit(batch.header.commitHint)
        highestHint = max(highestHint, batch.header.commitHint)
    }

    private func accept(
        _ control: ControlRecord, _ batch: BatchView, _ segment: SegmentHeader
    ) throws(StreamFault) {
        switch control {
        case .truncation(let record):
            mustMark = true
            try truncate(record)
        case .vote(let vote): contents.vote = vote
        case .checkpoint(let piece):
            do {
                if let checkpoint = try pieces.add(piece, segment.segment, batch.offset) {
                    contents.take(checkpoint.value)
                    contents.checkpointNumber = piece.number
                    checkpointPosition = checkpoint.position
                }
            } catch {
                throw StreamFault(error)
            }
        case .recovery: pieces = CheckpointAssembly()
        case .boundary(let boundary):
            if boundary.index > contents.last.index {
                mustMark = true
                contents.replaceAll(by: boundary)
            } else if boundary.index > contents.boundary.index {
                if let known = contents.chain(at: boundary.index), known != boundary.chain {
                    throw StreamFault("the boundary at \(boundary.index) is not on the entry chain")
                }
                contents.compact(through: boundary)
            }
        case .install(let record):
            mustMark = true
            contents.install(record)
        case .gate(let gate): contents.gates.append(gate)
        case .promise: break
        case .release(let first): contents.firstSegment = max(contents.firstSegment, first)
        case .carry, .seal: throw StreamFault("a \(control.kind) record in the middle of a segment")
        }
    }

    private func truncate(_ record: TruncationRecord) throws(StreamFault) {
        if record.last.index < unreadThrough, record.last.index >= contents.boundary.index {
            // What is dropped stands in segments that are gone, and so does the entry that is the last one now.
            contents.restart(at: record.last)
            unreadThrough = record.last.index
            return
        }
        guard contents.canTruncate(after: record.last.index),
            contents.chain(at: record.last.index) == record.last.chain
        else {
            throw StreamFault("a truncation after \(record.last.index) does not fit the log")
        }
        contents.truncate(after: record.last.index)
    }
}

/// Puts a system checkpoint together out of its pieces.
struct CheckpointAssembly {
    private var number: UInt64?
    private var bytes: [UInt8] = []
    private var next: UInt32 = 0
    private var position = StreamPosition.zero

    /// The checkpoint, when this is its last piece. Pieces out of order belong to one that was never finished.
    mutating func add(
        _ piece: CheckpointPiece, _ segment: SegmentID, _ offset: UInt64
    ) throws(DecodeError) -> (value: SystemCheckpoint, position: StreamPosition)? {
        if piece.piece == 0 {
            number = piece.number
            bytes = []
            next = 0
            position = StreamPosition(segment: segment, offset: offset)
        }
        guard number == piece.number, piece.piece == next else {
            number = nil
            return nil
        }
        bytes.append(contentsOf: piece.bytes)
        next += 1
        guard next == piece.pieceCount else { return nil }
        number = nil
        let encoded = bytes
        bytes = []
        do {
            let value = try encoded.withUnsafeBytes { try SystemCheckpoint(decoding: $0) }
            return (value, position)
        } catch {
            throw error as? DecodeError ?? .invalid(field: "checkpoint", value: piece.number)
        }
    }
}
