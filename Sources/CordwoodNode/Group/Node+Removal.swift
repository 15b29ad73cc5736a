import CordwoodBase
import CordwoodIO
import CordwoodRaft

/// The end of a membership. An id that the group has removed is never used again, so a replica that was removed stays
/// so: it campaigns no more, dials nobody and takes no client's command, and says so. What it holds it keeps, for
/// whoever wants to look at it.
///
/// It learns of it by the entry itself, or, if it was away, from the first member that refuses it. A configuration
/// counts once it is committed, so whoever refuses it knows for certain.
extension Node {
    /// Takes up what the applied configuration says of this replica. A leader leads on until its successor is elected.
    func lookForOwnRemoval() {
        if !core.isLeader, membership.isRetired(replica) { becomeRemoved(toldBy: nil) }
    }

    /// A peer refuses this replica as one that was removed.
    func heardOfOwnRemoval(from peer: PeerAddress) {
        // Not from inside the transport, whose connections end by it.
        seams.scheduler.atEndOfTurn { [weak self] in
            guard let self, !isClosing else { return }
            becomeRemoved(toldBy: peer)
            isTurnedAway = true
            tellPeers()
        }
    }

    private func becomeRemoved(toldBy peer: PeerAddress?) {
        guard !isRemoved else { return }
        isRemoved = true
        log.write(Self.removalEvent(replica, toldBy: peer))
        tellEligibility(into: &effects)
        carryOut()
    }

    /// What an operator is told, in words.
    static func removalEvent(_ replica: ReplicaID, toldBy peer: PeerAddress?) -> LogEvent {
        LogEvent(
            .error, "group",
            "this member was removed from the group for good: stop it, delete its directory or keep it aside, and let "
                + "the node join with an empty one",
            fields: [.init("replica", "\(replica)"), .init("told_by", peer.map { "\($0.address)" } ?? "the log")])
    }
}
