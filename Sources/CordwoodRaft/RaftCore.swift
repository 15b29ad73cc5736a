public import CordwoodBase

/// The consensus core of one replica: a value that takes inputs and emits effects, and knows no clock, disk or network.
///
/// # Driving it
///
/// All calls come from one loop. Each takes an input and appends effects to a buffer that the driver owns; the driver
/// carries the effects out in order, empties the buffer, and goes on. Nothing is repeated and nothing is remembered for
/// the driver: an effect that was emitted is the driver's.
///
/// - `step` takes time, completions and requests; `receive` takes messages, `receiveSnapshot` a snapshot that was
///   fetched; `propose` and `proposeChange` answer in the same call; `applyConfiguration` is called at each
///   configuration entry while entries are handed out.
/// - Accepted proposals are written and sent when the turn ends: `step(.endTurn)`, or any other input. So a turn with
///   64 proposals makes one append and one message to each peer.
/// - Entries are named by range. The driver has the payload of a proposal under the position it was accepted at, and
///   that of a received entry under its index from `append` on. Ranges that are sent are at hand, or were asked for by
///   `read`: the driver says with `evicted(through:)` what it no longer keeps at hand.
/// - Durability: the store below is one ordered stream. `append`, `persist` and `install` go into it in order, each
///   with a token; when such a write *and all before it* are durable the driver says `durable(token)`. A `sendAfter`
///   leaves when everything issued before it is durable. Before the matching `durable` is stepped, or after, is the
///   same. A message of `sendAfter` to the replica itself is handed back to `receive` at that moment: this is how a
///   candidate votes for itself, and how a leader counts its own durable mark as its match. Effects not yet carried out
///   when the process dies are as if never emitted.
///
/// - The commit index is written with every batch of entries, and `RaftStart.commit` gives it back: see there why that
///   is a matter of safety. Term and vote come back from `persist`.
/// - What was asked for must be answered: `read` by `readDone`, `needSnapshot` by `snapshotOffered`, a snapshot that
///   was sent by its acknowledgement or by `snapshotSent`. Until then nothing else goes to that peer.
/// - A group begins with a boundary (index 1 or above) that stands for its first configuration, like a snapshot. A log
///   that began at 1 would bring the configuration to nobody who joins later.
///
/// # One proposal, a group of one voter (replica 1, term 3, log through 7)
///
/// ```
/// propose(.application, size: 256)       -> accepted(3/8)
/// step(.endTurn)                         append(8..<9, replaces: false, .proposals, token(3, 3/8))
///                                        sendAfter(token(3, 3/8), appendResponse 1->1 index 8)
///    ... the write completes ...
/// step(.durable(token(3, 3/8)))          -
/// receive(appendResponse 1->1 index 8)   apply(8..<9)          // committed by the quorum {1}
///    ... the entry is handed out ...
/// step(.applied(8))                      -
/// ```
///
/// With followers, `endTurn` also emits `sendAppend(append 1->2 behind 3/7, entries 8..<9, commit 7)` to each, beside
/// the local write; their acknowledgements may commit the entry before it is durable here. It is handed out when it is
/// both, unless `appliesBeforeDurable`.
///
/// # Rules that everything rests on
///
/// Terms never fall, a vote within a term never changes, an entry at or below commit is never dropped. Only entries
/// of the leader's own term are committed by counting. A follower's commit never passes what a message verified. A
/// configuration is in force when it is applied. Breaking one of these stops the process with the state it saw.
public struct RaftCore: Sendable {
    public let replica: ReplicaID
    public let options: RaftOptions

    public internal(set) var term: Term
    /// For whom this replica voted in `term`, or `none`.
    public internal(set) var votedFor: ReplicaID
    public internal(set) var role = RaftRole.follower
    /// Who leads `term`, or `none`.
    public internal(set) var leader = ReplicaID.none

    var log: LogOutline
    var table: PeerTable

    /// Ticks since the election timer was reset; as a leader, since the last check of the quorum.
    var electionElapsed = 0
    var heartbeatElapsed = 0
    /// The drawn election timeout.
    var electionTimeout = 0
    /// Ticks since the core was started.
    var now: UInt64 = 0
    var random: SplitMix

    /// No change may be proposed until this index is applied: where a change may be that is not yet.
    var pendingConfiguration: RaftIndex = 0
    /// To whom leadership is being handed, or `none`.
    public internal(set) var transferTarget = ReplicaID.none
    var priority = PriorityWatch()
    var reads = ReadQueue()
    var proposals = ProposalRecord()

    /// First accepted proposal that is neither written nor sent yet; 0 when there is none.
    var unsent: RaftIndex = 0
    /// Entries through this index were handed out.
    var handedOut: RaftIndex
    var readTicket: UInt64 = 0
    /// Term and vote as the driver was last asked to record them.
    var recorded: Vote
    /// Role, term and leader as last told.
    var told: (role: RaftRole, term: Term, leader: ReplicaID)

    var mayCampaign = true
    var mayVote = true
    public internal(set) var isPoisoned = false
    /// The leader's heartbeats say that it lost its quorum: they hold back no election.
    var leaderLostQuorum = false
    /// Until this tick the replica neither campaigns nor votes.
    var silentUntil: UInt64 = 0

    /// Starts from recovered state, as a follower.
    public init(_ start: RaftStart, options: RaftOptions = RaftOptions()) throws(RaftStartError) {
        if let flaw = options.flaw { throw .options(flaw) }
        try start.validate()
        replica = start.replica
        self.options = options
        term = start.vote.term
        votedFor = start.vote.candidate
        recorded = start.vote
        told = (.follower, start.vote.term, .none)
        log = LogOutline(start: start)
        handedOut = start.applied
        table = PeerTable(
            configuration: start.configuration, lastIndex: start.lastIndex,
            window: InflightWindow(maxMessages: options.windowMessages, maxBytes: options.windowBytes))
        random = SplitMix(state: start.seed)
        if options.readMode == .lease && start.isRestart {
            silentUntil = UInt64(options.electionTicks * (1000 + options.clockDriftPermille) / 1000 + 1)
        }
        drawElectionTimeout()
    }

    /// Takes an input.
    public mutating func step(_ input: RaftInput, into effects: inout RaftEffects) {
        flush(into: &effects)
        switch input {
        case .endTurn: break
        case .tick: tick(into: &effects)
        case .durable(let token): markDurable(token)
        case .snapshotDurable(let position): snapshotDurable(position, into: &effects)
        case .applied(let index): applied(through: index, into: &effects)
        case .campaign: campaign(options.preVote ? .preVote : .vote, into: &effects)
        case .transferLeadership(let target): transferLeadership(to: target, into: &effects)
        case .forgetLeader: forgetLeader()
        case .stepDown: stepDown(into: &effects)
        case .read(let context): requestRead(context, needsRound: false, into: &effects)
        case .readByQuorum(let context): requestRead(context, needsRound: true, into: &effects)
        case .readDone(let ticket, let peer, let outcome): readDone(ticket, peer, outcome, into: &effects)
        case .snapshotOffered(let peer, let position): snapshotOffered(peer, position, into: &effects)
        case .snapshotSent(let peer, let succeeded): snapshotSent(peer, succeeded)
        case .unreachable(let peer): unreachable(peer)
        case .compacted(let index): log.compact(through: index)
        case .evicted(let index): log.evict(through: index)
        case .eligibility(let mayCampaign, let mayVote): (self.mayCampaign, self.mayVote) = (mayCampaign, mayVote)
        case .storePoisoned: poison(into: &effects)
        }
        finish(into: &effects)
    }

    /// The configuration in force: as of the last applied configuration entry.
    public var configuration: GroupConfiguration { table.configuration }
    public var commitIndex: RaftIndex { log.committed }
    public var appliedIndex: RaftIndex { log.applied }
    public var durableIndex: RaftIndex { log.durable }
    public var lastPosition: LogPosition { log.lastPosition }
    public var firstIndex: RaftIndex { log.firstIndex }
    public var vote: Vote { Vote(term: term, candidate: votedFor) }
    public var isLeader: Bool { role == .leader }

    /// Payloads through this index are taken to be out of memory: none of them is sent before it has been read.
    public var evictedThrough: RaftIndex { log.sizes.floor }

    /// The term at an index from the boundary to the end of the log, otherwise `nil`.
    public func term(at index: RaftIndex) -> Term? { log.term(at: index) }

    /// Names everything that was asked to be made durable so far.
    public var durabilityToken: DurabilityToken { DurabilityToken(term: term, last: log.lastPosition) }
}

// MARK: - Shared by all aspects

extension RaftCore {
    /// Ends an input: what changed is recorded, handed out and told.
    mutating func finish(into effects: inout RaftEffects) {
        record(into: &effects)
        handOut(into: &effects)
        if told.role != role || told.term != term || told.leader != leader {
            told = (role, term, leader)
            effects.emit(.roleChanged(role, term, leader: leader))
        }
        if options.traces { traceBatch(into: &effects) }
    }

    /// Asks for term and vote to be recorded if they changed. Comes before everything that rests on them.
    @inline(__always)
    mutating func record(into effects: inout RaftEffects) {
        if recorded.term != term || recorded.candidate != votedFor {
            recorded = vote
            effects.emit(.persist(recorded, durabilityToken))
        }
    }

    /// Hands out what is committed and, as configured, durable. Nothing while a snapshot is being installed.
    @inline(__always)
    private mutating func handOut(into effects: inout RaftEffects) {
        if log.installing != nil { return }
        let end = options.appliesBeforeDurable ? log.committed : min(log.committed, log.durable)
        if end > handedOut {
            effects.emit(.apply(handedOut.next..<end.next))
            handedOut = end
        }
        proposals.settle(log, into: &effects)
    }

    /// Sends a message whose term is set. Answers to votes and appends rest on what was written before them and wait.
    @inline(__always)
    mutating func send(_ message: RaftMessage, into effects: inout RaftEffects) {
        switch message.kind {
        case .appendResponse, .voteResponse, .preVoteResponse:
            record(into: &effects)
            effects.emit(.sendAfter(durabilityToken, message))
        default:
            effects.emit(.send(message))
        }
        if options.traces { traceSend(message, into: &effects) }
    }

    /// Marks entries durable. A completion of an older term, or for an entry that is no longer there, vouches for
    /// nothing.
    private mutating func markDurable(_ token: DurabilityToken) {
        if token.term == term, log.holds(token.last) { log.markDurable(through: token.last.index) }
    }

    mutating func applied(through index: RaftIndex, into effects: inout RaftEffects) {
        log.apply(through: max(index, log.applied))
        leaveJointIfDue(into: &effects)
    }

    /// The store can write no more: a leader steps down, and from here on nothing is voted, acknowledged or proposed.
    private mutating func poison(into effects: inout RaftEffects) {
        if isPoisoned { return }
        isPoisoned = true
        if role != .follower { becomeFollower(term: term, leader: .none, into: &effects) }
    }

    /// The whole state in one line, for the message of a broken invariant.
    var state: String {
        "replica \(replica) \(role) term \(term) vote \(votedFor) leader \(leader), \(log), \(configuration), "
            + "pending configuration \(pendingConfiguration), transfer to \(transferTarget), peers "
            + table.peers.map { "\($0.id): \($0.progress)" }.joined(separator: "; ")
    }
}
