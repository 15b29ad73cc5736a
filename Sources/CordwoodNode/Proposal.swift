public import CordwoodBase
public import CordwoodMachine

/// Which event answers a proposer.
public enum Acknowledgement: Sendable, Hashable {
    /// Committed, applied here, and visible: the writer reads its own write.
    case quorum
    /// Durable on this leader; not yet committed, not yet looked at by the machine.
    case durable
    /// In this leader's log, durable or not: what a power cut may take. Only in a group of one, where nothing counts
    /// toward a quorum by it.
    case buffered
}

/// How a proposal that was taken into the log ended.
public enum ProposalOutcome: Sendable, Hashable {
    /// Committed and handed to the machine, whose outcome says whether it was done or refused.
    case applied(RaftIndex, ApplyOutcome)
    /// Durable on the leader, as `Acknowledgement.durable` asked.
    case durable(RaftIndex)
    /// In the leader's log, as `Acknowledgement.buffered` asked.
    case buffered(RaftIndex)
    /// May or may not take effect: nothing is known yet, and nobody waits any longer.
    case unknown(UnknownReason)
    /// Certainly not executed: an entry of another term is committed at its index.
    case aborted
    /// Taken in by the leader for this node, committed, and applied here, too; the time is that of the leader's entry.
    case appliedByLeader(RaftIndex, timestampMicroseconds: Int64, ApplyOutcome)
    /// It never reached a log and is certainly not executed.
    case rejected(ProposalRejection)
}

/// Why the outcome of a proposal stays open.
public enum UnknownReason: Sendable, Hashable {
    /// The store failed under it; what was accepted is never taken back by I/O.
    case storeFailed(String)
    /// The partition's machine is frozen; the entry is in the log and will be applied when it goes on.
    case frozen(PartitionID)
    /// The node closed while it waited.
    case closing
    /// It lies inside a snapshot that was installed here.
    case coveredBySnapshot
    /// Nothing was heard of it for as long as anyone waits.
    case timedOut
    /// It left for the leader, and the leader's answer never came.
    case noAnswer(String)
    /// The leader itself does not know.
    case byLeader(String)
}

/// Why a proposal was not taken: it never reached the log and is certainly not executed.
public enum ProposalRejection: Error, Sendable, Hashable {
    /// The leader is elsewhere; `nil` when none is known.
    case notLeader(ReplicaID?)
    /// A limit of the partition or of the node; may succeed later.
    case admission(AdmissionError)
    /// `Acknowledgement.buffered` in a group of several voters.
    case relaxedDurability
    /// `Acknowledgement.durable` where durability is relaxed.
    case unsyncedDurability
    /// Leadership is being transferred, or the core holds too many uncommitted bytes; may succeed later.
    case busy(String)
    /// More bytes than one entry may have.
    case tooLarge(bytes: Int, limit: Int)
    case unknownPartition(PartitionID)
    case frozen(PartitionID)
    /// A write or sync failed earlier; the store takes nothing until it is reopened.
    case poisoned(String)
    /// The log found damage and serves reads only.
    case readOnly(String)
    case closing
    /// The leader did not take what this node passed on.
    case forwarded(ForwardRejection)
    /// The leader could not be reached; nothing has left this node.
    case unreachable(String)
    /// The leader has failed this node for a while: nothing is passed on to it before so many milliseconds.
    case circuitOpen(retryMilliseconds: UInt64)
    /// Passed on to one leader after another, and none was.
    case tooManyHops(String)
}

/// Hears how proposals end. The tag is the caller's own; one observer serves many proposals without an allocation each.
public protocol ProposalObserver: AnyObject {
    func proposalEnded(tag: UInt64, outcome: ProposalOutcome)
}
