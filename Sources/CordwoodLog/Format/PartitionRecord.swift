public import CordwoodBase

/// Where a partition log's record comes from: what is compared with the segmented log.
public struct PartitionRecordPosition: Hashable, Sendable {
    public var partitionIndex: PartitionLogIndex
    public var raftIndex: RaftIndex
    public var term: Term
    public var timestampMicroseconds: Int64
    public var type: EntryType

    public init(
        partitionIndex: PartitionLogIndex, raftIndex: RaftIndex, term: Term, timestampMicroseconds: Int64,
        type: EntryType
    ) {
        self.partitionIndex = partitionIndex
        self.raftIndex = raftIndex
        self.term = term
        self.timestampMicroseconds = timestampMicroseconds
        self.type = type
    }
}

/// A partition log's record as read back: everything but the payload.
public struct PartitionRecordHeader: Hashable, Sendable {
    public var position: PartitionRecordPosition
    /// The partition chain at this record.
    public var chain: ChainValue
    /// The payload, in bytes.
    public var payloadBytes: Int
}

enum PartitionRecord {
    static let payloadOffset = EntryRecord.contentOffset + 40

    static func lengthBytes(payload: Int) -> Int { payloadOffset + payload }

    /// Writes a record and returns its chain value.
    static func encode(
        _ position: PartitionRecordPosition, payload: UnsafeRawBufferPointer, after previous: ChainValue,
        isRefused: Bool = false, into bytes: UnsafeMutableRawBufferPointer
    ) -> ChainValue {
        let length = lengthBytes(payload: payload.count)
        var flags: SegmentedRecordFlags = payload.isEmpty ? [] : .hasPayload
        if isRefused { flags.insert(.refused) }
        var writer = ByteWriter(bytes)
        RecordHeader(
            kind: .partitionEntry, flags: flags, lengthBytes: length, payloadBytes: payload.count
        ).encode(into: &writer)
        writer.offset = EntryRecord.contentOffset
        writer.ordinal(position.partitionIndex)
        writer.ordinal(position.raftIndex)
        writer.ordinal(position.term)
        writer.integer(position.timestampMicroseconds)
        writer.integer(position.type.rawValue)
        writer.zeros(3)
        writer.integer(UInt32(payload.count))
        writer.raw(payload)
        let content = UnsafeRawBufferPointer(
            rebasing: UnsafeRawBufferPointer(bytes)[EntryRecord.contentOffset..<length])
        let chain = PartitionChain.value(after: previous, content: content)
        writer.offset = EntryRecord.chainOffset
        writer.chainValue(chain)
        return chain
    }
}

extension RecordView {
    /// Decodes a record of kind `partitionEntry`.
    public func partitionHeader() throws(DecodeError) -> PartitionRecordHeader {
        guard header.rawKind == RecordKind.partitionEntry.rawValue else {
            throw .invalid(field: "record kind", value: UInt64(header.rawKind))
        }
        guard header.codec == 0 else { throw .invalid(field: "codec", value: UInt64(header.codec)) }
        var reader = ByteReader(bytes, offset: LogFormat.recordHeaderBytes)
        let chain = try reader.chainValue()
        let partitionIndex = try reader.ordinal(PartitionLogIndex.self)
        let raftIndex = try reader.ordinal(RaftIndex.self)
        let term = try reader.ordinal(Term.self)
        let timestamp = try reader.integer(Int64.self)
        let rawType = try reader.integer(UInt8.self)
        guard let type = EntryType(rawValue: rawType) else {
            throw .invalid(field: "entry type", value: UInt64(rawType))
        }
        for byte in try reader.take(3) where byte != 0 { throw .invalid(field: "entry reserved", value: UInt64(byte)) }
        let payloadBytes = try reader.integer(UInt32.self)
        guard partitionIndex > 0, partitionIndex.rawValue < UInt64(Int64.max) else {
            throw .invalid(field: "partition index", value: partitionIndex.rawValue)
        }
        guard raftIndex > 0, raftIndex.rawValue < UInt64(Int64.max) else {
            throw .invalid(field: "raft index", value: raftIndex.rawValue)
        }
        guard payloadBytes == header.payloadBytes, header.uncompressedBytes == header.payloadBytes,
            bytes.count == PartitionRecord.lengthBytes(payload: Int(payloadBytes))
        else { throw .invalid(field: "payload length", value: UInt64(payloadBytes)) }
        return PartitionRecordHeader(
            position: PartitionRecordPosition(
                partitionIndex: partitionIndex, raftIndex: raftIndex, term: term, timestampMicroseconds: timestamp,
                type: type),
            chain: chain, payloadBytes: Int(payloadBytes))
    }

    /// The partition chain at this record when the one before it has `previous`: to be compared with the stored value.
    public func partitionChain(after previous: ChainValue) -> ChainValue {
        PartitionChain.value(after: previous, content: chainedContent)
    }

    /// The entry chain at this record when the entry before it has `previous`.
    public func entryChain(after previous: ChainValue) -> ChainValue {
        EntryChain.value(after: previous, content: chainedContent)
    }
}
