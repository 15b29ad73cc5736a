public import CordwoodBase

/// How a core behaves. Times are in ticks; the node decides how long a tick is.
public struct RaftOptions: Hashable, Sendable {
    /// How linearizable reads are confirmed.
    public enum ReadMode: Hashable, Sendable {
        /// Every batch of reads costs one round of heartbeats.
        case safe
        /// A leader answers at once while it holds a lease. Safe as long as no two clocks run apart by more than
        /// `clockDriftPermille`; needs `checkQuorum`.
        case lease
    }

    /// Base election timeout; the drawn one is in `electionTicks ..< 2 * electionTicks`.
    public var electionTicks = 10
    public var heartbeatTicks = 1
    /// Ask before raising the term.
    public var preVote = true
    /// A leader that has not heard a quorum for a base timeout steps down, and nobody votes while a leader is heard.
    public var checkQuorum = true
    /// Heartbeats tell how long ago the leader heard a quorum, and a follower whose leader has lost its quorum
    /// neither resets its timer nor refuses votes for its sake. Belongs to `checkQuorum`.
    public var tellsQuorumContact = true
    /// A leader that is no voter of the applied configuration any more steps down.
    public var stepDownOnRemoval = true
    /// Followers pass proposals on to their leader.
    public var forwardsProposals = false
    /// Changes of the configuration are checked when they are proposed.
    public var validatesChanges = true
    public var readMode = ReadMode.safe
    /// The most by which two clocks may run apart, in thousandths, for lease reads.
    public var clockDriftPermille = 100
    /// Largest payload of one append, in bytes; at least one entry is sent.
    public var maxAppendBytes: UInt64 = 1 << 20
    /// Appends in flight to one peer.
    public var windowMessages = 4
    /// Payload bytes in flight to one peer at which the window closes; 0 is no limit.
    public var windowBytes: UInt64 = 0
    /// Payload bytes above which a leader refuses proposals until some are committed; 0 is no limit.
    public var maxUncommittedBytes: UInt64 = 256 << 20
    /// Committed entries are handed out before they are durable here.
    public var appliesBeforeDurable = false
    /// Who should lead, highest first by number; replicas not named have priority 0. When a voter with a higher
    /// priority than the leader's is caught up, the leader hands over to it.
    public var priorities: [ReplicaID: UInt32] = [:]
    /// Keep the events for the trace.
    public var traces = false

    public init() {}

    var flaw: String? {
        if electionTicks < 2 { return "an election timeout of \(electionTicks) ticks" }
        if heartbeatTicks < 1 || heartbeatTicks >= electionTicks {
            return "a heartbeat every \(heartbeatTicks) ticks with an election timeout of \(electionTicks)"
        }
        if windowMessages < 1 { return "a window of \(windowMessages) messages" }
        if clockDriftPermille < 0 { return "a clock drift of \(clockDriftPermille) permille" }
        return nil
    }
}
