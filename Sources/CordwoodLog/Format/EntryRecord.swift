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
    static let slicesOffset = contentOffset + EntryContent.minimumBytes

    /// The record's length without padding.
    static func lengthBytes(slices: Int, payload: Int) -> Int {
        contentOffset + EntryContent.lengthBytes(slices: slices, payload: payload)
    }

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
        EntryContent.encode(entry, into: &writer)
        let content = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[contentOffset..<length])
        let chain = EntryChain.value(after: previous, content: content)
        writer.offset = chainOffset
        writer.chainValue(chain)
        return chain
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
        let content = try EntryContent.Header(from: &reader)
        guard content.payloadBytes == Int(header.payloadBytes), header.uncompressedBytes == header.payloadBytes,
            reader.remaining == content.payloadBytes
        else { throw .invalid(field: "payload length", value: UInt64(content.payloadBytes)) }
        return SegmentedRecordHeader(
            version: header.version, flags: header.flags, kind: .entry, codec: header.codec, chain: chain,
            raftIndex: content.index, term: content.term, timestampMicroseconds: content.timestampMicroseconds,
            type: content.type, slices: content.slices, payloadBytes: content.payloadBytes,
            uncompressedBytes: Int(header.uncompressedBytes))
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
