public import CordwoodBase

/// What a read for a peer came to.
public enum ReadOutcome: Hashable, Sendable {
    /// So many entries, with so many payload bytes together, are at hand from the asked index on.
    case entries(count: Int, bytes: UInt64)
    /// The first of them is below the start of the log by now.
    case purged
    /// The store could not read them back.
    case corrupt
}

/// What can happen to a core, besides messages, proposals and applied configurations, which have calls of their own.
public enum RaftInput: Hashable, Sendable {
    /// Time passes.
    case tick
    /// The turn ends: accepted proposals are written and sent as one batch. Every other input does the same first.
    case endTurn
    /// What the token names, and everything issued before it, is durable.
    case durable(DurabilityToken)
    /// The installed snapshot is durable.
    case snapshotDurable(LogPosition)
    /// Everything through the index is handed out.
    case applied(RaftIndex)
    /// Campaign now, whatever the timer says.
    case campaign
    case transferLeadership(to: ReplicaID)
    /// Forget who leads, without changing the term.
    case forgetLeader
    /// Give leadership up, to nobody in particular; a follower forgets who leads.
    case stepDown
    /// Ask for a read index; the answer names the context, which is used once.
    case read(context: UInt64)
    /// The same, whatever the lease says: confirmed by a quorum that is asked after the read.
    case readByQuorum(context: UInt64)
    case readDone(ticket: UInt64, peer: ReplicaID, ReadOutcome)
    /// A snapshot for the peer is ready to be sent.
    case snapshotOffered(peer: ReplicaID, LogPosition)
    /// A snapshot was delivered, or was not.
    case snapshotSent(peer: ReplicaID, succeeded: Bool)
    case unreachable(ReplicaID)
    /// The log starts behind this index now.
    case compacted(through: RaftIndex)
    /// Payloads through this index are no longer at hand.
    case evicted(through: RaftIndex)
    /// What damage allows this replica to do.
    case eligibility(mayCampaign: Bool, mayVote: Bool)
    /// The store can write nothing more until it is reopened.
    case storePoisoned
}

/// Why a proposal was not taken: it is not in the log and never will be.
public enum ProposalRefusal: Hashable, Sendable {
    /// Somebody else leads, or nobody known: `none`.
    case notLeader(ReplicaID)
    /// This leader is no member of the configuration any more.
    case notMember
    case transferring(to: ReplicaID)
    /// Too many uncommitted bytes.
    case overloaded
    case poisoned
}

/// What became of a proposal, in the same call.
public enum ProposalAnswer: Hashable, Sendable {
    case accepted(LogPosition)
    /// A configuration change that must not be made now: an empty entry takes its place.
    case acceptedAsEmpty(LogPosition, ChangeObjection)
    /// Passed on to the leader; its fate is not known here.
    case forwarded(to: ReplicaID)
    case refused(ProposalRefusal)
}

/// Why a configuration change must not be made now.
public enum ChangeObjection: Hashable, Sendable {
    /// One may be unapplied, at this index.
    case pending(RaftIndex)
    case mustLeaveJointFirst
    case notJoint
}
