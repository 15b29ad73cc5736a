public import CordwoodBase

/// What apply answers to an append, and how it is encoded for the proposer: a kind byte, then the fields in the order
/// of the cases below, little-endian.
public enum AppendAnswer: Equatable, Sendable {
    /// The events are stored; they take the partition sequences from that of the first on.
    case appended(AppendedEvents)
    /// The command repeats one that was stored before: the events from `firstSequence` on, `count` of them. The first
    /// reply is `EventStore.firstAnswer(to:)`.
    case duplicate(RepeatedAppend)
    case refused(AppendRefusal)

    /// Decodes what `EventStore.apply` answered.
    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        self = try bytes.withUnsafeBytes { raw in
            Result { () throws(DecodeError) in try AppendAnswer(decoding: raw) }
        }.get()
    }

    /// The same from where the answer lies.
    public init(decoding raw: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(raw)
        let code = try reader.integer(UInt8.self)
        guard let kind = Kind(rawValue: code) else { throw .invalid(field: "answer kind", value: UInt64(code)) }
        switch kind {
        case .appended:
            guard reader.remaining >= AppendedEvents.eventSize, reader.remaining % AppendedEvents.eventSize == 0 else {
                throw .truncated(needed: AppendedEvents.eventSize, available: reader.remaining)
            }
            self = .appended(AppendedEvents(encoded: raw))
            return
        case .duplicate:
            self = .duplicate(
                RepeatedAppend(firstSequence: try reader.integer(), count: Int(try reader.integer(UInt32.self))))
        case .wrongVersion:
            let event = Int(try reader.integer(UInt16.self))
            let count: UInt64 = try reader.integer()
            self = .refused(.wrongVersion(event: event, currentVersion: count == 0 ? nil : count - 1))
        case .eventIDUsed:
            self = .refused(.eventIDUsed(event: Int(try reader.integer(UInt16.self))))
        case .foreignEventID:
            self = .refused(.foreignEventID(event: Int(try reader.integer(UInt16.self))))
        case .malformed:
            self = .refused(.malformed)
        case .partitionFull:
            self = .refused(.partitionFull)
        }
        guard reader.remaining == 0 else { throw .invalid(field: "trailing bytes", value: UInt64(reader.remaining)) }
    }

    var encoded: [UInt8] {
        switch self {
        case .appended(let events): return events.withEncoded { [UInt8]($0) }
        case .duplicate(let earlier):
            var bytes: [UInt8] = [Kind.duplicate.rawValue]
            bytes.append(littleEndian: earlier.firstSequence)
            bytes.append(littleEndian: UInt32(earlier.count))
            return bytes
        case .refused(.wrongVersion(let event, let currentVersion)):
            var bytes: [UInt8] = [Kind.wrongVersion.rawValue]
            bytes.append(littleEndian: UInt16(event))
            bytes.append(littleEndian: currentVersion.map { $0 + 1 } ?? 0)
            return bytes
        case .refused(.eventIDUsed(let event)):
            var bytes: [UInt8] = [Kind.eventIDUsed.rawValue]
            bytes.append(littleEndian: UInt16(event))
            return bytes
        case .refused(.foreignEventID(let event)):
            var bytes: [UInt8] = [Kind.foreignEventID.rawValue]
            bytes.append(littleEndian: UInt16(event))
            return bytes
        case .refused(.malformed): return [Kind.malformed.rawValue]
        case .refused(.partitionFull): return [Kind.partitionFull.rawValue]
        }
    }

    enum Kind: UInt8 {
        case appended = 1
        case duplicate = 2
        case wrongVersion = 3
        case eventIDUsed = 4
        case foreignEventID = 5
        case malformed = 6
        case partitionFull = 7
    }
}

/// Why an append was turned down. `event` is the position of the event in the command, from 0.
public enum AppendRefusal: Hashable, Sendable {
    /// `currentVersion` is the stream's last version, earlier events of the same command included; `nil` for empty.
    case wrongVersion(event: Int, currentVersion: UInt64?)
    /// The id stands for another event, or the command is not the one that first used it.
    case eventIDUsed(event: Int)
    /// The id does not carry the hash of the partition key.
    case foreignEventID(event: Int)
    /// The bytes are no append command.
    case malformed
    /// The partition holds as many events or streams as it can number.
    case partitionFull
}

/// An append that was stored earlier, named by its place in the partition.
@frozen
public struct RepeatedAppend: Hashable, Sendable {
    public let firstSequence: UInt64
    public let count: Int

    @inlinable
    public init(firstSequence: UInt64, count: Int) {
        self.firstSequence = firstSequence
        self.count = count
    }
}

/// One event that was stored.
@frozen
public struct AppendedEvent: Hashable, Sendable {
    public let id: EventID
    public let sequence: UInt64
    public let version: UInt64
    public let timestampMilliseconds: Int64

    @inlinable
    public init(id: EventID, sequence: UInt64, version: UInt64, timestampMilliseconds: Int64) {
        self.id = id
        self.sequence = sequence
        self.version = version
        self.timestampMilliseconds = timestampMilliseconds
    }
}

/// The events that one command stored, in its order. Most commands store one, and one is kept without an allocation.
public struct AppendedEvents: Equatable, Sendable, RandomAccessCollection {
    static let eventSize = 40

    private enum Storage: Equatable {
        case one(AppendedEvent)
        /// The bytes of the answer: kind byte, then `eventSize` bytes an event.
        case several([UInt8])
    }

    private let storage: Storage

    init(_ event: AppendedEvent) { storage = .one(event) }

    init(_ events: [AppendedEvent]) {
        if events.count == 1 {
            storage = .one(events[0])
            return
        }
        let size = 1 + events.count * Self.eventSize
        storage = .several(
            [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
                var writer = ByteWriter(UnsafeMutableRawBufferPointer(buffer))
                writer.integer(AppendAnswer.Kind.appended.rawValue)
                for event in events { event.write(to: &writer) }
                count = size
            })
    }

    /// Takes an answer whose kind and length have been checked.
    init(encoded bytes: UnsafeRawBufferPointer) {
        storage =
            bytes.count == 1 + Self.eventSize
            ? .one(AppendedEvent(encodedIn: bytes, at: 1)) : .several([UInt8](bytes))
    }

    /// Calls `body` with the answer that says so.
    func withEncoded<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        switch storage {
        case .several(let bytes): return bytes.withUnsafeBytes(body)
        case .one(let event):
            return withUnsafeTemporaryAllocation(byteCount: 1 + Self.eventSize, alignment: 8) { memory in
                var writer = ByteWriter(UnsafeMutableRawBufferPointer(rebasing: memory[..<(1 + Self.eventSize)]))
                writer.integer(AppendAnswer.Kind.appended.rawValue)
                event.write(to: &writer)
                return body(UnsafeRawBufferPointer(writer.bytes))
            }
        }
    }

    public var startIndex: Int { 0 }

    public var endIndex: Int {
        switch storage {
        case .one: 1
        case .several(let bytes): (bytes.count - 1) / Self.eventSize
        }
    }

    public subscript(position: Int) -> AppendedEvent {
        invariant(position >= 0 && position < endIndex, "event \(position) of \(endIndex)")
        switch storage {
        case .one(let event): return event
        case .several(let bytes):
            return bytes.withUnsafeBytes { AppendedEvent(encodedIn: $0, at: 1 + position * Self.eventSize) }
        }
    }
}

extension AppendedEvent {
    fileprivate init(encodedIn bytes: UnsafeRawBufferPointer, at offset: Int) {
        func word(_ number: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + number * 8, as: UInt64.self))
        }
        self.init(
            id: EventID(UUID(high: word(0), low: word(1))), sequence: word(2), version: word(3),
            timestampMilliseconds: Int64(bitPattern: word(4)))
    }

    fileprivate func write(to writer: inout ByteWriter) {
        writer.integer(id.uuid.high)
        writer.integer(id.uuid.low)
        writer.integer(sequence)
        writer.integer(version)
        writer.integer(timestampMilliseconds)
    }
}
