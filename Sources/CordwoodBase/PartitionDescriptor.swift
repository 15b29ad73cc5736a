/// Names a kind of state machine.
public struct PartitionStateMachineID: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    public let name: String

    public init(_ name: String) { self.name = name }

    public init(stringLiteral value: String) { self.init(value) }

    public var description: String { name }
}

/// How much may wait in one partition before further proposals to it are refused. `nil` is no limit.
public struct PartitionQueueConfiguration: Hashable, Sendable {
    /// Entries admitted and not yet applied.
    public var maxInflightEntries: Int
    /// Payload bytes of those entries.
    public var maxInflightBytes: Int?
    /// Age of the oldest of those entries.
    public var maxAgeNanoseconds: UInt64?
    /// Distance in Raft indexes from the oldest of those entries to the end of the log.
    public var maxGlobalLag: UInt64?

    public init(
        maxInflightEntries: Int = 8192, maxInflightBytes: Int? = nil, maxAgeNanoseconds: UInt64? = nil,
        maxGlobalLag: UInt64? = nil
    ) {
        self.maxInflightEntries = maxInflightEntries
        self.maxInflightBytes = maxInflightBytes
        self.maxAgeNanoseconds = maxAgeNanoseconds
        self.maxGlobalLag = maxGlobalLag
    }
}

/// What is set for one partition. A value: later changes do not alter a copy.
public struct PartitionDescriptor: Sendable, Equatable {
    public var partition: PartitionID
    public var machine: PartitionStateMachineID
    public var queue: PartitionQueueConfiguration
    public var quorum: PartitionQuorumRule
    public var master: PartitionMasterPolicy

    public init(
        partition: PartitionID, machine: PartitionStateMachineID = "default",
        queue: PartitionQueueConfiguration = PartitionQueueConfiguration(), quorum: PartitionQuorumRule,
        master: PartitionMasterPolicy = .automatic
    ) {
        self.partition = partition
        self.machine = machine
        self.queue = queue
        self.quorum = quorum
        self.master = master
    }
}

/// What holds for every partition, and what differs for some.
public struct PartitionDispatcherConfiguration: Sendable {
    /// The fewest and the most partitions that a directory can have.
    public static let partitionCounts = 1...65_536

    /// Fixed when the directory is made; partitions are numbered from 0.
    public var partitionCount: Int
    /// The group's voters: the members of every partition's quorum that is not overridden.
    public var members: [ReplicaID]
    public var machine: PartitionStateMachineID
    public var queue: PartitionQueueConfiguration
    public var decision: QuorumDecision
    public var master: PartitionMasterPolicy
    /// Replaces the defaults for the partitions named.
    public var overrides: [PartitionDescriptor]
    /// Bytes that an entry of a partition whose machine stands still may hold back in the segmented log before its
    /// admission is refused.
    public var maxPinnedBytes: UInt64

    public init(
        partitionCount: Int = 32, members: [ReplicaID] = [], machine: PartitionStateMachineID = "default",
        queue: PartitionQueueConfiguration = PartitionQueueConfiguration(), decision: QuorumDecision = .majority,
        master: PartitionMasterPolicy = .automatic, overrides: [PartitionDescriptor] = [],
        maxPinnedBytes: UInt64 = 8 * 64 << 20
    ) {
        self.partitionCount = partitionCount
        self.members = members
        self.machine = machine
        self.queue = queue
        self.decision = decision
        self.master = master
        self.overrides = overrides
        self.maxPinnedBytes = maxPinnedBytes
    }
}
