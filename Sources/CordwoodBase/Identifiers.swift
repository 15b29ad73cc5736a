/// Position of an entry in the Raft log. The first entry has index 1; 0 stands before the first.
@frozen
public struct RaftIndex: Ordinal {
    public let rawValue: UInt64

    @inlinable
    public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// A Raft term. 0 is before the first election.
@frozen
public struct Term: Ordinal {
    public let rawValue: UInt64

    @inlinable
    public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// One incarnation of a disk as a member of the group. Never reused; 0 means none.
@frozen
public struct ReplicaID: Ordinal {
    public let rawValue: UInt64

    @inlinable
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    public static let none = ReplicaID(rawValue: 0)
}

/// Number of a partition, from 0 to the directory's partition count - 1.
@frozen
public struct PartitionID: Ordinal {
    public let rawValue: UInt64

    @inlinable
    public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// Position of an entry's slice in its partition's log: 1-based and dense, internal, never shown to clients.
@frozen
public struct PartitionLogIndex: Ordinal {
    public let rawValue: UInt64

    @inlinable
    public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// The epoch of a physical stream: strictly increasing, raised by recovery, truncation and install.
@frozen
public struct StreamEpoch: Ordinal {
    public let rawValue: UInt64

    @inlinable
    public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// A 128-bit identifier drawn at random: of a cluster, a node, a store, a log.
@frozen
public struct UniqueID: Hashable, Sendable, CustomStringConvertible {
    public let high: UInt64
    public let low: UInt64

    @inlinable
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    public static let none = UniqueID(high: 0, low: 0)

    /// 32 lower-case hexadecimal digits.
    public var description: String { hexadecimal(high) + hexadecimal(low) }
}

/// 16 lower-case hexadecimal digits.
public func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}
