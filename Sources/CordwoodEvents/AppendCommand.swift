internal import CordwoodBase

/// The one command of the event store: append events under one partition key, all or none.
///
/// It travels through the log in this form, little-endian, format 1:
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 1 | format, 1 |
/// | 1 | 1 | flags, 0; unknown flags are refused |
/// | 2 | 2 | event count, at least 1 |
/// | 4 | 16 | partition key: high half, low half |
/// | 20 | | the events |
///
/// and each event:
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 1 | bits 0, 1: expectation (0 any, 1 version, 2 empty, 3 exists); bit 2: client's id; bit 3: timestamp |
/// | 1 | 1 | length of the stream id, 1 to 64 |
/// | 2 | 1 | length of the event name |
/// | 3 | 1 | 0 |
/// | 4 | 4 | length of the metadata |
/// | 8 | 4 | length of the payload |
/// | 12 | 16 | event id: high half, low half |
/// | 28 | 8 | expected version, only with expectation 1 |
/// | | 8 | timestamp in milliseconds, only with flag bit 3 |
/// | | | stream id, event name, metadata, payload |
///
/// What identifies an event's content for deduplication is the partition key, the timestamp if the client gave one,
/// and the four byte strings; the expectation is a condition and does not belong to it.
public enum AppendCommand {
    static let format: UInt8 = 1
    static let headerSize = 20
    static let eventHeaderSize = 28

    /// Limits of the format. The server's own limits are at most these.
    public static let maxStreamIDLength = 64
    public static let maxEventNameLength = 255
    public static let maxEventCount = Int(UInt16.max)

    /// The command that appends one event.
    public static func encode(key: PartitionKey, event: EventDraft) -> [UInt8] {
        var bytes: [UInt8] = []
        withEncoded(key: key, event: event) { bytes = [UInt8]($0) }
        return bytes
    }

    /// Calls `body` with the command that appends one event, in memory that lasts as long as the call.
    public static func withEncoded(key: PartitionKey, event: EventDraft, _ body: (UnsafeRawBufferPointer) -> Void) {
        let size = headerSize + event.encodedSize
        withUnsafeTemporaryAllocation(byteCount: size, alignment: 8) { memory in
            var writer = ByteWriter(UnsafeMutableRawBufferPointer(rebasing: memory[..<size]))
            writeHeader(key: key, eventCount: 1, to: &writer)
            event.write(to: &writer)
            body(UnsafeRawBufferPointer(writer.bytes))
        }
    }

    /// The command that appends 1 to `maxEventCount` events, all or none.
    public static func encode(key: PartitionKey, events: [EventDraft]) -> [UInt8] {
        invariant(
            events.count >= 1 && events.count <= maxEventCount, "an append of \(events.count) events")
        let size = events.reduce(headerSize) { $0 + $1.encodedSize }
        return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            var writer = ByteWriter(UnsafeMutableRawBufferPointer(buffer))
            writeHeader(key: key, eventCount: UInt16(events.count), to: &writer)
            for event in events { event.write(to: &writer) }
            count = size
        }
    }

    /// Key, id and stream of a command's first event, without a look at anything else; `nil` when the bytes end before.
    @inline(__always)
    static func glance(
        at bytes: UnsafeRawBufferPointer
    ) -> (key: PartitionKey, id: EventID, streamID: UnsafeRawBufferPointer)? {
        guard bytes.count >= headerSize + eventHeaderSize else { return nil }
        func word(_ offset: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        let flags = bytes[headerSize]
        let optionalWords = Int((flags & 3 == 1 ? 1 : 0) + (flags >> 3 & 1))
        let start = headerSize + eventHeaderSize + 8 * optionalWords
        let end = start + Int(bytes[headerSize + 1])
        guard end <= bytes.count else { return nil }
        return (
            PartitionKey(UUID(high: word(4), low: word(12))),
            EventID(UUID(high: word(headerSize + 12), low: word(headerSize + 20))),
            UnsafeRawBufferPointer(rebasing: bytes[start..<end])
        )
    }

    private static func writeHeader(key: PartitionKey, eventCount: UInt16, to writer: inout ByteWriter) {
        writer.integer(format)
        writer.integer(UInt8(0))
        writer.integer(eventCount)
        writer.integer(key.uuid.high)
        writer.integer(key.uuid.low)
    }
}
