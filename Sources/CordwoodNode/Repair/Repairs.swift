public import CordwoodBase
import CordwoodIO
import CordwoodRaft

/// A partition whose log is damaged, and how far its repair is.
public struct PartitionDamage: Hashable, Sendable {
    public enum State: String, Hashable, Sendable {
        /// Waits for its turn, or for a replica that can be asked.
        case waiting
        /// Intact records are being put together.
        case repairing
        /// No replica has them intact, or they are not what this node held: it stands still until that changes.
        case halted
    }

    public var partition: PartitionID
    public var state = State.waiting
    /// What was found, and after an attempt why it failed.
    public var reason: String
    public var attempts = 0
    /// Whom to ask first, where an operator said so.
    public var preferred: ReplicaID?
    /// When it was found, in microseconds since 1970.
    public var foundMicroseconds: Int64
    /// The next attempt, on the node's clock.
    var dueNanoseconds: UInt64
}

/// What mending has come to since the node was started.
public struct RepairStatistics: Hashable, Sendable {
    /// Partition logs that were made whole.
    public var repairedPartitions: UInt64 = 0
    /// Attempts at a partition log that did not end so.
    public var failedAttempts: UInt64 = 0
    /// Partitions of which no replica has the record that is lacking.
    public var haltedPartitions = 0
    /// Bytes of partition logs that came from other replicas, and that were intact here.
    public var fetchedBytes: UInt64 = 0
    public var salvagedBytes: UInt64 = 0
    /// Pieces from other replicas that did not verify.
    public var damagedPieces: UInt64 = 0
    /// The segmented log was made whole before the node was opened.
    public var isLogRepaired = false
    /// Its entries that came from other replicas, and that were intact here.
    public var fetchedEntries: UInt64 = 0
    public var salvagedEntries: UInt64 = 0

    public init() {}
}

/// What a node knows of damage in its partition logs, and does about it.
struct Repairs {
    /// `nil` in a node that has no partition logs to mend from: without peers.
    var repair: PartitionRepair?
    var source: RepairSource?
    /// Ascending by partition.
    var damages: [PartitionDamage] = []
    var repairedPartitions: UInt64 = 0
    var failedAttempts: UInt64 = 0
    /// What the segmented log was made of, if it was mended before the node was opened.
    var mendedLog: LogRepair.Statistics?
    /// Damage in the segmented log while it is open, until the log begins behind it.
    var logDamage: Damage?
    var isRunning = false
    /// A partition's files are being exchanged: no Raft snapshot is put in place meanwhile.
    var isExchanging = false
    var waiters: [UnsafeContinuation<Void, Never>] = []

    func place(of partition: PartitionID) -> Int? { damages.firstIndex { $0.partition == partition } }
}
