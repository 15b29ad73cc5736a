import CordwoodBase
import CordwoodLog
import CordwoodRaft

/// What a node that repairs itself, or compares itself with others, asks of another one by the service `repair`.
/// Little-endian: version (u16) = 1, kind (u16), then what the kind names. Answers are those of `PieceAnswer`.
enum RepairRequest: Hashable {
    /// Records of a partition log that go on from a point, through an index at most: a `PartitionExport`.
    case records(PartitionID, after: PartitionPoint, through: PartitionLogIndex, maxBytes: Int)

    private static let version: UInt16 = 1

    private enum Kind: UInt16 {
        case records = 1
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
            case nil: throw .invalid(field: "repair kind", value: UInt64(rawKind))
            }
        }
    }
}
