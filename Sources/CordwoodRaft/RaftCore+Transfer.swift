internal import CordwoodBase

/// Which leader is preferred, and how often handing over to it has failed.
struct PriorityWatch: Sendable {
    /// Checks to let pass before the next attempt.
    var pause: UInt32 = 0
    /// Doubles with each attempt that fails, up to a limit: a preferred replica that cannot take over is left alone.
    var backoff: UInt32 = 1
    /// The running transfer was begun for the sake of priority.
    var isTrying = false
}

/// Handing leadership over.
extension RaftCore {
    mutating func transferLeadership(to target: ReplicaID, into effects: inout RaftEffects) {
        switch role {
        case .leader: startTransfer(to: target, into: &effects)
        case .follower where leader != .none:
            // The target stands as the sender.
            var request = RaftMessage(.transferLeadership, from: target, to: leader, term: term)
            request.isTransfer = true
            send(request, into: &effects)
        default: break
        }
    }

    /// A request that was passed on once is not passed on again.
    mutating func takeTransferRequest(_ message: RaftMessage, into effects: inout RaftEffects) {
        if role == .leader { startTransfer(to: message.from, into: &effects) }
    }

    private mutating func startTransfer(to target: ReplicaID, into effects: inout RaftEffects) {
        guard let place = table.place(of: target), !table.peers[place].progress.isLearner, target != transferTarget
        else { return }
        abandonTransfer()
        if target == replica { return }
        // It has one election timeout from here.
        electionElapsed = 0
        transferTarget = target
        // The target may campaign against the lease from now on.
        reads.surrenderLease()
        if table.peers[place].progress.match == log.last {
            sendTimeoutNow(to: target, into: &effects)
        } else {
            sendAppend(place, evenIfEmpty: true, into: &effects)
        }
    }

    mutating func sendTimeoutNow(to target: ReplicaID, into effects: inout RaftEffects) {
        send(RaftMessage(.timeoutNow, from: replica, to: target, term: term), into: &effects)
    }

    mutating func abandonTransfer() {
        transferTarget = .none
        if priority.isTrying {
            priority.isTrying = false
            priority.pause = priority.backoff
            priority.backoff = min(priority.backoff * 2, 64)
        }
    }

    /// Once an election timeout: hands over to the voter of highest priority, if it is not this one and is in step.
    mutating func preferLeader(into effects: inout RaftEffects) {
        if options.priorities.isEmpty || transferTarget != .none { return }
        if priority.pause > 0 {
            priority.pause -= 1
            return
        }
        var best = options.priorities[replica] ?? 0
        var target = ReplicaID.none
        for peer in table.peers where peer.isIncoming && peer.progress.isRecentlyActive {
            let wish = options.priorities[peer.id] ?? 0
            if wish > best, peer.id != replica, peer.progress.match >= log.committed {
                best = wish
                target = peer.id
            }
        }
        if target == .none { return }
        startTransfer(to: target, into: &effects)
        priority.isTrying = transferTarget == target
    }
}
