public import CordwoodBase

/// One event of a trace in the form that etcd/raft's TLA+ trace specification reads.
///
/// All replicas of a run write into one file, in one total order, one event a line.
public struct RaftTraceEvent: Hashable, Sendable {
    public enum Name: String, Hashable, Sendable, CaseIterable {
        case initState = "InitState"
        case becomeFollower = "BecomeFollower"
        case becomeCandidate = "BecomeCandidate"
        case becomeLeader = "BecomeLeader"
        case commit = "Commit"
        case replicate = "Replicate"
        case changeConfiguration = "ChangeConf"
        case applyConfiguration = "ApplyConfChange"
        case ready = "Ready"
        case sendAppendRequest = "SendAppendEntriesRequest"
        case receiveAppendRequest = "ReceiveAppendEntriesRequest"
        case sendAppendResponse = "SendAppendEntriesResponse"
        case receiveAppendResponse = "ReceiveAppendEntriesResponse"
        case sendVoteRequest = "SendRequestVoteRequest"
        case receiveVoteRequest = "ReceiveRequestVoteRequest"
        case sendVoteResponse = "SendRequestVoteResponse"
        case receiveVoteResponse = "ReceiveRequestVoteResponse"
    }

    public struct Change: Hashable, Sendable {
        public var replica: ReplicaID
        /// `AddNewServer`, `RemoveServer` or `AddLearner`.
        public var action: String
    }

    public var name: Name
    public var replica: ReplicaID
    public var vote: Vote
    public var commit: RaftIndex
    public var role: RaftRole
    public var last: RaftIndex
    public var voters: [ReplicaID]
    public var outgoing: [ReplicaID]
    public var message: RaftMessage?
    /// The peer's match and next, when an append is sent to it.
    public var progress: (match: RaftIndex, next: RaftIndex)? {
        get { hasProgress ? (match, next) : nil }
        set { (hasProgress, match, next) = (newValue != nil, newValue?.match ?? 0, newValue?.next ?? 0) }
    }
    /// Of a change that was proposed, or that is about to be applied.
    public var changes: [Change]?
    public var newVoters: [ReplicaID]?

    private var hasProgress = false
    private var match: RaftIndex = 0
    private var next: RaftIndex = 0

    init(
        _ name: Name, replica: ReplicaID, vote: Vote, commit: RaftIndex, role: RaftRole, last: RaftIndex,
        configuration: GroupConfiguration
    ) {
        self.name = name
        self.replica = replica
        self.vote = vote
        self.commit = commit
        self.role = role
        self.last = last
        voters = configuration.voters
        outgoing = configuration.outgoing
    }
}

extension RaftTraceEvent {
    /// The event as one line of JSON, without the newline.
    public var json: String {
        var fields = [
            "\"name\":\"\(name.rawValue)\"", "\"nid\":\"\(replica)\"",
            "\"state\":{\"term\":\(vote.term),\"vote\":\"\(vote.candidate)\",\"commit\":\(commit)}",
            "\"role\":\"\(Self.name(of: role))\"", "\"log\":\(last)",
            "\"conf\":[\(Self.list(voters)),\(Self.list(outgoing))]",
        ]
        if let message { fields.append("\"msg\":\(Self.json(of: message))") }
        var properties: [String] = []
        if let changes {
            let list = changes.map { "{\"nid\":\"\($0.replica)\",\"action\":\"\($0.action)\"}" }
            let voters = newVoters.map { ",\"newconf\":\(Self.list($0))" } ?? ""
            properties.append("\"cc\":{\"changes\":[\(list.joined(separator: ","))]\(voters)}")
        }
        if let progress { properties.append("\"match\":\(progress.match),\"next\":\(progress.next)") }
        if !properties.isEmpty { fields.append("\"prop\":{\(properties.joined(separator: ","))}") }
        return "{\"tag\":\"trace\",\"event\":{\(fields.joined(separator: ","))}}"
    }

    private static func list(_ ids: [ReplicaID]) -> String {
        "[" + ids.map { "\"\($0)\"" }.joined(separator: ",") + "]"
    }

    private static func name(of role: RaftRole) -> String {
        switch role {
        case .follower: "StateFollower"
        case .preCandidate: "StatePreCandidate"
        case .candidate: "StateCandidate"
        case .leader: "StateLeader"
        }
    }

    private static func json(of message: RaftMessage) -> String {
        let type = message.kind.referenceName
        // The specification takes a snapshot for an append of the whole log.
        let isSnapshot = message.kind == .snapshot
        let entries = isSnapshot ? message.index.rawValue : UInt64(message.entryCount)
        return "{\"type\":\"\(type)\",\"term\":\(message.term),\"from\":\"\(message.from)\",\"to\":\"\(message.to)\","
            + "\"entries\":\(entries),\"logTerm\":\(isSnapshot ? 0 : message.logTerm),"
            + "\"index\":\(isSnapshot ? 0 : message.index),\"commit\":\(message.commit),\"vote\":\"0\","
            + "\"reject\":\(message.isRejected),\"rejectHint\":\(message.hint)}"
    }
}
