internal import CordwoodBase

/// The leader's side of replication: appends, heartbeats, answers, commit.
extension RaftCore {
    // MARK: Sending

    mutating func broadcastAppend(into effects: inout RaftEffects) {
        for place in table.peers.indices where table.peers[place].id != replica {
            sendAppend(place, evenIfEmpty: true, into: &effects)
        }
    }

    /// Sends the peer what it lacks, as far as one message and the window allow; without entries only when
    /// `evenIfEmpty`. False when nothing was sent: the peer must wait, or the store was asked first.
    @discardableResult
    mutating func sendAppend(_ place: Int, evenIfEmpty: Bool, into effects: inout RaftEffects) -> Bool {
        if table.peers[place].progress.isPaused || table.peers[place].progress.awaited != .nothing { return false }
        let next = table.peers[place].progress.next
        let previous = next.previous
        guard let previousTerm = log.term(at: previous) else { return askForSnapshot(place, into: &effects) }
        // Over a full window only empty appends go out. One of them gets through at last, and its answer frees the
        // window even when everything in it was lost.
        let carriesEntries =
            next <= log.last
            && (table.peers[place].progress.state != .replicate || !table.peers[place].progress.window.isFull)
        if !carriesEntries {
            if !evenIfEmpty { return false }
            sendAppend(place, behind: previousTerm, through: previous, bytes: 0, ticket: 0, into: &effects)
            return true
        }
        if previous < log.sizes.floor {
            readTicket += 1
            table.peers[place].progress.awaited = .read(readTicket)
            effects.emit(
                .read(
                    ticket: readTicket, peer: table.peers[place].id, from: next, maxBytes: options.maxAppendBytes))
            return false
        }
        let last = log.sizes.end(from: next, maxBytes: options.maxAppendBytes)
        let bytes = log.sizes.bytes(after: previous, through: last)
        sendAppend(place, behind: previousTerm, through: last, bytes: bytes, ticket: 0, into: &effects)
        return true
    }

    private mutating func sendAppend(
        _ place: Int, behind previousTerm: Term, through last: RaftIndex, bytes: UInt64, ticket: UInt64,
        into effects: inout RaftEffects
    ) {
        var message = RaftMessage(.append, from: replica, to: table.peers[place].id, term: term)
        message.index = table.peers[place].progress.next.previous
        message.logTerm = previousTerm
        message.entryCount = UInt32(last - message.index)
        message.commit = log.committed
        if options.traces { traceAppend(message, to: place, into: &effects) }
        effects.emit(message.entryCount == 0 ? .send(message) : .sendAppend(message, ticket: ticket))
        table.peers[place].progress.sentEntries(through: last, bytes: bytes)
        table.peers[place].progress.told(commit: log.committed)
    }

    mutating func readDone(
        _ ticket: UInt64, _ peer: ReplicaID, _ outcome: ReadOutcome, into effects: inout RaftEffects
    ) {
        guard role == .leader, let place = table.place(of: peer),
            table.peers[place].progress.awaited == .read(ticket)
        else { return }
        table.peers[place].progress.awaited = .nothing
        let next = table.peers[place].progress.next
        switch outcome {
        case .purged:
            askForSnapshot(place, into: &effects)
        case .corrupt:
            // A leader that cannot read its own log must not go on leading from it.
            becomeFollower(term: term, leader: .none, into: &effects)
        case .entries(let count, let bytes):
            let last = min(next.previous + UInt64(max(count, 0)), log.last)
            guard last >= next, let previousTerm = log.term(at: next.previous) else { return }
            sendAppend(place, behind: previousTerm, through: last, bytes: bytes, ticket: ticket, into: &effects)
            if table.peers[place].progress.state == .replicate { fillWindow(place, into: &effects) }
        }
    }

    /// Sends on as long as there are entries and the window is open.
    private mutating func fillWindow(_ place: Int, into effects: inout RaftEffects) {
        while sendAppend(place, evenIfEmpty: false, into: &effects) {}
    }

    // MARK: Heartbeats

    /// Starts a round of heartbeats. A heartbeat tells no more commit than the peer is known to have.
    mutating func broadcastHeartbeat(into effects: inout RaftEffects) {
        let round = reads.startRound(at: now)
        let age = options.tellsQuorumContact ? quorumContactAge : 0
        for place in table.peers.indices where table.peers[place].id != replica {
            var message = RaftMessage(.heartbeat, from: replica, to: table.peers[place].id, term: term)
            message.commit = min(table.peers[place].progress.match, log.committed)
            message.context = round
            message.quorumContactAge = UInt32(clamping: age)
            table.peers[place].progress.told(commit: message.commit)
            send(message, into: &effects)
        }
    }

    /// Ticks since a quorum was last heard, this replica included; 0 for any other role than leader.
    public var quorumContactAge: UInt64 {
        if role != .leader { return 0 }
        let own = replica
        let current = now
        return now - min(now, table.quorumReached { $0.id == own ? current : $0.heardAt })
    }

    mutating func takeHeartbeatResponse(_ message: RaftMessage, into effects: inout RaftEffects) {
        guard role == .leader, let place = table.place(of: message.from) else { return }
        table.peers[place].progress.isRecentlyActive = true
        table.peers[place].progress.isHeld = false
        table.peers[place].heardAt = now
        // A peer whose window was lost as a whole gets an empty append here, and recovers by its answer.
        if table.peers[place].progress.match < log.last || table.peers[place].progress.state == .probe {
            sendAppend(place, evenIfEmpty: true, into: &effects)
        }
        if message.context > table.peers[place].answeredRound {
            table.peers[place].answeredRound = message.context
            confirmRounds(into: &effects)
        }
    }

    // MARK: Answers

    mutating func takeAppendResponse(_ message: RaftMessage, into effects: inout RaftEffects) {
        guard role == .leader, let place = table.place(of: message.from) else { return }
        table.peers[place].progress.isRecentlyActive = true
        table.peers[place].heardAt = now
        if message.isRejected {
            takeRefusal(message, place, into: &effects)
        } else if message.index <= log.last {
            takeAcknowledgement(message.index, place, into: &effects)
        }
    }

    private mutating func takeRefusal(_ message: RaftMessage, _ place: Int, into effects: inout RaftEffects) {
        // Both sides skip by term: one round trip for each term in which the logs differ, not for each entry.
        let probe =
            message.logTerm > 0 ? log.agreement(atOrBelow: message.hint, term: message.logTerm).index : message.hint
        guard table.peers[place].progress.refuse(message.index, probe: probe) else { return }
        if table.peers[place].progress.state == .replicate { table.peers[place].progress.becomeProbe() }
        sendAppend(place, evenIfEmpty: true, into: &effects)
    }

    private mutating func takeAcknowledgement(_ index: RaftIndex, _ place: Int, into effects: inout RaftEffects) {
        let peer = table.peers[place].id
        let isProbing = table.peers[place].progress.state == .probe
        // Nothing new, unless it shows a probed peer to be in step.
        guard
            table.peers[place].progress.acknowledge(index)
                || (isProbing && table.peers[place].progress.match == index)
        else { return }
        switch table.peers[place].progress.state {
        case .probe: table.peers[place].progress.becomeReplicate()
        case .snapshot:
            // Whatever snapshot brought the peer here, the log goes on from where it is.
            if table.peers[place].progress.match.next >= log.firstIndex {
                table.peers[place].progress.becomeReplicate()
            }
        case .replicate: table.peers[place].progress.freeWindow(through: index)
        }
        if advanceCommit(into: &effects) {
            releaseWaitingReads(into: &effects)
            broadcastAppend(into: &effects)
        } else if peer != replica, table.peers[place].progress.canUse(commit: log.committed) {
            sendAppend(place, evenIfEmpty: true, into: &effects)
        }
        if peer != replica { fillWindow(place, into: &effects) }
        if peer == transferTarget, table.peers[place].progress.match == log.last {
            sendTimeoutNow(to: peer, into: &effects)
        }
    }

    /// Commits what a quorum has, if the newest of it is of this term: an entry of an older term that a quorum has can
    /// still be overwritten.
    mutating func advanceCommit(into effects: inout RaftEffects) -> Bool {
        let index = RaftIndex(table.committed)
        let advances = index > log.committed && log.term(at: index) == term
        if advances { log.commit(through: index) }
        if options.traces { trace(.commit, into: &effects) }
        return advances
    }

    mutating func unreachable(_ peer: ReplicaID) {
        guard role == .leader, let place = table.place(of: peer) else { return }
        // What was in flight is probably lost.
        if table.peers[place].progress.state == .replicate { table.peers[place].progress.becomeProbe() }
    }
}
