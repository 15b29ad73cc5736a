public import CordwoodBase
public import CordwoodRaft

/// How a segmented log is opened.
public struct LogStoreOptions: Sendable {
    /// Length of new segments, in bytes; may change between runs. A multiple of 4096, at least 32 KiB.
    public var segmentBytes: UInt64 = 64 << 20
    /// Largest payload of an entry, in bytes. With its framing it must fit half a segment.
    public var maximumEntryBytes = 16 << 20
    /// A batch is closed when the next record would make it larger, in bytes.
    public var batchBytes = 1 << 20
    /// A batch is closed when it holds so many records.
    public var batchRecords = 16_384
    /// Batches in flight, 1 to 4.
    public var depth = 1
    /// Preallocated segments that are kept ready, at least 1: entries are admitted only where a place stands ready.
    public var spareSegments = 1
    /// Keeps one more for votes, truncations and checkpoints on a full disk.
    public var keepsReserve = true
    /// Recent entries that are served from memory, in payload bytes.
    public var cacheBytes = 16 << 20
    /// How long the newest data may be durable without a promise, in nanoseconds.
    public var promiseDelayNanoseconds: UInt64 = 20_000_000
    /// How long to wait for a directory that another process seems to hold, in nanoseconds.
    public var lockWaitNanoseconds: UInt64 = 2_000_000_000
    /// Where acknowledged data are damaged: open the intact prefix for reading instead of refusing.
    public var opensDamagedReadOnly = false
    /// Batches are durable when they are written. Otherwise durability is relaxed: a write counts as durable when the
    /// system has taken it, a power cut may take back what no `harden` or `flush` has covered since, and nothing of it
    /// is promised.
    public var syncsBatches = true
    /// The gate of a log that is made. A node puts it in force in a log that exists, too.
    public var ackGate = AckGate.segmented

    public init() {}
}

/// Whose store is opened. Store and log ids are drawn when the store is made and read back later.
public struct StoreIdentity: Hashable, Sendable {
    public var cluster: UniqueID
    public var node: UniqueID
    public var replica: ReplicaID

    public init(cluster: UniqueID, node: UniqueID, replica: ReplicaID) {
        self.cluster = cluster
        self.node = node
        self.replica = replica
    }
}

/// What opening a log found and did.
public struct RecoveryReport: Hashable, Sendable, CustomStringConvertible {
    /// `clean` or `torn`; another class when the intact prefix was opened for reading.
    public var outcome = DamageClass.clean
    /// The directory was empty and a new log was made.
    public var isNew = false
    /// Entries that can be read, from the first to behind the last.
    public var entries: Range<RaftIndex> = 1..<1
    public var segmentCount = 0
    public var scannedBytes: UInt64 = 0
    /// Where the accepted stream ended.
    public var acceptedEnd = StreamPosition.zero
    /// The highest promise found.
    public var promise = StreamPosition.zero
    /// The epoch that the log is written under now.
    public var epoch: StreamEpoch = 0
    /// Bytes that were readable but not promised, made durable again.
    public var hardenedBytes: UInt64 = 0
    /// Bytes and batches that were discarded: never promised, so never acknowledged.
    public var discardedBytes: UInt64 = 0
    public var discardedBatches = 0
    /// A commit hint that lay beyond the last entry, if there was one.
    public var clampedHint: RaftIndex?
    /// Names of files that are none of ours; they were left alone.
    public var unknownFiles: [String] = []
    /// Files of freed segments or interrupted rolls that were removed or recycled.
    public var removedFiles: [String] = []
    public var damage: Damage?
    /// Why the stream ends where it ends.
    public var reason = ""

    public init() {}

    public var description: String {
        if isNew { return "made a new log" }
        var text =
            "\(outcome.rawValue): entries \(entries.lowerBound)..<\(entries.upperBound) in \(segmentCount) segments, "
        text += "\(scannedBytes) bytes read, accepted up to \(acceptedEnd), promised up to \(promise), epoch \(epoch)"
        if hardenedBytes > 0 { text += "; \(hardenedBytes) bytes made durable again" }
        if discardedBytes > 0 {
            text += "; \(discardedBytes) bytes in \(discardedBatches) batches discarded: \(reason)"
        }
        if let clampedHint { text += "; commit hint \(clampedHint) lies beyond the log" }
        if !unknownFiles.isEmpty { text += "; unknown files: \(unknownFiles.joined(separator: ", "))" }
        if let damage { text += "; \(damage)" }
        return text
    }
}
