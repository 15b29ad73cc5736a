public import CordwoodBase
public import CordwoodLog
public import CordwoodNode
public import CordwoodOptions

/// The options of the node, one declaration each. A row is here only if the node honours it.
public enum NodeOption {
    private static let kibibyte: UInt64 = 1 << 10
    private static let mebibyte: UInt64 = 1 << 20
    private static let gibibyte: UInt64 = 1 << 30
    private static let millisecond: UInt64 = 1_000_000
    private static let second: UInt64 = 1_000_000_000

    // MARK: The directory and what is fixed when it is made

    public static let dir = Option<String>.requiredPath(
        "dir", "The data directory, made with mode 0700 when it is not there, and locked while the node runs",
        alias: "data")
    public static let nodeName = Option<String>.text(
        "node.name", default: "cordwood", "The operator's name for this node, taken when the directory is made")
    public static let partitionCount = Option<Int>.integer(
        "partition.count", default: 32, in: 1...65_536,
        "Partitions, fixed when the directory is made; another count is refused afterwards")

    // MARK: The log

    public static let segmentSize = Option<UInt64>.size(
        "segment.size", default: 64 * mebibyte, in: 16 * mebibyte...10 * gibibyte,
        "Bytes of a segment of the log; may change between runs")
    public static let segmentPreallocate = Option<Int>.integer(
        "segment.preallocate", default: 1, in: 1...8, "Spare segments made ahead")
    public static let commitDepth = Option<Int>.integer(
        "commit.depth", default: 1, in: 1...4, "Batches of the log that may be in flight at a time")
    public static let commitMaxBytes = Option<UInt64>.size(
        "commit.max-bytes", default: 256 * kibibyte, in: 4 * kibibyte...8 * mebibyte,
        "Bytes after which a batch closes; a larger entry is a batch of its own")
    public static let commitDelay = Option<UInt64>.duration(
        "commit.delay", default: 0, in: 0...second,
        "Time that a batch waits for more entries; 0 is natural batching: while one is written, the next fills")
    public static let commitIdleDelay = Option<UInt64?>.duration(
        "commit.idle-delay", unset: "10 times commit.delay, at most 1s", in: 0...second,
        "Time without an append after which the next batch leaves without the delay")
    public static let commitMaxBatch = Option<Int>.integer(
        "commit.max-batch", default: 4096, in: 1...16_384, "Entries after which a batch closes")
    public static let commitMaxUnflushed = Option<UInt64>.size(
        "commit.max-unflushed", default: 64 * mebibyte, in: mebibyte...4 * gibibyte,
        "Bytes proposed and not yet committed above which no proposal is admitted")
    public static let partitionLogSyncAge = Option<UInt64>.duration(
        "partition-log.sync-age", default: 5 * second, in: 10 * millisecond...3600 * second,
        "Age of unsynced partition data that starts a round of syncs")
    public static let partitionLogFlushBytes = Option<UInt64>.size(
        "partition-log.flush-bytes", default: 64 * mebibyte, in: mebibyte...64 * gibibyte,
        "Memory for records of the partition logs above which they are written before they are due to be synced")
    public static let partitionLogSegmentSize = Option<UInt64>.size(
        "partition-log.segment-size", default: 64 * mebibyte, in: mebibyte...gibibyte,
        "Bytes of a file of a partition log")
    public static let durabilitySync = Option<Bool>.boolean(
        "durability.sync", default: true,
        "Sync the log before an acknowledgement; no is for a node without peers, and a power cut may then take what "
            + "was acknowledged last")
    public static let ackGate = Option<AckGateChoice>.choice(
        "durability.ack-gate", default: .segmented,
        "What an acknowledgement waits for: the log, or the logs of all partitions concerned, too")
    public static let recoveryPolicy = Option<RecoveryPolicy>.choice(
        "recovery.policy", default: .forward,
        "What the start does with entries that partitions lack; a rollback drops what the gate shows unacknowledged"
    )
    public static let cacheCapacity = Option<UInt64>.size(
        "cache.capacity", default: 64 * mebibyte, in: mebibyte...1024 * gibibyte,
        "Memory for verified blocks of the partition logs, from which events are read")
    public static let floorMaxPinned = Option<UInt64?>.size(
        "floor.max-pinned-bytes", unset: "8 segments", in: mebibyte...1024 * gibibyte,
        "Bytes of the log that one partition whose machine stands still may hold back")

    // MARK: Admission

    public static let admissionMaxInflight = Option<Int>.integer(
        "admission.max-inflight", default: 8192, in: 1...1_048_576,
        "Entries of one partition that may wait for their apply")
    public static let admissionMaxBytes = Option<UInt64?>.size(
        "admission.max-bytes", unset: "no limit", in: 1...1024 * gibibyte,
        "Bytes of one partition's entries that may wait for their apply")
    public static let admissionMaxAge = Option<UInt64?>.duration(
        "admission.max-age", unset: "no limit", in: millisecond...86_400 * second,
        "Age of one partition's oldest waiting entry above which it takes no more")
    public static let admissionMaxGlobalLag = Option<Int?>.integer(
        "admission.max-global-lag", unset: "no limit", in: 1...Int.max,
        "Distance, in entries of the log, from a partition's oldest waiting entry to the end of the log")

    // MARK: Events

    public static let strictVersioning = Option<Bool>.boolean(
        "append.strict-versioning", default: false,
        "Refuse appends that state no exact expected version (omitted, ANY, EXISTS)")

    // MARK: The client port

    public static let clientAddress = Option<Endpoint>.address(
        "network.client-address", default: Endpoint(host: "127.0.0.1", port: 7379),
        "Where clients connect; port 0 takes a free one", alias: "listen")
    public static let advertisedClientAddress = Option<Endpoint?>.address(
        "network.advertised-client-address", unset: "the client address",
        "What clients of other members are told to connect to")
    public static let routing = Option<RoutingChoice>.choice(
        "network.routing", default: .forward,
        "What a node that does not lead does with a write: pass it on to the leader, or tell the client where that is")
    public static let readsMode = Option<ReadMode>.choice(
        "reads.mode", default: .local,
        "What reads of a new connection show: what is applied here, or everything acknowledged before they began")
    public static let defaultProtocol = Option<Int>.integer(
        "network.default-protocol", default: 2, in: 2...3,
        "Protocol version of a connection that has not said HELLO")
    public static let maxClients = Option<Int>.integer(
        "limits.max-clients", default: 10_000, in: 1...1_000_000, "Connections at a time; further ones are turned away")
    public static let maxFrame = Option<UInt64>.size(
        "limits.max-frame", default: 4 * mebibyte, in: 4 * kibibyte...gibibyte,
        "Bytes of one request; with its framing it must fit half a segment")
    public static let maxEvent = Option<UInt64>.size(
        "limits.max-event", default: mebibyte, in: 1...gibibyte, "Bytes of an event's payload, and of its metadata")
    public static let maxTransactionEvents = Option<Int>.integer(
        "limits.max-transaction-events", default: 1000, in: 1...65_535, "Events of one EMAPPEND")
    public static let maxScan = Option<Int>.integer(
        "limits.max-scan", default: 10_000, in: 1...1_000_000, "Events that one scan replies at most")
    public static let maxScanBytes = Option<UInt64>.size(
        "limits.max-scan-bytes", default: 16 * mebibyte, in: kibibyte...gibibyte, "Bytes that one scan replies at most")
    public static let outputBudget = Option<UInt64>.size(
        "limits.output-budget", default: 64 * mebibyte, in: mebibyte...16 * gibibyte,
        "Unsent bytes above which a connection is closed")
    public static let clientMemory = Option<UInt64>.size(
        "limits.client-memory", default: gibibyte, in: 16 * mebibyte...1024 * gibibyte,
        "Memory of all connections above which accepting pauses")
    public static let idleTimeout = Option<UInt64>.duration(
        "limits.idle-timeout", default: 0, in: 0...86_400 * second,
        "Time after which a connection that asks for nothing is closed; 0 is never")
    public static let replyTimeout = Option<UInt64>.duration(
        "limits.reply-timeout", default: 10 * second, in: 100 * millisecond...3600 * second,
        "Time that a write or a linearizable read waits for the group; the outcome of the write is unknown then")
    public static let requestTimeout = Option<UInt64>.duration(
        "limits.request-timeout", default: 60 * second, in: second...3600 * second,
        "Time that one request may take to arrive")

    // MARK: The group

    public static let peerAddress = Option<Endpoint?>.address(
        "network.peer-address", unset: "no peers", "Where other members connect; port 0 takes a free one",
        alias: "peer-listen")
    public static let advertisedPeerAddress = Option<Endpoint?>.address(
        "network.advertised-peer-address", unset: "the peer address",
        "What other members are told to connect to; a founder's is the one that the founders name")
    public static let clusterFounders = Option<[NamedEndpoint]>.namedAddresses(
        "cluster.founders", unset: "none",
        "Members of the first configuration, this node among them, where the directory is empty")
    public static let clusterJoin = Option<[Endpoint]>.addresses(
        "cluster.join", unset: "none",
        "Members, one of which is asked to take this node in as a learner, where the directory is empty")

    public static let clusterJoinAs = Option<JoinRole>.choice(
        "cluster.join-as", default: .voter,
        "What a node that has joined becomes: a voter once it has caught up, or a learner until it is promoted")
    public static let retentionBytes = Option<UInt64>.size(
        "replication.retention-bytes", default: 10 * gibibyte, in: mebibyte...1_048_576 * gibibyte,
        "Bytes of the leader's log that a lagging member may hold back; beyond it gets a snapshot")
    public static let retentionTime = Option<UInt64>.duration(
        "replication.retention-time", default: 24 * 3600 * second, in: second...365 * 86_400 * second,
        "How long a member that is not heard may hold back the leader's log")
    public static let catchUpRate = Option<UInt64>.size(
        "replication.catch-up-rate", default: 64 * mebibyte, in: 64 << 10...1024 * gibibyte,
        "Bytes of a snapshot's pieces that a node behind the log takes in a second")

    // MARK: Consensus

    public static let raftTick = Option<UInt64>.duration(
        "raft.tick", default: 100 * millisecond, in: millisecond...10 * second, "Length of a Raft tick")
    public static let raftElectionTicks = Option<Int>.integer(
        "raft.election-ticks", default: 10, in: 2...1000,
        "Ticks without a leader after which a node campaigns; drawn between this and twice as many")
    public static let raftClockDrift = Option<Int>.integer(
        "raft.clock-drift", default: 0, in: 0...1000,
        "By how much the clocks of two members may run apart at most, in thousandths, for lease reads; 0 is none")
    public static let raftHeartbeatTicks = Option<Int>.integer(
        "raft.heartbeat-ticks", default: 1, in: 1...100, "Ticks between two heartbeats of a leader")

    public static let consensusTrace = Option<String?>.path(
        "consensus.trace", unset: "none",
        "File to which every step of the consensus core is added as a line of JSON, in the form of etcd's TLA+ "
            + "specification; nodes that are given the same file write into it in one order")

    // MARK: The process

    public static let ioBackend = Option<IOBackendChoice>.choice(
        "io.backend", default: .auto, "How files and sockets are served; auto takes io_uring where it is allowed",
        alias: "io")
    public static let ioPollLimit = Option<UInt64>.duration(
        "io.poll-limit", default: millisecond / 4, in: 0...millisecond,
        "For how long io_uring is looked at for completions before the node sleeps, where that pays; 0 never does")
    public static let maxOpenFiles = Option<Int>.integer(
        "io.max-open-files", default: 4096, in: 16...1_000_000, "Descriptors kept open for partition logs")
    public static let logLevel = Option<LogLevelChoice>.choice(
        "log.level", default: .info, "Events to log, this level and above", reloadable: true)
    public static let logFormat = Option<LogFormat>.choice("log.format", default: .logfmt, "Form of a log line")
}

/// Backends that can be asked for.
public enum IOBackendChoice: String, CaseIterable, Sendable {
    case auto
    case uring
    case posix
}

/// Acknowledgement gates that can be asked for.
public enum AckGateChoice: String, CaseIterable, Sendable {
    case segmented
    case partition

    public var gate: AckGate {
        switch self {
        case .segmented: .segmented
        case .partition: .partition
        }
    }
}

/// What a node that does not lead does with what only the leader can do.
public enum RoutingChoice: String, CaseIterable, Sendable {
    /// Passes it on.
    case forward
    /// Tells the client where the leader is.
    case moved
}

/// What a node that has joined becomes.
public enum JoinRole: String, CaseIterable, Sendable {
    case voter
    case learner
}

/// What the reads of a connection show.
public enum ReadMode: String, CaseIterable, Sendable {
    /// What is applied here.
    case local
    /// Everything that was acknowledged anywhere before the read began.
    case linearizable
    /// The same, on the strength of the leader's lease.
    case lease
}

/// Levels that can be asked for, most important first.
public enum LogLevelChoice: String, CaseIterable, Sendable {
    case error
    case warn
    case info
    case debug
    case trace

    public var level: LogLevel {
        switch self {
        case .error: .error
        case .warn: .warn
        case .info: .info
        case .debug: .debug
        case .trace: .trace
        }
    }
}

/// Forms of a log line.
public enum LogFormat: String, CaseIterable, Sendable {
    case logfmt
    case json
}
