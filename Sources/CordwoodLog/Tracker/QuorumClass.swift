internal import CordwoodBase

/// Partitions with the same quorum rule advance together: one frontier in Raft order serves them all, so the cost of an
/// acknowledgement does not grow with their number.
struct QuorumClass {
    /// An entry that has left the ring, being applied and persisted, before the rule was satisfied.
    struct Unconfirmed {
        var raftIndex: UInt64
        /// `nil` for what was there when the tracker was restored.
        var term: UInt64?
        var partition: UInt16
        var index: UInt64
        var reported: Bool
    }

    let rule: PartitionQuorumRule
    /// Positions of the members in the tracker's table of replicas.
    var memberBits: UInt64
    var partitionCount = 0
    /// Raft index up to which the rule is satisfied; never beyond what the cursors say, never falling but by
    /// truncation.
    var frontier: UInt64 = 0
    /// Raft index up to which the frontier has been carried into the partitions' confirmed indexes.
    var walked: UInt64 = 0
    /// In Raft order.
    var unconfirmed: ArraySlice<Unconfirmed> = []

    let followsCommit: Bool

    init(rule: PartitionQuorumRule, memberBits: UInt64) {
        self.rule = rule
        self.memberBits = memberBits
        followsCommit = rule.followsCommit
    }

    /// Keeps an entry in Raft order; nearly always it is the last one.
    mutating func hold(_ entry: Unconfirmed) {
        var at = unconfirmed.endIndex
        while at > unconfirmed.startIndex, unconfirmed[at - 1].raftIndex > entry.raftIndex { at -= 1 }
        unconfirmed.insert(entry, at: at)
    }
}
