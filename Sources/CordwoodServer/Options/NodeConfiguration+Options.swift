import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
public import CordwoodNode
public import CordwoodOptions
import CordwoodRaft

extension NodeConfiguration {
    /// The node that these options ask for.
    public init(options: OptionValues) {
        self.init(directory: options[NodeOption.dir], name: options[NodeOption.nodeName])
        group = GroupStart(options)
        peerAddress = options[NodeOption.peerAddress].map { SocketAddress($0) }
        advertisedPeerAddress = NodeOption.advertisedPeerAddress(options).map { "\($0)" }
        becomesVoter = options[NodeOption.clusterJoinAs] == .voter
        retentionBytes = options[NodeOption.retentionBytes]
        retentionNanoseconds = options[NodeOption.retentionTime]
        catchUp.bytesPerSecond = options[NodeOption.catchUpRate]
        catchUp.maxPinnedBytes = retentionBytes
        catchUp.maxPinnedNanoseconds = retentionNanoseconds
        // A count that nobody stated is that of the directory, where there is one already.
        let isCountStated = options.setting("partition.count")?.source != .defaultValue
        partitionCount = isCountStated ? options[NodeOption.partitionCount] : nil
        log.segmentBytes = options[NodeOption.segmentSize]
        log.spareSegments = options[NodeOption.segmentPreallocate]
        log.depth = options[NodeOption.commitDepth]
        log.batchRecords = options[NodeOption.commitMaxBatch]
        commitDelayNanoseconds = options[NodeOption.commitDelay]
        commitIdleDelayNanoseconds = options[NodeOption.commitIdleDelay]
        log.syncsBatches = options[NodeOption.durabilitySync]
        log.ackGate = options[NodeOption.ackGate].gate
        recoveryPolicy = options[NodeOption.recoveryPolicy]
        log.batchBytes = Int(options[NodeOption.commitMaxBytes])
        partitionSyncAgeNanoseconds = options[NodeOption.partitionLogSyncAge]
        partitionBufferBytes = Int(options[NodeOption.partitionLogFlushBytes])
        partitionSegmentBytes = options[NodeOption.partitionLogSegmentSize]
        cacheBytes = Int(options[NodeOption.cacheCapacity])
        maxOpenFiles = options[NodeOption.maxOpenFiles]
        maxPinnedBytes = options[NodeOption.floorMaxPinned]
        queue = PartitionQueueConfiguration(
            maxInflightEntries: options[NodeOption.admissionMaxInflight],
            maxInflightBytes: options[NodeOption.admissionMaxBytes].map { Int($0) },
            maxAgeNanoseconds: options[NodeOption.admissionMaxAge],
            maxGlobalLag: options[NodeOption.admissionMaxGlobalLag].map { UInt64($0) })
        raft.maxUncommittedBytes = options[NodeOption.commitMaxUnflushed]
        raft.electionTicks = options[NodeOption.raftElectionTicks]
        raft.heartbeatTicks = options[NodeOption.raftHeartbeatTicks]
        raft.traces = options[NodeOption.consensusTrace] != nil
        if options[NodeOption.raftClockDrift] > 0 {
            raft.readMode = .lease
            raft.clockDriftPermille = options[NodeOption.raftClockDrift]
        }
        tickMilliseconds = max(1, options[NodeOption.raftTick] / 1_000_000)
        maxEntryBytes = Int(options[NodeOption.maxFrame])
        let tickNanoseconds = tickMilliseconds * 1_000_000
        proposalTicks = UInt32(clamping: (options[NodeOption.replyTimeout] + tickNanoseconds - 1) / tickNanoseconds)
    }
}

extension GroupStart {
    fileprivate init(_ options: OptionValues) {
        let founders = options[NodeOption.clusterFounders]
        let contacts = options[NodeOption.clusterJoin]
        if !founders.isEmpty {
            self = .founding(founders.map { Founder(name: $0.name, address: SocketAddress($0.endpoint)) })
        } else {
            self = contacts.isEmpty ? .alone : .joining(contacts.map { SocketAddress($0) })
        }
    }
}

extension SocketAddress {
    init(_ endpoint: Endpoint) { self.init(host: endpoint.host, port: endpoint.port) }
}
