internal import CordwoodBase

/// What a writer expects of a stream before its event is appended.
@frozen
public enum ExpectedVersion: Hashable, Sendable {
    case any
    /// The stream's last version.
    case exactly(UInt64)
    /// The stream has no event.
    case empty
    /// The stream has an event.
    case exists

    /// True when a stream of `count` events, versions 0 to `count` - 1, is as expected.
    @inlinable
    public func holds(forCount count: UInt64) -> Bool {
        switch self {
        case .any: true
        case .exactly(let version): count > 0 && version == count - 1
        case .empty: count == 0
        case .exists: count > 0
        }
    }
}

/// An event to be appended, over the bytes where its parts lie: valid as long as those are.
public struct EventDraft {
    /// 1 to 64 bytes, no NUL.
    public var streamID: UnsafeRawBufferPointer
    /// At most 255 bytes.
    public var name: UnsafeRawBufferPointer
    public var id: EventID
    /// True when the client brought the id: only then is a repeat recognised by it.
    public var idIsSupplied: Bool
    public var expectedVersion: ExpectedVersion
    /// Unix milliseconds; `nil` for the entry's own timestamp.
    public var timestampMilliseconds: Int64?
    public var metadata: UnsafeRawBufferPointer
    public var payload: UnsafeRawBufferPointer

    public init(
        streamID: UnsafeRawBufferPointer, name: UnsafeRawBufferPointer, id: EventID, idIsSupplied: Bool,
        expectedVersion: ExpectedVersion = .any, timestampMilliseconds: Int64? = nil,
        metadata: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
        payload: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) {
        self.streamID = streamID
        self.name = name
        self.id = id
        self.idIsSupplied = idIsSupplied
        self.expectedVersion = expectedVersion
        self.timestampMilliseconds = timestampMilliseconds
        self.metadata = metadata
        self.payload = payload
    }

    /// Bytes that this event takes in a command.
    public var encodedSize: Int {
        var size = AppendCommand.eventHeaderSize
        if case .exactly = expectedVersion { size += 8 }
        if timestampMilliseconds != nil { size += 8 }
        return size + streamID.count + name.count + metadata.count + payload.count
    }

    func write(to writer: inout ByteWriter) {
        invariant(
            streamID.count >= 1 && streamID.count <= AppendCommand.maxStreamIDLength
                && name.count <= AppendCommand.maxEventNameLength && metadata.count <= Int(UInt32.max)
                && payload.count <= Int(UInt32.max),
            "an event of lengths \(streamID.count), \(name.count), \(metadata.count), \(payload.count)")
        var flags: EventFlags = []
        if idIsSupplied { flags.insert(.suppliedID) }
        if timestampMilliseconds != nil { flags.insert(.timestamp) }
        writer.integer(flags.rawValue | expectedVersion.code)
        writer.integer(UInt8(streamID.count))
        writer.integer(UInt8(name.count))
        writer.integer(UInt8(0))
        writer.integer(UInt32(metadata.count))
        writer.integer(UInt32(payload.count))
        writer.integer(id.uuid.high)
        writer.integer(id.uuid.low)
        if case .exactly(let version) = expectedVersion { writer.integer(version) }
        if let timestampMilliseconds { writer.integer(timestampMilliseconds) }
        writer.raw(streamID)
        writer.raw(name)
        writer.raw(metadata)
        writer.raw(payload)
    }
}

/// Flag bits of an encoded event; bits 0 and 1 are the expectation's code.
struct EventFlags: OptionSet {
    let rawValue: UInt8

    static let suppliedID = EventFlags(rawValue: 1 << 2)
    static let timestamp = EventFlags(rawValue: 1 << 3)
    static let expectationMask: UInt8 = 0b11
    static let known: UInt8 = 0b1111
}

extension ExpectedVersion {
    fileprivate var code: UInt8 {
        switch self {
        case .any: 0
        case .exactly: 1
        case .empty: 2
        case .exists: 3
        }
    }
}
