import CordwoodBase
import CordwoodEvents

/// A stream of events that clients write to and read from, chosen so that its partition is known.
struct SimulatedStream: Hashable, Comparable, CustomStringConvertible {
    var partition: PartitionID
    var number: Int

    /// The bits that place a key are those of the partition.
    var key: PartitionKey { PartitionKey(UUID(high: UInt64(number), low: partition.rawValue << 46)) }

    var id: [UInt8] { [0x73, 0x30 + UInt8(number)] }

    var description: String { "\(partition)/s\(number)" }

    static func < (left: SimulatedStream, right: SimulatedStream) -> Bool {
        (left.partition, left.number) < (right.partition, right.number)
    }
}

/// One command of a client: events with numbers of their own, all for one stream, sent as often as it takes.
///
/// An event's number is in its id and in its payload, so whoever finds an event knows which it is, and whether all of
/// it is there.
struct WriteCommand {
    var serials: Range<UInt64>
    var stream: SimulatedStream
    /// What the first event expects of its stream.
    var expected: ExpectedVersion
    /// Payload of each event.
    var payloadBytes: Int

    var serial: UInt64 { serials.lowerBound }

    func encoded() -> [UInt8] {
        let streamID = stream.id
        let payloads = serials.map { SimulatedEvent.payload($0, byteCount: payloadBytes) }
        return streamID.withUnsafeBytes { streamBytes in
            withDrafts(payloads[...], streamBytes, []) { AppendCommand.encode(key: stream.key, events: $0) }
        }
    }

    private func withDrafts<Value>(
        _ payloads: ArraySlice<[UInt8]>, _ streamBytes: UnsafeRawBufferPointer, _ drafts: [EventDraft],
        _ body: ([EventDraft]) -> Value
    ) -> Value {
        guard let payload = payloads.first else { return body(drafts) }
        return payload.withUnsafeBytes { bytes in
            let draft = EventDraft(
                streamID: streamBytes, name: UnsafeRawBufferPointer(start: nil, count: 0),
                id: SimulatedEvent.id(serials.lowerBound + UInt64(drafts.count), stream), idIsSupplied: true,
                expectedVersion: drafts.isEmpty ? expected : .any, payload: bytes)
            return withDrafts(payloads.dropFirst(), streamBytes, drafts + [draft], body)
        }
    }
}

/// What an event of the simulation looks like.
enum SimulatedEvent {
    static func id(_ serial: UInt64, _ stream: SimulatedStream) -> EventID {
        EventID(milliseconds: serial, partitionHash: stream.key.hash, random: UInt64(stream.number))
    }

    static func serial(_ id: EventID) -> UInt64 { id.milliseconds }

    static func stream(_ id: EventID, in partition: PartitionID) -> SimulatedStream {
        SimulatedStream(partition: partition, number: Int(id.uuid.low & 0xff))
    }

    /// The serial, and bytes that follow from it.
    static func payload(_ serial: UInt64, byteCount: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(8 + byteCount)
        bytes.append(littleEndian: serial)
        bytes.append(contentsOf: repeatElement(UInt8(truncatingIfNeeded: serial &* 31), count: byteCount))
        return bytes
    }

    /// Whether an event that was read back is the one that was written.
    static func isWhole(_ event: StoredEvent) -> Bool {
        let serial = serial(event.id)
        let head = event.payload.prefix(8).withUnsafeBytes { raw -> UInt64? in
            var reader = ByteReader(raw)
            return try? reader.integer(UInt64.self)
        }
        let filler = UInt8(truncatingIfNeeded: serial &* 31)
        return head == serial && event.payload.dropFirst(8).allSatisfy { $0 == filler }
    }
}
