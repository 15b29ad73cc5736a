public import CordwoodBase

/// What places events: all streams of one key live in one partition, and a stream belongs to one key.
@frozen
public struct PartitionKey: Hashable, Sendable, CustomStringConvertible {
    public let uuid: UUID

    @inlinable
    public init(_ uuid: UUID) { self.uuid = uuid }

    /// The namespace of keys that are derived from a stream id.
    public static let namespace = UUID(high: 0x219b_d637_e279_53e9, low: 0x9e2b_eabe_5d91_20cc)

    /// The key of a stream whose writer names none: the version 5 UUID of the stream id's bytes.
    public init(defaultFor streamID: UnsafeRawBufferPointer) {
        let digest = SHA1.leadingHalves(prefix: (Self.namespace.high, Self.namespace.low), bytes: streamID)
        uuid = UUID(
            high: digest.high & ~0xF000 | 0x5000,
            low: digest.low & ~(0b11 << 62) | 0b10 << 62)
    }

    public init(defaultFor streamID: String) {
        var streamID = streamID
        self = streamID.withUTF8 { PartitionKey(defaultFor: UnsafeRawBufferPointer($0)) }
    }

    /// 16 bits of the key that decide its partition and that every event id under it carries.
    @inlinable
    public var hash: PartitionHash { PartitionHash(embeddedIn: uuid) }

    /// The partition of this key among `count` partitions, 1 to 65,536.
    @inlinable
    public func partition(of count: Int) -> PartitionID { hash.partition(of: count) }

    public var description: String { uuid.description }
}

/// The 16 bits at positions 61 to 46 of a UUID.
@frozen
public struct PartitionHash: Hashable, Sendable, RawRepresentable {
    public let rawValue: UInt16

    @inlinable
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    @inlinable
    public init(embeddedIn uuid: UUID) { rawValue = UInt16(truncatingIfNeeded: uuid.low >> 46) }

    /// The partition of this hash among `count` partitions, 1 to 65,536.
    @inlinable
    public func partition(of count: Int) -> PartitionID {
        invariant(count >= 1 && count <= 65_536, "placement among \(count) partitions")
        return PartitionID(UInt64(rawValue) % UInt64(count))
    }
}
