import CordwoodBase
import CordwoodLog
import CordwoodRaft

/// What a node that repairs itself, or compares itself with others, asks of another one by the service `repair`.
/// Little-endian: version (u16) = 1, kind (u16), then what the kind names. Answers are those of `PieceAnswer`.
enum RepairRequest: Hashable {
    /// Records of a partition log that go on from a point, through an index at most: a `PartitionExport`.
    case records(PartitionID, after: PartitionPoint, through: PartitionLogIndex, maxBytes: Int)
    /// Entries of the segmented log that go on from a position, through an index at most: a `LogRun`.
    case entries(after: LogBoundary, through: RaftIndex, maxBytes: Int)
    /// How far the replica is: a `ReplicaState`.
    case state
    /// A manifest of what the replica has dispatched: a `SnapshotManifest`.
    case manifest
    /// Where a partition's log stands at an index, or at its last one if that is lower: index, Raft index (u64 each),
    /// chain (16 bytes).
    case line(PartitionID, at: PartitionLogIndex)
    /// The entry chain at an index of the segmented log: 16 bytes.
    case chain(at: RaftIndex)

    private static let version: UInt16 = 1

    private enum Kind: UInt16 {
        case records = 1
        case entries = 2
        case state = 3
        case manifest = 4
        case line = 5
        case chain = 6
    }

    func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: Self.version)
        switch self {
        case .records(let partition, let point, let through, let maxBytes):
            bytes.append(littleEndian: Kind.records.rawValue)
            bytes.append(littleEndian: UInt32(clamping: maxBytes))
            bytes.append(littleEndian: partition.rawValue)
            bytes.append(littleEndian: through.rawValue)
            bytes.append(littleEndian: point.partitionIndex.rawValue)
            bytes.append(littleEndian: point.raftIndex.rawValue)
            bytes.append(littleEndian: point.term.rawValue)
            bytes.append(chain: point.chain)
        case .entries(let position, let through, let maxBytes):
            bytes.append(littleEndian: Kind.entries.rawValue)
            bytes.append(littleEndian: UInt32(clamping: maxBytes))
            bytes.append(littleEndian: through.rawValue)
            bytes.append(littleEndian: position.index.rawValue)
            bytes.append(littleEndian: position.term.rawValue)
            bytes.append(chain: position.chain)
        case .state: bytes.append(littleEndian: Kind.state.rawValue)
        case .manifest: bytes.append(littleEndian: Kind.manifest.rawValue)
        case .line(let partition, let index):
            bytes.append(littleEndian: Kind.line.rawValue)
            bytes.append(littleEndian: partition.rawValue)
            bytes.append(littleEndian: index.rawValue)
        case .chain(let index):
            bytes.append(littleEndian: Kind.chain.rawValue)
            bytes.append(littleEndian: index.rawValue)
        }
        return bytes
    }

    init(decoding bytes: [UInt8]) throws(DecodeError) {
        self = try bytes.decoded { (reader) throws(DecodeError) in
            let version = try reader.integer(UInt16.self)
            guard version == Self.version else { throw .invalid(field: "repair version", value: UInt64(version)) }
            let rawKind = try reader.integer(UInt16.self)
            switch Kind(rawValue: rawKind) {
            case .records:
                let maxBytes = Int(try reader.integer(UInt32.self))
                let partition: PartitionID = try reader.ordinal()
                let through: PartitionLogIndex = try reader.ordinal()
                let point = PartitionPoint(
                    partitionIndex: try reader.ordinal(), raftIndex: try reader.ordinal(), term: try reader.ordinal(),
                    chain: try reader.chainValue())
                return .records(partition, after: point, through: through, maxBytes: maxBytes)
            case .entries:
                let maxBytes = Int(try reader.integer(UInt32.self))
                let through: RaftIndex = try reader.ordinal()
                let position = LogBoundary(
                    index: try reader.ordinal(), term: try reader.ordinal(), chain: try reader.chainValue())
                guard through.rawValue < UInt64(Int64.max), position.index < through else {
                    throw .invalid(field: "repair range", value: through.rawValue)
                }
                return .entries(after: position, through: through, maxBytes: maxBytes)
            case .state: return .state
            case .manifest: return .manifest
            case .line: return .line(try reader.ordinal(), at: try reader.ordinal())
            case .chain: return .chain(at: try reader.ordinal())
            case nil: throw .invalid(field: "repair kind", value: UInt64(rawKind))
            }
        }
    }
}

/// How far a replica is, as it tells one that has lost the end of its log or its vote.
struct ReplicaState: Hashable {
    /// Its current term, durable.
    var term: Term
    var last: LogPosition
    var commit: RaftIndex

    func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        for number in [term.rawValue, last.index.rawValue, last.term.rawValue, commit.rawValue] {
            bytes.append(littleEndian: number)
        }
        return bytes
    }

    init(term: Term, last: LogPosition, commit: RaftIndex) {
        self.term = term
        self.last = last
        self.commit = commit
    }

    init(decoding bytes: [UInt8]) throws(DecodeError) {
        self = try bytes.decoded { (reader) throws(DecodeError) in
            let term: Term = try reader.ordinal()
            let index: RaftIndex = try reader.ordinal()
            return ReplicaState(
                term: term, last: LogPosition(index: index, term: try reader.ordinal()), commit: try reader.ordinal())
        }
    }
}
