public import CordwoodBase

/// An event as it is read back.
public struct StoredEvent: Hashable, Sendable {
    public let id: EventID
    public let partitionKey: PartitionKey
    public let partition: PartitionID
    public let transactionID: TransactionID
    /// Number of the event in its partition, from 0 without gaps.
    public let sequence: UInt64
    /// Number of the event in its stream, from 0 without gaps.
    public let version: UInt64
    public let timestampMilliseconds: Int64
    public let streamID: ArraySlice<UInt8>
    public let name: ArraySlice<UInt8>
    public let metadata: ArraySlice<UInt8>
    public let payload: ArraySlice<UInt8>

    /// Bytes of the four strings: what the byte limit of a read counts, with a fixed part for the numbers.
    var size: Int { streamID.count + name.count + metadata.count + payload.count + Self.fixedSize }
    private static let fixedSize = 64
}

/// How much one read may return. Any read returns at least one event when there is one.
@frozen
public struct ReadLimit: Hashable, Sendable {
    /// Events, at least 1.
    public var count: Int
    /// Bytes of the events.
    public var bytes: Int

    @inlinable
    public init(count: Int, bytes: Int) {
        self.count = count
        self.bytes = bytes
    }
}

/// Events of one read, in order.
public struct EventPage: Hashable, Sendable {
    public let events: [StoredEvent]
    /// True when at least one more visible event follows within the bounds that were asked for.
    public let hasMore: Bool

    public init(events: [StoredEvent], hasMore: Bool) {
        self.events = events
        self.hasMore = hasMore
    }

    static let empty = EventPage(events: [], hasMore: false)
}

/// Why an event that exists could not be read. Errors of the log itself pass through as they are.
public enum EventReadError: Error, Hashable, Sendable {
    /// The log ends before, or no longer has, an entry that the indexes name.
    case missing(PartitionLogIndex)
    /// Nothing is applied yet at this sequence, or it is not visible.
    case notApplied(sequence: UInt64)
    /// What the log has at this index is not the command that was applied.
    case unexpectedCommand(PartitionLogIndex)
}

/// A stream of one event store, as a read names it.
public struct StreamNumber: Hashable, Sendable {
    let rawValue: UInt32
}
