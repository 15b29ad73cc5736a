public import CordwoodBase
public import CordwoodRaft

/// A record that steers the stream instead of carrying an entry.
public enum ControlRecord: Hashable, Sendable {
    case truncation(TruncationRecord)
    case vote(Vote)
    case carry(CarryRecord)
    case seal(SealRecord)
    case checkpoint(CheckpointPiece)
    case recovery(RecoveryRecord)
    case boundary(LogBoundary)
    case install(InstallRecord)
    case gate(GateRecord)
    case promise
    case release(SegmentID)

    public var kind: RecordKind {
        switch self {
        case .truncation: .truncation
        case .vote: .vote
        case .carry: .carry
        case .seal: .seal
        case .checkpoint: .checkpoint
        case .recovery: .recovery
        case .boundary: .boundary
        case .install: .install
        case .gate: .gate
        case .promise: .promise
        case .release: .release
        }
    }

    /// The epoch that the record announces, if it is one that begins an epoch.
    public var announcedEpoch: StreamEpoch? {
        switch self {
        case .truncation(let record): record.epoch
        case .recovery(let record): record.epoch
        case .install(let record): record.epoch
        case .carry(let record): record.epoch
        default: nil
        }
    }
}

/// Drops everything behind `last.index`. Stands first in its batch, before the entries that replace what is dropped. In
/// a partition log the index is a partition log index and the chain the partition's.
public struct TruncationRecord: Hashable, Sendable {
    /// The entry that is the last one now: index, term and chain.
    public var last: LogBoundary
    public var epoch: StreamEpoch

    public init(last: LogBoundary, epoch: StreamEpoch) {
        self.last = last
        self.epoch = epoch
    }
}

/// Ends a segment: nothing follows it there, and the stream goes on in the successor.
public struct SealRecord: Hashable, Sendable {
    public var successor: SegmentID
    public var successorIncarnation: SegmentIncarnation
    /// Length of this segment up to the end of the seal's own batch, in bytes.
    public var finalBytes: UInt64
    /// Link of the successor's first batch, so that another file cannot take its place.
    public var successorLink: PhysicalLink

    public init(
        successor: SegmentID, successorIncarnation: SegmentIncarnation, finalBytes: UInt64, successorLink: PhysicalLink
    ) {
        self.successor = successor
        self.successorIncarnation = successorIncarnation
        self.finalBytes = finalBytes
        self.successorLink = successorLink
    }
}

/// Made durable by a recovery once everything before it is: what it accepted, under a new epoch.
public struct RecoveryRecord: Hashable, Sendable {
    public var epoch: StreamEpoch
    /// Where the accepted stream ended. A promise.
    public var acceptedEnd: StreamPosition
    /// Bytes behind the accepted end that were discarded.
    public var discardedBytes: UInt64

    public init(epoch: StreamEpoch, acceptedEnd: StreamPosition, discardedBytes: UInt64) {
        self.epoch = epoch
        self.acceptedEnd = acceptedEnd
        self.discardedBytes = discardedBytes
    }
}

/// A Raft snapshot replaces the log up to `boundary`; everything that was in the log is dropped. The commit point of an
/// installation: what it says is redone after a crash.
public struct InstallRecord: Hashable, Sendable {
    public var boundary: LogBoundary
    public var epoch: StreamEpoch
    /// The snapshot's manifest, opaque to the log.
    public var manifest: [UInt8]

    public init(boundary: LogBoundary, epoch: StreamEpoch, manifest: [UInt8]) {
        self.boundary = boundary
        self.epoch = epoch
        self.manifest = manifest
    }
}

/// What must be durable before an entry is acknowledged.
public enum AckGate: UInt8, Sendable, Hashable {
    /// The segmented log.
    case segmented = 0
    /// The segmented log and the logs of all partitions concerned.
    case partition = 1
}

/// The gate in force for entries from `from` on.
public struct GateRecord: Hashable, Sendable {
    public var gate: AckGate
    public var from: RaftIndex

    public init(gate: AckGate, from: RaftIndex) {
        self.gate = gate
        self.from = from
    }
}

extension ControlRecord {
    /// The record's bytes, without the padding behind it.
    func encoded() -> [UInt8] {
        var body: [UInt8] = []
        switch self {
        case .truncation(let record):
            body.append(boundary: record.last)
            body.append(littleEndian: record.epoch.rawValue)
        case .vote(let vote):
            body.append(littleEndian: vote.term.rawValue)
            body.append(littleEndian: vote.candidate.rawValue)
        case .carry(let record): record.encode(into: &body)
        case .seal(let record):
            body.append(littleEndian: record.successor.rawValue)
            body.append(littleEndian: record.successorIncarnation.rawValue)
            body.append(littleEndian: record.finalBytes)
            body.append(littleEndian: record.successorLink.rawValue)
        case .checkpoint(let piece): piece.encode(into: &body)
        case .recovery(let record):
            body.append(littleEndian: record.epoch.rawValue)
            body.append(position: record.acceptedEnd)
            body.append(littleEndian: record.discardedBytes)
        case .boundary(let boundary): body.append(boundary: boundary)
        case .install(let record):
            body.append(boundary: record.boundary)
            body.append(littleEndian: record.epoch.rawValue)
            body.append(littleEndian: UInt32(record.manifest.count))
            body.append(contentsOf: record.manifest)
        case .gate(let record):
            body.append(littleEndian: record.from.rawValue)
            body.append(littleEndian: UInt64(record.gate.rawValue))
        case .promise: break
        case .release(let first): body.append(littleEndian: first.rawValue)
        }
        let length = LogFormat.recordHeaderBytes + body.count
        var bytes = [UInt8](repeating: 0, count: LogFormat.recordHeaderBytes)
        bytes.withUnsafeMutableBytes {
            var writer = ByteWriter($0)
            RecordHeader(kind: kind, lengthBytes: length).encode(into: &writer)
        }
        bytes.append(contentsOf: body)
        return bytes
    }
}

extension RecordView {
    /// Decodes a record of a control kind.
    public func control() throws(DecodeError) -> ControlRecord {
        var reader = ByteReader(bytes, offset: LogFormat.recordHeaderBytes)
        let record = try control(&reader)
        guard reader.remaining == 0 else { throw .invalid(field: "record length", value: UInt64(bytes.count)) }
        return record
    }

    private func control(_ reader: inout ByteReader) throws(DecodeError) -> ControlRecord {
        switch header.kind {
        case .truncation:
            return .truncation(TruncationRecord(last: try reader.boundary(), epoch: try reader.ordinal()))
        case .vote:
            return .vote(Vote(term: try reader.ordinal(), candidate: try reader.ordinal()))
        case .carry:
            return .carry(try CarryRecord(decoding: &reader))
        case .seal:
            return .seal(
                SealRecord(
                    successor: try reader.ordinal(), successorIncarnation: try reader.ordinal(),
                    finalBytes: try reader.integer(), successorLink: PhysicalLink(rawValue: try reader.integer())))
        case .checkpoint:
            return .checkpoint(try CheckpointPiece(decoding: &reader))
        case .recovery:
            return .recovery(
                RecoveryRecord(
                    epoch: try reader.ordinal(), acceptedEnd: try reader.position(),
                    discardedBytes: try reader.integer()))
        case .boundary:
            return .boundary(try reader.boundary())
        case .install:
            let boundary = try reader.boundary()
            let epoch = try reader.ordinal(StreamEpoch.self)
            let count = Int(try reader.integer(UInt32.self))
            return .install(
                InstallRecord(boundary: boundary, epoch: epoch, manifest: [UInt8](try reader.take(count))))
        case .gate:
            return .gate(try reader.gate())
        case .promise:
            return .promise
        case .release:
            return .release(try reader.ordinal())
        case .entry, .partitionEntry, nil:
            throw .invalid(field: "control record kind", value: UInt64(header.rawKind))
        }
    }
}

extension ByteReader {
    mutating func boundary() throws(DecodeError) -> LogBoundary {
        let boundary = LogBoundary(index: try ordinal(), term: try ordinal(), chain: try chainValue())
        guard boundary.index.rawValue < UInt64(Int64.max) else {
            throw .invalid(field: "boundary index", value: boundary.index.rawValue)
        }
        return boundary
    }

    mutating func position() throws(DecodeError) -> StreamPosition {
        StreamPosition(segment: try ordinal(), offset: try integer())
    }

    mutating func gate() throws(DecodeError) -> GateRecord {
        let from = try ordinal(RaftIndex.self)
        let raw = try integer(UInt64.self)
        guard raw <= UInt64(UInt8.max), let gate = AckGate(rawValue: UInt8(raw)) else {
            throw .invalid(field: "gate", value: raw)
        }
        return GateRecord(gate: gate, from: from)
    }
}

extension Array where Element == UInt8 {
    mutating func append(boundary: LogBoundary) {
        append(littleEndian: boundary.index.rawValue)
        append(littleEndian: boundary.term.rawValue)
        append(littleEndian: boundary.chain.low)
        append(littleEndian: boundary.chain.high)
    }

    mutating func append(position: StreamPosition) {
        append(littleEndian: position.segment.rawValue)
        append(littleEndian: position.offset)
    }
}
