public import CordwoodBase
public import CordwoodIO
public import CordwoodLog
public import CordwoodMachine
public import CordwoodRaft

/// How a node behaves. Every field has the default of the option of the same meaning.
public struct NodeConfiguration: Sendable {
    /// The data directory. Made when missing; one process at a time holds it.
    public var directory: String
    /// The operator's name for this node.
    public var name: String
    /// Number of partitions, fixed when the directory is made: `nil` takes what the directory has, or 32. Another
    /// number than the directory's is refused.
    public var partitionCount: Int?
    /// How an empty directory comes into a group.
    public var group: GroupStart
    /// Where peers connect; `nil` is a node without peers.
    public var peerAddress: SocketAddress?
    /// What the others are told to connect to, where it is not the address that is listened on.
    public var advertisedPeerAddress: String?
    /// A node that joins becomes a voter once it has caught up; otherwise it stays a learner until an operator promotes
    /// it.
    public var becomesVoter: Bool
    public var peers: PeerConfiguration
    /// How this node brings itself up from others, and what it keeps for those that do.
    public var catchUp: CatchUpConfiguration
    /// `log.ackGate` is what an acknowledgement waits for; another gate than before is put in force when the node
    /// opens. `log.syncsBatches` may be off on a node without peers alone.
    public var log: LogStoreOptions
    /// How long a batch of the log waits for more entries; 0 is natural batching.
    public var commitDelayNanoseconds: UInt64
    /// How long nothing must have been appended for the next batch to leave without that wait, at least as long as the
    /// wait; `nil` is ten times the wait, at most one second.
    public var commitIdleDelayNanoseconds: UInt64?
    /// What opening does with entries that the partitions had not persisted.
    public var recoveryPolicy: RecoveryPolicy
    /// Length at which a partition log begins another file, in bytes.
    public var partitionSegmentBytes: UInt64
    /// Descriptors kept open for partition logs.
    public var maxOpenFiles: Int
    /// Records of partition logs that are not written yet, in bytes of memory.
    public var partitionBufferBytes: Int
    /// Verified blocks of partition logs kept for reading, in bytes of memory.
    public var cacheBytes: Int
    /// How old the oldest record of a partition log may grow before it is synced.
    public var partitionSyncAgeNanoseconds: UInt64
    public var machines: SegmentedStateMachine.Configuration
    /// What may wait in one partition before further proposals are refused.
    public var queue: PartitionQueueConfiguration
    public var quorum: QuorumDecision
    public var master: PartitionMasterPolicy
    public var raft: RaftOptions
    /// Length of one Raft tick.
    public var tickMilliseconds: UInt64
    /// Largest payload of one entry; with its framing it must fit half a segment.
    public var maxEntryBytes: Int
    /// What one standing partition may hold back in the segmented log; `nil` is eight segments.
    public var maxPinnedBytes: UInt64?
    /// What a member that lags may hold back in the leader's log, in bytes of finished segments; one that lags more is
    /// brought up by a snapshot.
    public var retentionBytes: UInt64
    /// How long a member that is not heard may do so.
    public var retentionNanoseconds: UInt64
    /// Ticks after which nobody waits any longer for a proposal or a read: its outcome is unknown then.
    public var proposalTicks: UInt32

    public init(directory: String, name: String = "cordwood") {
        self.directory = directory
        self.name = name
        partitionCount = nil
        group = .alone
        peerAddress = nil
        advertisedPeerAddress = nil
        becomesVoter = true
        peers = PeerConfiguration()
        catchUp = CatchUpConfiguration()
        log = LogStoreOptions()
        commitDelayNanoseconds = 0
        commitIdleDelayNanoseconds = nil
        recoveryPolicy = .forward
        partitionSegmentBytes = 64 << 20
        maxOpenFiles = 4096
        partitionBufferBytes = 64 << 20
        cacheBytes = 64 << 20
        partitionSyncAgeNanoseconds = 5_000_000_000
        machines = SegmentedStateMachine.Configuration()
        queue = PartitionQueueConfiguration()
        quorum = .majority
        master = .automatic
        raft = RaftOptions()
        tickMilliseconds = 100
        maxEntryBytes = 4 << 20
        maxPinnedBytes = nil
        retentionBytes = 10 << 30
        retentionNanoseconds = 24 * 3600 * 1_000_000_000
        proposalTicks = 100
    }

    /// The pause behind which a batch does not wait: see `commitIdleDelayNanoseconds`.
    var idleNanoseconds: UInt64 {
        let second: UInt64 = 1_000_000_000
        return commitIdleDelayNanoseconds
            ?? max(commitDelayNanoseconds, min(10 * min(commitDelayNanoseconds, second), second))
    }

    /// The partition count of a directory that is made.
    var newPartitionCount: Int { partitionCount ?? 32 }

    /// An append must find a place: it is kept well below a segment.
    var raftOptions: RaftOptions {
        var options = raft
        options.maxAppendBytes = min(options.maxAppendBytes, log.segmentBytes / 4)
        return options
    }

    var storeOptions: LogStoreOptions {
        var options = log
        options.maximumEntryBytes = maxEntryBytes
        return options
    }

    func advertisedAddress(_ bound: SocketAddress) -> String { advertisedPeerAddress ?? "\(bound)" }
}

/// Which way recovery rolls.
public enum RecoveryPolicy: String, CaseIterable, Hashable, Sendable {
    /// The segmented log is the truth: partitions are given again what they lack.
    case forward
    /// The segmented log gives up what the partitions had not persisted, as far as the gate `.partition` shows that it
    /// was never acknowledged.
    case rollbackToPartitionCheckpoint = "rollback-to-partition-checkpoint"
}

/// Why a node cannot be opened.
public enum NodeError: Error, Hashable, Sendable {
    /// A rollback was asked for, and the entry at the index, which it would drop, may have been acknowledged.
    case rollbackRefused(RaftIndex, String)
    case log(LogError)
    /// A value that cannot be, or that contradicts the directory: which one, and why.
    case configuration(String)
    /// The log, its checkpoint and the partition logs do not fit together.
    case inconsistent(String)
    case core(RaftStartError)
    /// The group has removed this replica, and what its directory lacks it will never be given again.
    case removed(ReplicaID)
}
