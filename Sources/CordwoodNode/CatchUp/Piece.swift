public import CordwoodBase
import CordwoodRaft

/// What a replica that catches up asks of another: 40 bytes, little-endian: version (u16) = 1, kind (u16), most bytes
/// wanted (u32), then four numbers (u64 each) that the kind gives a meaning.
public enum PieceRequest: Hashable, Sendable {
    /// Records of a partition log, through an index at most.
    case log(PartitionID, from: PartitionLogIndex, through: PartitionLogIndex, maxBytes: Int)
    /// Bytes of a machine snapshot's file.
    case snapshot(PartitionID, PartitionLogIndex, offset: UInt64, maxBytes: Int)
    /// The caller's transfer of the snapshot at a position has failed: it is to be offered another one.
    case failed(LogPosition)

    private static let version: UInt16 = 1

    public func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(40)
        let (kind, maxBytes, numbers): (UInt16, Int, [UInt64]) =
            switch self {
            case .log(let partition, let from, let through, let maxBytes):
                (1, maxBytes, [partition.rawValue, from.rawValue, through.rawValue, 0])
            case .snapshot(let partition, let index, let offset, let maxBytes):
                (2, maxBytes, [partition.rawValue, index.rawValue, offset, 0])
            case .failed(let position): (3, 0, [position.index.rawValue, position.term.rawValue, 0, 0])
            }
        bytes.append(littleEndian: Self.version)
        bytes.append(littleEndian: kind)
        bytes.append(littleEndian: UInt32(clamping: maxBytes))
        for number in numbers { bytes.append(littleEndian: number) }
        return bytes
    }

    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        let result: Result<PieceRequest, DecodeError> = bytes.withUnsafeBytes { raw in
            do throws(DecodeError) { return .success(try Self.decode(raw)) } catch { return .failure(error) }
        }
        self = try result.get()
    }

    private static func decode(_ raw: UnsafeRawBufferPointer) throws(DecodeError) -> PieceRequest {
        var reader = ByteReader(raw)
        let version = try reader.integer(UInt16.self)
        guard version == Self.version else { throw .invalid(field: "piece version", value: UInt64(version)) }
        let kind = try reader.integer(UInt16.self)
        let maxBytes = Int(try reader.integer(UInt32.self))
        let first = try reader.integer(UInt64.self)
        let second = try reader.integer(UInt64.self)
        let third = try reader.integer(UInt64.self)
        _ = try reader.integer(UInt64.self)
        guard reader.remaining == 0 else {
            throw .invalid(field: "bytes after a piece request", value: UInt64(reader.remaining))
        }
        switch kind {
        case 1, 2:
            guard first < UInt64(Int64.max), second < UInt64(Int64.max), third < UInt64(Int64.max) else {
                throw .invalid(field: "piece position", value: max(first, second, third))
            }
            if kind == 2 {
                return .snapshot(
                    PartitionID(first), PartitionLogIndex(second), offset: third, maxBytes: maxBytes)
            }
            return .log(
                PartitionID(first), from: PartitionLogIndex(second), through: PartitionLogIndex(third),
                maxBytes: maxBytes)
        case 3: return .failed(LogPosition(index: RaftIndex(first), term: Term(second)))
        default: throw .invalid(field: "piece kind", value: UInt64(kind))
        }
    }
}

/// What is answered: what belongs to it, a byte that says which answer it is, and XXH3-64 of all of it. What is large
/// stands first, so it is neither moved nor copied on its way in and out.
public enum PieceAnswer: Hashable, Sendable {
    /// A run of records in its transfer form, or bytes of a snapshot.
    case data([UInt8])
    /// It is not there any more.
    case gone
    /// It is not there yet.
    case notYet
    /// It cannot be read, or the request cannot.
    case failed(String)
    case noted

    private static let seed: UInt64 = 0x7069_6563_6541_6E73
    /// What is added to the bytes of a piece.
    static let trailerBytes = 9

    private enum Kind: UInt8 {
        case data = 1
        case gone = 2
        case notYet = 3
        case failed = 4
        case noted = 5
    }

    public consuming func encoded() -> [UInt8] {
        switch consume self {
        case .data(let data): Self.seal(data, .data)
        case .gone: Self.seal([], .gone)
        case .notYet: Self.seal([], .notYet)
        case .failed(let reason): Self.seal(Array(reason.utf8), .failed)
        case .noted: Self.seal([], .noted)
        }
    }

    private static func seal(_ body: consuming [UInt8], _ kind: Kind) -> [UInt8] {
        var bytes = body
        bytes.append(kind.rawValue)
        bytes.append(littleEndian: bytes.withUnsafeBytes { Checksum.xxh3($0, seed: seed) })
        return bytes
    }

    public init(decoding encoded: consuming [UInt8]) throws(DecodeError) {
        var bytes = encoded
        guard bytes.count >= Self.trailerBytes else {
            throw .truncated(needed: Self.trailerBytes, available: bytes.count)
        }
        let end = bytes.count - 8
        let isSound = bytes.withUnsafeBytes { raw in
            raw.loadUnaligned(fromByteOffset: end, as: UInt64.self).littleEndian
                == Checksum.xxh3(UnsafeRawBufferPointer(rebasing: raw[..<end]), seed: Self.seed)
        }
        guard isSound else { throw .invalid(field: "piece checksum", value: 0) }
        guard let kind = Kind(rawValue: bytes[end - 1]) else {
            throw .invalid(field: "piece answer", value: UInt64(bytes[end - 1]))
        }
        bytes.removeLast(Self.trailerBytes)
        switch kind {
        case .data: self = .data(bytes)
        case .gone: self = .gone
        case .notYet: self = .notYet
        case .failed: self = .failed(String(decoding: bytes, as: UTF8.self))
        case .noted: self = .noted
        }
    }
}
