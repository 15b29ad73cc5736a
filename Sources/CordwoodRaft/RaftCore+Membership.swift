public import CordwoodBase

/// The configuration: in force when it is applied.
extension RaftCore {
    /// Applies the committed configuration entry at `index`, when it is its turn to be handed out. A change that does
    /// not fit changes nothing, on every replica alike; the error is for the log.
    public mutating func applyConfiguration(
        _ change: ConfigurationChange, at index: RaftIndex, into effects: inout RaftEffects
    ) throws(ConfigurationError) {
        invariant(index <= log.committed && index > log.applied, "configuration of entry \(index) is applied: \(state)")
        flush(into: &effects)
        var changed = table
        try changed.apply(change, lastIndex: log.last)
        if options.traces { traceApply(changed.configuration, into: &effects) }
        adopt(changed, into: &effects)
        finish(into: &effects)
    }

    private mutating func adopt(_ changed: PeerTable, into effects: inout RaftEffects) {
        table = changed
        effects.emit(.configurationChanged)
        guard role == .leader else { return }
        let place = table.place(of: replica)
        if place.map({ table.peers[$0].progress.isLearner }) ?? true {
            // Otherwise it leads on without counting itself, until its successor is elected.
            if options.stepDownOnRemoval { becomeFollower(term: term, leader: .none, into: &effects) }
            return
        }
        for place in table.peers.indices where table.peers[place].heardAt == 0 { table.peers[place].heardAt = now }
        // A smaller quorum may have committed more.
        if advanceCommit(into: &effects) {
            releaseWaitingReads(into: &effects)
            broadcastAppend(into: &effects)
        } else {
            for place in table.peers.indices where table.peers[place].id != replica {
                sendAppend(place, evenIfEmpty: false, into: &effects)
            }
        }
        confirmRounds(into: &effects)
        if transferTarget != .none, !configuration.isVoter(transferTarget) { abandonTransfer() }
    }

    /// Proposes to leave an automatic joint configuration once it is applied. A transfer holds it back; it is tried
    /// again with every report of applied entries.
    mutating func leaveJointIfDue(into effects: inout RaftEffects) {
        guard role == .leader, configuration.leavesAutomatically, log.applied >= pendingConfiguration,
            transferTarget == .none, table.place(of: replica) != nil
        else { return }
        pendingConfiguration = log.last.next
        if options.traces { traceChange(.leaveJoint, into: &effects) }
        appendOwn(.configuration, source: .leaveJoint, into: &effects)
        broadcastAppend(into: &effects)
    }
}
