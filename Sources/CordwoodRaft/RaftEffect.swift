public import CordwoodBase

/// Names a durable write: what was asked to be made durable up to the moment it was issued.
///
/// It carries the core's term at issue and the end of the log as it was then, so that a late completion cannot vouch
/// for an entry that has been rewritten since.
@frozen
public struct DurabilityToken: Hashable, Sendable {
    /// The core's term when the write was issued.
    public var term: Term
    /// The last entry of the log at that moment.
    public var last: LogPosition

    @inlinable
    public init(term: Term, last: LogPosition) {
        self.term = term
        self.last = last
    }
}

/// What a replica is in its term.
public enum RaftRole: UInt8, Hashable, Sendable {
    case follower
    case preCandidate
    case candidate
    case leader
}

/// Where appended entries come from, and so where the node finds their payloads.
public enum AppendSource: UInt8, Hashable, Sendable {
    /// Proposals that were accepted before, at the positions that their answers named.
    case proposals
    /// The append message that was just taken: its entries from the range's start on.
    case message
    /// The core itself: the empty entry of a new leader.
    case termStart
    /// The core itself: the request to leave joint consensus, an empty configuration entry.
    case leaveJoint
}

/// What the core wants done. Effects are carried out in the order in which they were emitted.
public enum RaftEffect: Hashable, Sendable {
    /// Write the entries. When `replaces`, everything from the range's start on is dropped first. When the write and
    /// everything issued before it is durable: `durable(token)`.
    case append(Range<RaftIndex>, replaces: Bool, source: AppendSource, DurabilityToken)
    /// Record term and vote in the same ordered stream. When durable: `durable(token)`.
    case persist(Vote, DurabilityToken)
    /// Send now. Exception, the node's part: real vote requests wait until the vote for oneself is durable.
    case send(RaftMessage)
    /// Send when everything issued before this effect is durable. Addressed to this replica itself: give it back to
    /// `receive` then.
    case sendAfter(DurabilityToken, RaftMessage)
    /// Attach the entries that `message.entries` names, as they are in the log now, and send. `ticket` is that of the
    /// read which brought them, 0 when they are at hand.
    case sendAppend(RaftMessage, ticket: UInt64)
    /// Attach the manifest of the snapshot that was offered for this peer, and send.
    case sendSnapshot(RaftMessage)
    /// Attach the proposal that is being made, and send it to the leader.
    case forwardProposal(RaftMessage)
    /// Read entries from this index on for a peer, at most so many bytes but one entry at least, and answer with
    /// `readDone` under the same ticket.
    case read(ticket: UInt64, peer: ReplicaID, from: RaftIndex, maxBytes: UInt64)
    /// Hand these committed entries out, in order; then `applied`. At a configuration entry: `applyConfiguration`.
    case apply(Range<RaftIndex>)
    /// Replace log, configuration and state by the snapshot that `receiveSnapshot` brought; when it is durable:
    /// `snapshotDurable`.
    case install(LogPosition, DurabilityToken)
    /// The peer is behind the log: make a snapshot and answer with `snapshotOffered`.
    case needSnapshot(ReplicaID)
    /// The read may be served when everything through the index is applied.
    case readReady(context: UInt64, RaftIndex)
    /// The read was lost with the leadership; ask again.
    case readFailed(context: UInt64)
    /// Role, term or leader changed.
    case roleChanged(RaftRole, Term, leader: ReplicaID)
    /// `RaftCore.configuration` changed.
    case configurationChanged
    /// Entries of this term, proposed here, can never be committed at these indexes any more: another term is.
    case proposalsAborted(Range<RaftIndex>, Term)
}

/// A buffer of effects that the driver owns, empties and reuses.
public struct RaftEffects: Sendable {
    public var effects: [RaftEffect] = []
    /// Events for the trace, when the options ask for them.
    public var trace: [RaftTraceEvent] = []

    public init(capacity: Int = 64) { effects.reserveCapacity(capacity) }

    public mutating func removeAll() {
        effects.removeAll(keepingCapacity: true)
        if !trace.isEmpty { trace.removeAll(keepingCapacity: true) }
    }

    @inline(__always)
    mutating func emit(_ effect: RaftEffect) { effects.append(effect) }
}
