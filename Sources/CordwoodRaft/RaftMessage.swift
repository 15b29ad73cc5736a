public import CordwoodBase

/// What cores say to each other. Entries are not in it: an append names its range, and the node attaches the payloads.
///
/// One flat value for all kinds, so that queues of messages need no memory of their own per message. Fields that a
/// kind does not use are zero.
public struct RaftMessage: Hashable, Sendable {
    public enum Kind: UInt8, Hashable, Sendable, CaseIterable {
        /// `entryCount` entries behind (`logTerm`, `index`), and the leader's commit.
        case append = 1
        /// Acknowledges through `index`, or refuses the entry before the append: then `index` is that of the refused
        /// message and (`logTerm`, `hint`) says where the logs may agree.
        case appendResponse = 2
        /// Asks for a vote; (`logTerm`, `index`) is the candidate's last entry.
        case vote = 3
        case voteResponse = 4
        case preVote = 5
        case preVoteResponse = 6
        /// Carries a commit that the peer is known to have, and the read round in `context`.
        case heartbeat = 7
        /// Echoes `context`.
        case heartbeatResponse = 8
        /// Offers the snapshot that ends with (`logTerm`, `index`); the node attaches its manifest, which names the
        /// configuration.
        case snapshot = 9
        /// Tells the target of a transfer to campaign at once.
        case timeoutNow = 10
        /// A follower passes a request for a transfer on; `from` is the target.
        case transferLeadership = 11
        /// A follower passes a proposal on; the node attaches it.
        case proposal = 12
        /// A follower asks for a read index; `context` is its own.
        case readIndex = 13
        /// `index` is the read index for `context`.
        case readIndexResponse = 14

        /// The name that etcd/raft gives this kind: in its scenario files and in the trace for its specification.
        public var referenceName: String {
            switch self {
            case .append: "MsgApp"
            case .appendResponse: "MsgAppResp"
            case .vote: "MsgVote"
            case .voteResponse: "MsgVoteResp"
            case .preVote: "MsgPreVote"
            case .preVoteResponse: "MsgPreVoteResp"
            case .heartbeat: "MsgHeartbeat"
            case .heartbeatResponse: "MsgHeartbeatResp"
            case .snapshot: "MsgSnap"
            case .timeoutNow: "MsgTimeoutNow"
            case .transferLeadership: "MsgTransferLeader"
            case .proposal: "MsgProp"
            case .readIndex: "MsgReadIndex"
            case .readIndexResponse: "MsgReadIndexResp"
            }
        }

        /// Whether it answers something; answers of replicas outside the configuration are not taken.
        public var isResponse: Bool {
            switch self {
            case .appendResponse, .voteResponse, .preVoteResponse, .heartbeatResponse, .readIndexResponse: true
            default: false
            }
        }
    }

    public var kind: Kind
    public var from: ReplicaID
    public var to: ReplicaID
    /// Term of the sender; of a pre-vote and its grant, the one asked for. 0 in proposals and read requests.
    public var term: Term
    public var index: RaftIndex = 0
    public var logTerm: Term = 0
    public var commit: RaftIndex = 0
    /// Where the logs may agree, in refusals.
    public var hint: RaftIndex = 0
    public var context: UInt64 = 0
    /// Of an append.
    public var entryCount: UInt32 = 0
    /// Ticks since the leader last heard a quorum, in heartbeats.
    public var quorumContactAge: UInt32 = 0
    public var isRejected = false
    /// A vote request of a transfer's target: the lease does not hold against it.
    public var isTransfer = false

    public init(_ kind: Kind, from: ReplicaID, to: ReplicaID, term: Term) {
        self.kind = kind
        self.from = from
        self.to = to
        self.term = term
    }

    /// Indexes of the entries that an append carries.
    public var entries: Range<RaftIndex> { index.next..<index.next + UInt64(entryCount) }
}
