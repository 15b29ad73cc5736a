/// Identifier of an event. From the top: 48 bits of Unix milliseconds, 12 random bits, the version 7 in 4 bits, the
/// variant `10` in 2 bits, 16 bits of the partition hash of the event's key (positions 61 to 46), 46 random bits.
///
/// An id that a client brings need only carry the right partition hash.
@frozen
public struct EventID: Hashable, Sendable, CustomStringConvertible {
    public let uuid: UUID

    @inlinable
    public init(_ uuid: UUID) { self.uuid = uuid }

    /// A new id. Of `random` 58 bits are used: the caller draws them, 46 from `random` and 12 from its top.
    ///
    /// - Parameter milliseconds: Unix time; the low 48 bits count.
    @inlinable
    public init(milliseconds: UInt64, partitionHash: PartitionHash, random: UInt64) {
        uuid = UUID(
            high: milliseconds << 16 | (random >> 52) << 4 | 0x7,
            low: 0b10 << 62 | UInt64(partitionHash.rawValue) << 46 | random & (1 << 46 - 1))
    }

    @inlinable
    public var partitionHash: PartitionHash { PartitionHash(embeddedIn: uuid) }

    /// True when this id may stand for an event under `key`.
    @inlinable
    public func belongs(to key: PartitionKey) -> Bool { partitionHash == key.hash }

    /// Unix milliseconds, if the id has the layout above.
    @inlinable
    public var milliseconds: UInt64 { uuid.high >> 16 }

    public var description: String { uuid.description }
}

/// Identifier of the transaction that stored an event: what one EAPPEND or EMAPPEND did.
///
/// It is the id of the transaction's first event with the top bit of byte 8 set when that event is the only one and
/// cleared when there are more. So it is as unique as event ids are, and needs no place of its own in the log.
@frozen
public struct TransactionID: Hashable, Sendable, CustomStringConvertible {
    public let uuid: UUID

    @inlinable
    public init(_ uuid: UUID) { self.uuid = uuid }

    @inlinable
    public init(firstEvent: EventID, eventCount: Int) {
        let flag: UInt64 = 1 << 63
        let low = firstEvent.uuid.low
        uuid = UUID(high: firstEvent.uuid.high, low: eventCount == 1 ? low | flag : low & ~flag)
    }

    @inlinable
    public var isSingleEvent: Bool { uuid.low >> 63 == 1 }

    public var description: String { uuid.description }
}
