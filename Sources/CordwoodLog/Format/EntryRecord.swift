public import CordwoodBase

/// An entry of the segmented log as read back: everything but the payload. Self-describing: it carries the term.
///
/// Bytes 40 up to the record's end are what the entry chain covers, in the order in which they are stored, so writing
/// and verifying hash them where they stand.
public struct SegmentedRecordHeader: Hashable, Sendable {
    public var version: UInt8
    public var flags: SegmentedRecordFlags
    public var kind: RecordKind
    public var codec: UInt8
    public var chain: ChainValue
    public var raftIndex: RaftIndex
    public var term: Term
    public var timestampMicroseconds: Int64
    public var type: EntryType
    public var slices: EntrySlices
    /// The payload as stored, in bytes.
    public var payloadBytes: Int
    /// The payload before compression, in bytes.
    public var uncompressedBytes: Int

    public var position: LogPosition { LogPosition(index: raftIndex, term: term) }
}

enum EntryRecord {
    static let chainOffset = LogFormat.recordHeaderBytes
    static let contentOffset = chainOffset + 16
    static let slicesOffset = contentOffset + 32
    static let sliceBytes = 32

    /// The record's length without padding.
    static func lengthBytes(slices: Int, payload: Int) -> Int { slicesOffset + slices * sliceBytes + payload }

    /// Writes a record and returns the entry's chain value.
    static func encode(_ entry: Entry, after previous: ChainValue, into bytes: UnsafeMutableRawBufferPointer)
        -> ChainValue
    {
        let length = lengthBytes(slices: entry.slices.count, payload: entry.payload.count)
        var writer = ByteWriter(bytes)
        RecordHeader(
            kind: .entry, flags: entry.payload.isEmpty ? [] : .hasPayload, lengthBytes: length,
            payloadBytes: entry.payload.count
        ).encode(into: &writer)
        writer.offset = contentOffset
        writer.ordinal(entry.index)
        writer.ordinal(entry.term)
        writer.integer(entry.timestampMicroseconds)
        writer.integer(entry.type.rawValue)
        writer.integer(UInt8(0))
        writer.integer(UInt16(entry.slices.count))
        writer.integer(UInt32(entry.payload.count))
        switch entry.slices {
        case .none: break
        case .one(let slice): encode(slice, into: &writer)
        case .many(let slices): for slice in slices { encode(slice, into: &writer) }
        }
        entry.payload.withUnsafeBytes { writer.raw($0) }
        let content = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[contentOffset..<length])
        let chain = EntryChain.value(after: previous, content: content)
        writer.offset = chainOffset
        writer.chainValue(chain)
        return chain
    }

    private static func encode(_ slice: EntrySlice, into writer: inout ByteWriter) {
        writer.ordinal(slice.partition)
        writer.ordinal(slice.partitionIndex)
        writer.ordinal(slice.previousRaftIndex)
        writer.integer(slice.offset)
        writer.integer(slice.length)
    }
}

extension RecordView {
    /// The bytes of an entry or partition record that its chain covers.
    var chainedContent: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[min(EntryRecord.contentOffset, bytes.count)...])
    }

    /// Decodes a record of kind `entry`.
    public func entryHeader() throws(DecodeError) -> SegmentedRecordHeader {
        guard header.rawKind == RecordKind.entry.rawValue else {
            throw .invalid(field: "record kind", value: UInt64(header.rawKind))
        }
        guard header.codec == 0 else { throw .invalid(field: "codec", value: UInt64(header.codec)) }
        var reader = ByteReader(bytes, offset: LogFormat.recordHeaderBytes)
        let chain = try reader.chainValue()
        let index = try reader.ordinal(RaftIndex.self)
        let term = try reader.ordinal(Term.self)
        let timestamp = try reader.integer(Int64.self)
        let rawType = try reader.integer(UInt8.self)
        let reserved = try reader.integer(UInt8.self)
        let sliceCount = Int(try reader.integer(UInt16.self))
        let payloadBytes = try reader.integer(UInt32.self)
        guard let type = EntryType(rawValue: rawType) else {
            throw .invalid(field: "entry type", value: UInt64(rawType))
        }
        guard reserved == 0 else { throw .invalid(field: "entry reserved", value: UInt64(reserved)) }
        guard index > 0, index.rawValue < UInt64(Int64.max) else {
            throw .invalid(field: "raft index", value: index.rawValue)
        }
        guard payloadBytes == header.payloadBytes, header.uncompressedBytes == header.payloadBytes,
            bytes.count == EntryRecord.lengthBytes(slices: sliceCount, payload: Int(payloadBytes))
        else { throw .invalid(field: "payload length", value: UInt64(payloadBytes)) }
        let slices: EntrySlices
        switch sliceCount {
        case 0: slices = .none
        case 1: slices = .one(try Self.slice(from: &reader, payloadBytes: payloadBytes))
        default:
            var many: [EntrySlice] = []
            many.reserveCapacity(sliceCount)
            for _ in 0..<sliceCount {
                let slice = try Self.slice(from: &reader, payloadBytes: payloadBytes)
                if let last = many.last, last.partition >= slice.partition {
                    throw .invalid(field: "slice order", value: slice.partition.rawValue)
                }
                many.append(slice)
            }
            slices = .many(many)
        }
        return SegmentedRecordHeader(
            version: header.version, flags: header.flags, kind: .entry, codec: header.codec, chain: chain,
            raftIndex: index, term: term, timestampMicroseconds: timestamp, type: type, slices: slices,
            payloadBytes: Int(payloadBytes), uncompressedBytes: Int(header.uncompressedBytes))
    }

    private static func slice(
        from reader: inout ByteReader, payloadBytes: UInt32
    ) throws(DecodeError) -> EntrySlice {
        let slice = EntrySlice(
            partition: try reader.ordinal(), partitionIndex: try reader.ordinal(),
            previousRaftIndex: try reader.ordinal(), offset: try reader.integer(), length: try reader.integer())
        guard slice.partition.rawValue < LogFormat.maximumPartitions else {
            throw .invalid(field: "slice partition", value: slice.partition.rawValue)
        }
        guard slice.partitionIndex > 0, slice.partitionIndex.rawValue < UInt64(Int64.max) else {
            throw .invalid(field: "slice partition index", value: slice.partitionIndex.rawValue)
        }
        let (end, overflow) = slice.offset.addingReportingOverflow(slice.length)
        guard !overflow, end <= payloadBytes else {
            throw .invalid(field: "slice length", value: UInt64(slice.length))
        }
        return slice
    }

    /// The payload of a record whose header has been decoded.
    public var payload: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[(bytes.count - Int(header.payloadBytes))...])
    }

    /// Decodes a record of kind `entry`, with a copy of its payload.
    public func entry() throws(DecodeError) -> Entry {
        let header = try entryHeader()
        return Entry(
            index: header.raftIndex, term: header.term, type: header.type,
            timestampMicroseconds: header.timestampMicroseconds, slices: header.slices, payload: [UInt8](payload),
            chain: header.chain)
    }
}
