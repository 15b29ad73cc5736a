public import CordwoodBase
public import CordwoodRaft

/// One member as this node sees it.
public struct MemberStatus: Hashable, Sendable {
    public var member: Membership.Member
    public var isVoter: Bool
    /// As it said itself; `nil` when it was not heard lately.
    public var role: RaftRole?
    /// Where its clients reach it; empty while that is not known.
    public var clientAddress = ""
    /// What it holds durably, as far as that is known here.
    public var match: RaftIndex?
    /// On the leader: how it sends to the member, and the next index that it sends.
    public var replication: ReplicationState?
    public var next: RaftIndex?
    /// Since it was last heard; `nil` when it never was.
    public var lastContactNanoseconds: UInt64?
    public var roundTripNanoseconds: UInt64?
    /// Its store takes no more writes.
    public var isDegraded = false
    /// Wall time at which it was started.
    public var startedMicroseconds: Int64?
}
