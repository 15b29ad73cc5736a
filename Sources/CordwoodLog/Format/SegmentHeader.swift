public import CordwoodBase

/// The first 4 KiB of every segment: what the file is, whose it is, and how to read it.
///
/// Written once, durably, before the file gets its name; never rewritten while the segment is part of a stream.
public struct SegmentHeader: Hashable, Sendable {
    public var identity: LogIdentity
    public var kind: LogKind
    /// The partition of a partition log, 0 in the segmented log.
    public var partition: PartitionID
    public var segment: SegmentID
    public var incarnation: SegmentIncarnation
    /// Length of the file when it was made, in bytes. The file may grow; a shorter one is damaged.
    public var allocatedBytes: UInt64
    public var alignmentLog2: UInt8
    /// A reader that does not know one of these bits refuses the file.
    public var requiredFeatures: UInt64
    /// A reader may ignore these.
    public var optionalFeatures: UInt64
    public var createdMicroseconds: Int64

    public init(
        identity: LogIdentity, kind: LogKind, partition: PartitionID = 0, segment: SegmentID,
        incarnation: SegmentIncarnation, allocatedBytes: UInt64,
        alignmentLog2: UInt8 = LogFormat.defaultAlignmentLog2, createdMicroseconds: Int64
    ) {
        self.identity = identity
        self.kind = kind
        self.partition = partition
        self.segment = segment
        self.incarnation = incarnation
        self.allocatedBytes = allocatedBytes
        self.alignmentLog2 = alignmentLog2
        requiredFeatures = 0
        optionalFeatures = 0
        self.createdMicroseconds = createdMicroseconds
    }

    public var alignmentBytes: Int { 1 << Int(alignmentLog2) }

    /// Where the first batch begins.
    public var firstBatchOffset: UInt64 {
        UInt64(LogFormat.padded(LogFormat.segmentHeaderBytes, to: alignmentBytes))
    }

    /// Why a file's first bytes are not a header that can be used.
    public enum Fault: Error, Hashable, Sendable {
        /// Nothing but zeros, or no bytes at all.
        case blank
        /// Not a header, or a damaged one.
        case damaged(String)
        /// A sound header of a version, feature, checksum or cipher that this version does not know.
        case unsupported(String)
    }

    static let checksumOffset = LogFormat.segmentHeaderBytes - 8
    static let checksumSeed: UInt64 = 0x7365_676D_656E_7431

    /// Fills the first 4 KiB of `bytes`.
    public func encode(into bytes: UnsafeMutableRawBufferPointer) {
        var writer = ByteWriter(UnsafeMutableRawBufferPointer(rebasing: bytes[..<LogFormat.segmentHeaderBytes]))
        writer.integer(LogFormat.magic)
        writer.integer(LogFormat.majorVersion)
        writer.integer(LogFormat.minorVersion)
        writer.integer(UInt32(LogFormat.segmentHeaderBytes))
        writer.integer(requiredFeatures)
        writer.integer(optionalFeatures)
        writer.uniqueID(identity.cluster)
        writer.uniqueID(identity.node)
        writer.uniqueID(identity.store)
        writer.uniqueID(identity.log)
        writer.ordinal(identity.replica)
        writer.integer(kind.rawValue)
        writer.integer(LogFormat.checksumXXH3)
        writer.integer(alignmentLog2)
        writer.integer(UInt16(0))  // cipher suite: none
        writer.integer(UInt16(0))
        writer.ordinal(partition)
        writer.ordinal(segment)
        writer.ordinal(incarnation)
        writer.integer(allocatedBytes)
        writer.integer(UInt64(0))  // cipher key id
        writer.integer(createdMicroseconds)
        writer.zeros(Self.checksumOffset - writer.offset)
        writer.integer(Self.checksum(UnsafeRawBufferPointer(writer.bytes)))
    }

    /// Reads a header from a file's first bytes.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(Fault) {
        guard bytes.count >= LogFormat.segmentHeaderBytes else {
            throw bytes.allSatisfy { $0 == 0 } ? .blank : .damaged("\(bytes.count) bytes are no header")
        }
        let block = UnsafeRawBufferPointer(rebasing: bytes[..<LogFormat.segmentHeaderBytes])
        do {
            try self.init(verifying: block)
        } catch let fault as Fault {
            throw fault
        } catch {
            throw .damaged("\(error)")
        }
    }

    private init(verifying block: UnsafeRawBufferPointer) throws {
        var reader = ByteReader(block)
        let magic = try reader.integer(UInt64.self)
        guard magic == LogFormat.magic else {
            throw block.allSatisfy { $0 == 0 } ? Fault.blank : Fault.damaged("magic is \(hexadecimal(magic))")
        }
        var tail = ByteReader(block, offset: Self.checksumOffset)
        guard try tail.integer(UInt64.self) == Self.checksum(block) else {
            throw Fault.damaged("header checksum differs")
        }
        let major = try reader.integer(UInt16.self)
        _ = try reader.integer(UInt16.self)
        guard major == LogFormat.majorVersion else { throw Fault.unsupported("format version \(major)") }
        let headerBytes = try reader.integer(UInt32.self)
        guard headerBytes == UInt32(LogFormat.segmentHeaderBytes) else {
            throw Fault.unsupported("segment header of \(headerBytes) bytes")
        }
        requiredFeatures = try reader.integer(UInt64.self)
        guard requiredFeatures == 0 else {
            throw Fault.unsupported("required feature bits \(hexadecimal(requiredFeatures))")
        }
        optionalFeatures = try reader.integer(UInt64.self)
        let cluster = try reader.uniqueID()
        let node = try reader.uniqueID()
        let store = try reader.uniqueID()
        let log = try reader.uniqueID()
        let replica = try reader.ordinal(ReplicaID.self)
        identity = LogIdentity(cluster: cluster, node: node, replica: replica, store: store, log: log)
        let rawKind = try reader.integer(UInt16.self)
        guard let kind = LogKind(rawValue: rawKind) else { throw Fault.unsupported("log kind \(rawKind)") }
        self.kind = kind
        let checksumKind = try reader.integer(UInt8.self)
        guard checksumKind == LogFormat.checksumXXH3 else { throw Fault.unsupported("checksum kind \(checksumKind)") }
        alignmentLog2 = try reader.integer(UInt8.self)
        guard LogFormat.alignmentLog2Range.contains(alignmentLog2) else {
            throw Fault.unsupported("alignment 2^\(alignmentLog2)")
        }
        let cipherSuite = try reader.integer(UInt16.self)
        guard cipherSuite == 0 else { throw Fault.unsupported("cipher suite \(cipherSuite)") }
        _ = try reader.integer(UInt16.self)
        partition = try reader.ordinal(PartitionID.self)
        segment = try reader.ordinal(SegmentID.self)
        incarnation = try reader.ordinal(SegmentIncarnation.self)
        allocatedBytes = try reader.integer(UInt64.self)
        _ = try reader.integer(UInt64.self)
        createdMicroseconds = try reader.integer(Int64.self)
        guard segment != .none, allocatedBytes <= UInt64(Int64.max), allocatedBytes >= firstBatchOffset else {
            throw Fault.damaged("segment \(segment) of \(allocatedBytes) bytes")
        }
    }

    private static func checksum(_ block: UnsafeRawBufferPointer) -> UInt64 {
        Checksum.xxh3(UnsafeRawBufferPointer(rebasing: block[..<checksumOffset]), seed: checksumSeed)
    }
}
