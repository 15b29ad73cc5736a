public import CordwoodBase

/// Snapshots as the core sees them: a position in the log with a configuration. Manifests and pieces are the node's.
extension RaftCore {
    // MARK: Leader

    /// The peer needs what the log no longer holds. One that has been silent is left alone until it answers again.
    @discardableResult
    mutating func askForSnapshot(_ place: Int, into effects: inout RaftEffects) -> Bool {
        if table.peers[place].progress.isRecentlyActive {
            table.peers[place].progress.awaited = .snapshot
            effects.emit(.needSnapshot(table.peers[place].id))
        }
        return false
    }

    mutating func snapshotOffered(_ peer: ReplicaID, _ position: LogPosition, into effects: inout RaftEffects) {
        guard role == .leader, let place = table.place(of: peer), table.peers[place].progress.awaited == .snapshot
        else { return }
        table.peers[place].progress.becomeSnapshot(position.index)
        var message = RaftMessage(.snapshot, from: replica, to: peer, term: term)
        message.index = position.index
        message.logTerm = position.term
        effects.emit(.sendSnapshot(message))
        if options.traces { traceSend(message, into: &effects) }
    }

    mutating func snapshotSent(_ peer: ReplicaID, _ succeeded: Bool) {
        guard role == .leader, let place = table.place(of: peer), table.peers[place].progress.state == .snapshot
        else { return }
        if !succeeded { table.peers[place].progress.dropPendingSnapshot() }
        table.peers[place].progress.becomeProbe()
        // The acknowledgement, or the next heartbeat, goes on.
        table.peers[place].progress.isHeld = true
    }

    // MARK: Follower

    /// Whether a snapshot at this position would bring this replica further: to be asked before its pieces are fetched.
    public func needsSnapshot(_ position: LogPosition) -> Bool {
        position.index > log.committed && !log.holds(position) && !isPoisoned
    }

    /// Takes a snapshot whose pieces are at hand, with the configuration that its manifest names. When it is installed,
    /// log and configuration are replaced at once; the acknowledgement waits until the install is durable.
    public mutating func receiveSnapshot(
        _ message: RaftMessage, configuration: GroupConfiguration, into effects: inout RaftEffects
    ) {
        flush(into: &effects)
        if isPoisoned || message.to != replica || message.kind != .snapshot || message.term == 0
            || configuration.flaw != nil
        {
            return finish(into: &effects)
        }
        if options.traces { traceReceive(message, into: &effects) }
        if admits(message, into: &effects), hearsLeader(message, into: &effects) {
            let position = LogPosition(index: message.index, term: message.logTerm)
            var answer = RaftMessage(.appendResponse, from: replica, to: message.from, term: term)
            answer.index = install(position, configuration, into: &effects) ? log.last : log.committed
            send(answer, into: &effects)
        }
        finish(into: &effects)
    }

    /// Installs the snapshot, or finds that there is nothing to install.
    private mutating func install(
        _ position: LogPosition, _ configuration: GroupConfiguration, into effects: inout RaftEffects
    ) -> Bool {
        if position.index <= log.committed || !configuration.contains(replica) { return false }
        if log.holds(position) {
            log.commit(through: position.index)
            return false
        }
        log.install(position)
        proposals.truncate(after: position.index)
        handedOut = position.index
        table = PeerTable(configuration: configuration, lastIndex: log.last, window: table.window)
        record(into: &effects)
        effects.emit(.install(position, durabilityToken))
        effects.emit(.configurationChanged)
        return true
    }

    mutating func snapshotDurable(_ position: LogPosition, into effects: inout RaftEffects) {
        log.installed(position)
        leaveJointIfDue(into: &effects)
    }
}
