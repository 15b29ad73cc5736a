public import CordwoodBase

/// A core at one moment, for inspectors and metrics.
public struct RaftStatus: Sendable {
    public struct Member: Sendable {
        public var replica: ReplicaID
        public var isVoter: Bool
        public var progress: Progress
        /// Entries that it does not have yet.
        public var lagEntries: UInt64
        /// Ticks since it last answered.
        public var silentTicks: UInt64
    }

    public var replica: ReplicaID
    public var term: Term
    public var vote: ReplicaID
    public var role: RaftRole
    public var leader: ReplicaID
    public var commit: RaftIndex
    public var applied: RaftIndex
    public var durable: RaftIndex
    public var last: LogPosition
    public var boundary: LogPosition
    public var configuration: GroupConfiguration
    public var transferTarget: ReplicaID
    /// Ticks since a quorum was last heard, on a leader.
    public var quorumContactAge: UInt64
    public var uncommittedBytes: UInt64
    /// A committed configuration entry waits to be applied: until then this replica does not campaign.
    public var hasUnappliedConfiguration: Bool
    /// A snapshot that is being installed.
    public var installing: LogPosition?
    /// On a leader: every member, by id.
    public var members: [Member]
}

extension RaftCore {
    public var status: RaftStatus {
        var members: [RaftStatus.Member] = []
        if role == .leader {
            for peer in table.peers {
                members.append(
                    RaftStatus.Member(
                        replica: peer.id, isVoter: peer.isVoter, progress: peer.progress,
                        lagEntries: log.last - min(peer.progress.match, log.last),
                        silentTicks: peer.id == replica ? 0 : now - peer.heardAt))
            }
        }
        return RaftStatus(
            replica: replica, term: term, vote: votedFor, role: role, leader: leader, commit: log.committed,
            applied: log.applied, durable: log.durable, last: log.lastPosition, boundary: log.boundary,
            configuration: configuration, transferTarget: transferTarget, quorumContactAge: quorumContactAge,
            uncommittedBytes: uncommittedBytes, hasUnappliedConfiguration: log.hasUnappliedConfiguration,
            installing: log.installing, members: members)
    }

    /// A member's progress as this leader sees it; `nil` for other roles and for strangers.
    public func progress(of peer: ReplicaID) -> Progress? { role == .leader ? table[peer]?.progress : nil }

    /// Every member's progress, whatever the role: those of a replica that does not lead are those of its last reset.
    public var peers: [Peer] { table.peers }
}
