public import CordwoodBase

/// One member of the group as this replica sees it.
public struct Peer: Sendable {
    enum Ballot: UInt8, Sendable {
        case notCast
        case granted
        case refused
    }

    public let id: ReplicaID
    public internal(set) var progress: Progress
    /// It votes in the incoming half.
    public internal(set) var isIncoming = false
    /// It votes in the outgoing half.
    public internal(set) var isOutgoing = false
    /// Its answer to the election that is running.
    var ballot = Ballot.notCast
    /// Tick at which it last answered this leader.
    var heardAt: UInt64 = 0
    /// The last heartbeat round it answered.
    var answeredRound: UInt64 = 0

    public var isVoter: Bool { isIncoming || isOutgoing }
}

/// A group's configuration with the progress of each member: what configuration changes work on.
///
/// Peers ascend by id, and the marks in them mirror the configuration. Groups are small, so that looking a peer up is
/// a walk.
public struct PeerTable: Sendable {
    public internal(set) var configuration = GroupConfiguration()
    public internal(set) var peers: [Peer] = []
    /// The window that a new member starts with.
    let window: InflightWindow

    public init(window: InflightWindow) { self.window = window }

    /// Where the peer stands in `peers`, or `nil` when it is no member.
    @inline(__always)
    func place(of id: ReplicaID) -> Int? {
        for place in peers.indices where peers[place].id == id { return place }
        return nil
    }

    public subscript(id: ReplicaID) -> Peer? { place(of: id).map { peers[$0] } }

    /// The highest value that a quorum of voters, in both halves, has reached.
    @inline(__always)
    func quorumReached(_ value: (borrowing Peer) -> UInt64) -> UInt64 {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: peers.count) { values in
            var count = 0
            for place in peers.indices where peers[place].isIncoming {
                values.initializeElement(at: count, to: value(peers[place]))
                count += 1
            }
            var reached = Quorum.reachedByMajority(of: .init(rebasing: values[..<count]))
            if !configuration.outgoing.isEmpty {
                count = 0
                for place in peers.indices where peers[place].isOutgoing {
                    values.initializeElement(at: count, to: value(peers[place]))
                    count += 1
                }
                reached = min(reached, Quorum.reachedByMajority(of: .init(rebasing: values[..<count])))
            }
            return reached
        }
    }

    /// The highest index that a quorum has durable.
    var committed: UInt64 { quorumReached { $0.progress.match.rawValue } }

    /// What the votes cast so far amount to.
    var election: VoteOutcome {
        configuration.quorum.outcome { id in
            switch self[id]?.ballot {
            case .granted: true
            case .refused: false
            case .notCast, nil: nil
            }
        }
    }

    /// Whether a quorum was active since the last check.
    var isQuorumActive: Bool {
        configuration.quorum.outcome { self[$0]?.progress.isRecentlyActive == true } == .won
    }

    mutating func clearVotes() {
        for place in peers.indices { peers[place].ballot = .notCast }
    }
}
