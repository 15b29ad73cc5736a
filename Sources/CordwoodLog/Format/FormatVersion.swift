public import CordwoodBase

/// The constants of format version 1. Every number in a file is little-endian; `docs/format.md` has the byte tables.
public enum LogFormat {
    /// First eight bytes of every segment: "CORDWOOD".
    public static let magic: UInt64 = 0x444F_4F57_4452_4F43
    public static let majorVersion: UInt16 = 1
    public static let minorVersion: UInt16 = 0

    /// A batch's marker: "BTCH". Tells an aligned offset that may begin a batch from one that cannot.
    public static let batchMarker: UInt32 = 0x4843_5442

    public static let segmentHeaderBytes = 4096
    public static let batchHeaderBytes = 96
    public static let recordHeaderBytes = 24
    /// Records begin at multiples of this within a batch.
    public static let recordAlignment = 8

    /// Batches begin at multiples of this and are padded to it, unless the device asks for more.
    public static let defaultAlignmentLog2: UInt8 = 12
    public static let alignmentLog2Range: ClosedRange<UInt8> = 9...16

    public static let maximumPayloadBytes = 64 << 20
    public static let maximumSlices = Int(UInt16.max)
    public static let maximumPartitions: UInt64 = 65_536

    /// The only checksum of version 1: XXH3, 64 bits, seeded.
    public static let checksumXXH3: UInt8 = 1

    /// Bytes up to the next multiple of `alignment`, a power of two.
    @inlinable
    public static func padded(_ bytes: Int, to alignment: Int) -> Int { (bytes + alignment - 1) & ~(alignment - 1) }
}

/// Number of a segment in its stream: 1, 2, 3 and on. Not derived from what the segment holds, so that a file that came
/// back from the dead cannot be taken for its successor.
@frozen
public struct SegmentID: Ordinal {
    public let rawValue: UInt64

    @inlinable
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// No segment.
    public static let none = SegmentID(rawValue: 0)
}

/// Drawn anew whenever a segment's file is created or recycled; what an earlier use left in the file never verifies.
@frozen
public struct SegmentIncarnation: Ordinal {
    public let rawValue: UInt64

    @inlinable
    public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// A place in a physical stream. As a promise it says: everything before it is durable.
@frozen
public struct StreamPosition: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var segment: SegmentID
    /// In bytes from the start of the segment's file.
    public var offset: UInt64

    @inlinable
    public init(segment: SegmentID, offset: UInt64) {
        self.segment = segment
        self.offset = offset
    }

    /// Before everything.
    public static let zero = StreamPosition(segment: .none, offset: 0)

    @inlinable
    public static func < (left: Self, right: Self) -> Bool {
        left.segment != right.segment ? left.segment < right.segment : left.offset < right.offset
    }

    public var description: String { "\(segment):\(offset)" }
}

/// Whose log a file is part of.
public struct LogIdentity: Hashable, Sendable {
    public var cluster: UniqueID
    public var node: UniqueID
    public var replica: ReplicaID
    /// Drawn when the store's directory was made.
    public var store: UniqueID
    /// Drawn when this log was made: the segmented log and each partition log have their own.
    public var log: UniqueID

    public init(cluster: UniqueID, node: UniqueID, replica: ReplicaID, store: UniqueID, log: UniqueID) {
        self.cluster = cluster
        self.node = node
        self.replica = replica
        self.store = store
        self.log = log
    }
}

/// Which of the two kinds of log a segment is part of.
public enum LogKind: UInt16, Sendable, Hashable {
    case segmented = 1
    case partition = 2
}
