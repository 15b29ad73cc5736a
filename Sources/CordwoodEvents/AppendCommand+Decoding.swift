internal import CordwoodBase

/// Reads an encoded append command, event by event, without copying. Total on any bytes.
struct AppendReader {
    let key: PartitionKey
    let eventCount: Int
    private var reader: ByteReader

    init(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) {
        reader = ByteReader(bytes)
        let format = try reader.integer(UInt8.self)
        guard format == AppendCommand.format else { throw .invalid(field: "command format", value: UInt64(format)) }
        let flags = try reader.integer(UInt8.self)
        guard flags == 0 else { throw .invalid(field: "command flags", value: UInt64(flags)) }
        eventCount = Int(try reader.integer(UInt16.self))
        guard eventCount > 0 else { throw .invalid(field: "event count", value: 0) }
        key = PartitionKey(UUID(high: try reader.integer(), low: try reader.integer()))
    }

    /// The next event. The caller asks `eventCount` times, then calls `finish`.
    mutating func next() throws(DecodeError) -> AppendEvent {
        let flagBits = try reader.integer(UInt8.self)
        guard flagBits & ~EventFlags.known == 0 else { throw .invalid(field: "event flags", value: UInt64(flagBits)) }
        let flags = EventFlags(rawValue: flagBits)
        let streamIDLength = Int(try reader.integer(UInt8.self))
        guard streamIDLength >= 1, streamIDLength <= AppendCommand.maxStreamIDLength else {
            throw .invalid(field: "stream id length", value: UInt64(streamIDLength))
        }
        let nameLength = Int(try reader.integer(UInt8.self))
        let reserved = try reader.integer(UInt8.self)
        guard reserved == 0 else { throw .invalid(field: "reserved byte", value: UInt64(reserved)) }
        let metadataLength = Int(try reader.integer(UInt32.self))
        let payloadLength = Int(try reader.integer(UInt32.self))
        let id = EventID(UUID(high: try reader.integer(), low: try reader.integer()))
        let expectedVersion: ExpectedVersion
        switch flagBits & EventFlags.expectationMask {
        case 0: expectedVersion = .any
        case 1: expectedVersion = .exactly(try reader.integer())
        case 2: expectedVersion = .empty
        default: expectedVersion = .exists
        }
        let timestamp: Int64? = flags.contains(.timestamp) ? try reader.integer() : nil
        if let timestamp, timestamp < 0 {
            throw .invalid(field: "event timestamp", value: UInt64(bitPattern: timestamp))
        }
        let content = try reader.take(streamIDLength + nameLength + metadataLength + payloadLength)
        return AppendEvent(
            id: id, idIsSupplied: flags.contains(.suppliedID), expectedVersion: expectedVersion,
            timestampMilliseconds: timestamp, content: content, streamIDLength: streamIDLength, nameLength: nameLength,
            metadataLength: metadataLength)
    }

    /// Checks that the events end where the bytes end.
    func finish() throws(DecodeError) {
        guard reader.remaining == 0 else { throw .invalid(field: "trailing bytes", value: UInt64(reader.remaining)) }
    }
}

/// One event of an encoded command, over the command's bytes.
struct AppendEvent {
    let id: EventID
    let idIsSupplied: Bool
    let expectedVersion: ExpectedVersion
    let timestampMilliseconds: Int64?
    /// Stream id, name, metadata and payload, one behind the other.
    let content: UnsafeRawBufferPointer
    let streamIDLength: Int
    let nameLength: Int
    let metadataLength: Int

    var streamID: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: content[..<streamIDLength]) }
    var name: Range<Int> { streamIDLength..<streamIDLength + nameLength }
    var metadata: Range<Int> { name.upperBound..<name.upperBound + metadataLength }
    var payload: Range<Int> { metadata.upperBound..<content.count }

    /// A digest of the event's content, never 0. Equal content under equal keys has equal digests.
    func contentDigest(under key: PartitionKey) -> UInt64 {
        var fields: (UInt64, UInt64, UInt64, UInt64) = (
            key.uuid.high.littleEndian, key.uuid.low.littleEndian,
            (UInt64(streamIDLength) | UInt64(nameLength) << 8 | (timestampMilliseconds == nil ? 0 : 1) << 16
                | UInt64(metadataLength) << 32).littleEndian,
            UInt64(bitPattern: timestampMilliseconds ?? 0).littleEndian
        )
        let seed = withUnsafeBytes(of: &fields) { Checksum.xxh3($0, seed: 0) }
        return max(1, Checksum.xxh3(content, seed: seed))
    }
}
