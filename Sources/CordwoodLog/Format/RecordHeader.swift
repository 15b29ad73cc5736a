internal import CordwoodBase

/// What a record is. Raw values are those of the stored format; 0 is invalid, so that zeros are never a record.
public enum RecordKind: UInt16, Sendable, Hashable, CaseIterable {
    /// A Raft entry, in the segmented log.
    case entry = 1
    /// A partition's slice of a committed Raft entry, in a partition log.
    case partitionEntry = 2
    /// Everything behind an index is dropped; a new epoch begins.
    case truncation = 3
    case vote = 4
    /// First in every segment: the stream's state at its start.
    case carry = 5
    /// Last in every finished segment: names the successor.
    case seal = 6
    /// A piece of a system checkpoint.
    case checkpoint = 7
    /// A recovery accepted the stream up to here; a new epoch begins.
    case recovery = 8
    /// The log starts behind this index.
    case boundary = 9
    /// A Raft snapshot takes the place of what was there; a new epoch begins.
    case install = 10
    /// The acknowledgement gate from here on.
    case gate = 11
    /// Nothing but the promise in the batch's header.
    case promise = 12
    /// Segments before the named one may be gone.
    case release = 13
}

/// Flags of a record.
public struct SegmentedRecordFlags: OptionSet, Hashable, Sendable {
    public let rawValue: UInt16

    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let hasPayload = SegmentedRecordFlags(rawValue: 0x0001)
    public static let snapshotMarker = SegmentedRecordFlags(rawValue: 0x0002)
    /// In a partition log: the machine is not to see the command, which was turned down before it.
    public static let refused = SegmentedRecordFlags(rawValue: 0x0004)
    /// A reader that does not know the record's kind may pass over it.
    public static let skippable = SegmentedRecordFlags(rawValue: 0x8000)
}

/// The 24 bytes that every record begins with.
@frozen
public struct RecordHeader: Hashable, Sendable {
    /// The record with this header, without the padding behind it, in bytes.
    public var lengthBytes: UInt32
    public var rawKind: UInt16
    public var rawFlags: UInt16
    public var group: UInt32
    public var codec: UInt8
    public var version: UInt8
    /// The payload as it was given and as it is stored, in bytes. Equal while no codec is in use.
    public var uncompressedBytes: UInt32
    public var payloadBytes: UInt32

    /// The record with the padding behind it.
    var paddedBytes: Int { LogFormat.padded(Int(lengthBytes), to: LogFormat.recordAlignment) }

    init(kind: RecordKind, flags: SegmentedRecordFlags = [], lengthBytes: Int, payloadBytes: Int = 0) {
        self.lengthBytes = UInt32(lengthBytes)
        rawKind = kind.rawValue
        rawFlags = flags.rawValue
        group = 0
        codec = 0
        version = 1
        uncompressedBytes = UInt32(payloadBytes)
        self.payloadBytes = UInt32(payloadBytes)
    }

    func encode(into writer: inout ByteWriter) {
        writer.integer(lengthBytes)
        writer.integer(rawKind)
        writer.integer(rawFlags)
        writer.integer(group)
        writer.integer(codec)
        writer.integer(version)
        writer.integer(UInt16(0))
        writer.integer(uncompressedBytes)
        writer.integer(payloadBytes)
    }

    init(decoding reader: inout ByteReader) throws(DecodeError) {
        lengthBytes = try reader.integer()
        rawKind = try reader.integer()
        rawFlags = try reader.integer()
        group = try reader.integer()
        codec = try reader.integer()
        version = try reader.integer()
        let reserved = try reader.integer(UInt16.self)
        uncompressedBytes = try reader.integer()
        payloadBytes = try reader.integer()
        guard lengthBytes >= UInt32(LogFormat.recordHeaderBytes) else {
            throw .invalid(field: "record length", value: UInt64(lengthBytes))
        }
        guard rawKind != 0 else { throw .invalid(field: "record kind", value: 0) }
        guard reserved == 0 else { throw .invalid(field: "record reserved", value: UInt64(reserved)) }
        guard payloadBytes <= lengthBytes - UInt32(LogFormat.recordHeaderBytes) else {
            throw .invalid(field: "payload length", value: UInt64(payloadBytes))
        }
    }

    /// `nil` when this version does not know the kind.
    public var kind: RecordKind? { RecordKind(rawValue: rawKind) }

    public var flags: SegmentedRecordFlags { SegmentedRecordFlags(rawValue: rawFlags) }
}
