public import CordwoodBase
public import CordwoodIO
public import CordwoodLog
public import CordwoodMachine
public import CordwoodRaft

/// One replica of a group: the consensus core, the segmented log below it and the partitions' machines above it, joined
/// on one loop.
///
/// A turn of the loop is the unit of work. What is proposed in a turn is written as one batch when the turn ends; while
/// that batch is in flight the next turns fill the next one. When a batch is durable, the core hears of it, commits,
/// and hands the entries out; the machines apply them and the proposers are answered. Nothing waits for a disk but the
/// store's own writer, and nothing waits for a machine but its partition.
///
///     propose -> admit -> core accepts (term, index)                      per entry, synchronous
///     end of turn -> store.append, endBatch                               per batch
///     durable -> core -> committed range -> machines -> answers           per batch
///
/// Confined to the loop of its seams.
public final class Node {
    public let configuration: NodeConfiguration
    public let replica: ReplicaID
    public let identity: LogIdentity
    /// What was found and done when the directory was opened.
    public let recovery: RecoveryReport
    public let dispatcher: PartitionDispatcher
    public let machines: SegmentedStateMachine

    let seams: Seams
    let log: any LogSink
    let store: SegmentedLogStore
    let partitionLogs: PartitionLogPool
    /// With the acknowledgement gate `.partition`: how far that lets acknowledgements pass.
    let gate: PartitionGate?
    /// The newest token that the store has settled, of which the gate may have let only a part pass.
    var settledToken: DurabilityToken?
    /// The store's write that holds the newest truncation.
    var truncationSequence: UInt64 = 0
    var isGivingUp = false

    private let ownedCore: Owned<RaftCore>
    private let ownedEffects = Owned(RaftEffects())
    var effectsInHand = RaftEffects()
    var isCarryingOut = false
    public internal(set) var membership: Membership

    private let ownedTurnEntries = Owned<[Entry]>([])
    private let ownedTurnPayloads = Owned(TurnPayloads())
    /// Framed bytes that the turn may still propose, as far as is known since it began.
    var turnRoomBytes = 0
    /// Entries that the log held at the start and that were not known to be committed, until they are handed out.
    var recovered: [Entry] = []
    private let ownedProposals = Owned(ProposalTable())
    /// Proposers that wait for durability only.
    var durableWaiters = 0
    var answeredDurable: RaftIndex
    /// Entries of this turn whose proposers are answered when it ends.
    var bufferedIndexes: [RaftIndex] = []
    var reads = ReadRounds()

    var pendingWrites: [PendingWrite] = []
    var heldMessages: [HeldMessage] = []
    var settledSequence: UInt64 = 0

    /// `nil` in a node without peers.
    var peers: PeerTransport?
    /// Where peers connect, once the node is open.
    public internal(set) var peerAddress: SocketAddress?
    /// The entries of the append that is being taken.
    var incoming: [Entry] = []
    /// Appends that wait until the log has room for them.
    var delayedAppends: [(RaftMessage, [Entry])] = []
    var delayedBytes = 0
    /// The entries that the last peer was sent, for the next one, until the effects in hand are carried out.
    var entriesInHand: ArraySlice<Entry> = []
    var commitNotices = CommitNotices()
    /// A timer runs that sends what of them still waits.
    var areCommitNoticesDue = false
    /// Entries that were read back for peers, by the core's ticket.
    var readsForPeers: [UInt64: ArraySlice<Entry>] = [:]
    var heldVoteRequests: [RaftMessage] = []
    /// The vote as the disk has it.
    public internal(set) var durableVote: Vote
    var confirmedNotes = ConfirmedNotes()
    var changeWaiters = ChangeWaiters()
    var reports = MemberReports()
    var leaderChanges: UInt64 = 0
    var lastLeader = ReplicaID.none
    /// Where clients reach this node, for the other members; empty while it serves none.
    public var clientAddress = ""
    /// Wall time at which it was opened.
    public let startedMicroseconds: Int64
    /// How far the node is in showing again what it showed before its start.
    public internal(set) var readiness = Readiness.waiting
    var readinessWaiters: [UnsafeContinuation<Void, Never>] = []
    var forwarder = ProposalForwarder()
    var breaker: CircuitBreaker
    var transfers = Transfers()
    var repairs = Repairs()
    /// Commands that were passed on to a leader.
    public internal(set) var forwardedCount: UInt64 = 0

    var isTurnArmed = false
    /// A batch waits for more entries.
    var isBatchDelayed = false
    var turnNanoseconds: UInt64 = 0
    /// The same of the turn before.
    var lastTurnNanoseconds: UInt64 = 0
    var turnMicroseconds: Int64 = 0
    var lastTimestampMicroseconds: Int64

    /// The group has removed this replica. That is final.
    public internal(set) var isRemoved = false
    /// A member has refused this replica as one that was removed: it dials nobody any more.
    var isTurnedAway = false
    /// Why the store writes no more.
    public internal(set) var storeFailure: LogError?
    var isClosing = false
    /// Callers that wait until there is room.
    var relief: [() -> Void] = []
    var isWatchingForRelief = false
    var maintenance = Maintenance()
    /// Every partition that held something at the start is open.
    public internal(set) var isWarm = false
    var warmers: [UnsafeContinuation<Void, Never>] = []

    /// Takes the core's trace.
    var onTrace: (([RaftTraceEvent]) -> Void)?
    /// Told whenever this replica's role changes.
    public var onRoleChange: ((RaftRole) -> Void)?
    /// Told of every message to another member when it leaves.
    public var onSend: ((RaftMessage) -> Void)?
    /// Told when a configuration entry has been applied: the group before it and behind it.
    public var onMembershipChange: ((Membership, Membership) -> Void)?

    init(_ parts: Parts) {
        configuration = parts.configuration
        seams = parts.seams
        log = parts.log
        store = parts.store
        identity = parts.identity
        replica = parts.identity.replica
        recovery = parts.recovery
        dispatcher = parts.dispatcher
        machines = parts.machines
        partitionLogs = parts.partitionLogs
        gate = parts.gate
        ownedCore = Owned(parts.core)
        membership = parts.membership
        breaker = CircuitBreaker(electionTicks: parts.configuration.raft.electionTicks)
        answeredDurable = parts.store.durableIndex
        durableVote = parts.store.state.vote
        lastTimestampMicroseconds = parts.lastTimestampMicroseconds
        startedMicroseconds = parts.seams.clock.wallMicroseconds
    }

    var core: RaftCore {
        _read { yield ownedCore.value }
        _modify { yield &ownedCore.value }
    }

    var effects: RaftEffects {
        _read { yield ownedEffects.value }
        _modify { yield &ownedEffects.value }
    }

    /// Proposals of this turn, in the order of their indexes: written when it ends.
    var turnEntries: [Entry] {
        _read { yield ownedTurnEntries.value }
        _modify { yield &ownedTurnEntries.value }
    }

    var turnPayloads: TurnPayloads {
        _read { yield ownedTurnPayloads.value }
        _modify { yield &ownedTurnPayloads.value }
    }

    var proposals: ProposalTable {
        _read { yield ownedProposals.value }
        _modify { yield &ownedProposals.value }
    }

    /// Everything that opening puts together.
    struct Parts {
        var configuration: NodeConfiguration
        var seams: Seams
        var log: any LogSink
        var store: SegmentedLogStore
        var identity: LogIdentity
        var recovery: RecoveryReport
        var dispatcher: PartitionDispatcher
        var machines: SegmentedStateMachine
        var partitionLogs: PartitionLogPool
        var gate: PartitionGate?
        var core: RaftCore
        var membership: Membership
        var lastTimestampMicroseconds: Int64
    }

    // MARK: What a node can be asked

    public var status: NodeStatus {
        NodeStatus(
            cluster: identity.cluster, node: identity.node, name: configuration.name, replica: replica,
            role: core.role, term: core.term, leader: core.leader == .none ? nil : core.leader, vote: core.votedFor,
            commit: core.commitIndex, dispatched: core.appliedIndex, log: store.state, membership: membership,
            uncommittedBytes: core.uncommittedBytes, leaderChanges: leaderChanges,
            waitingProposals: proposals.count, isRemoved: isRemoved, storeFailure: storeFailure)
    }

    public var isLeader: Bool { core.isLeader }

    /// The last entry that this node's log holds durably.
    public var durableIndex: RaftIndex { store.hardenedIndex }

    /// Whether the directory's partition count covers the number.
    public func hasPartition(_ partition: PartitionID) -> Bool { dispatcher.has(partition) }

    /// W: the number of events of a partition that a reader may see here.
    public func watermark(of partition: PartitionID) -> UInt64 { dispatcher.watermark(of: partition) }

    /// Everything appended before the call is durable on return.
    public func flush() async throws(LogError) {
        step(.endTurn)
        try await store.flush()
    }
}
