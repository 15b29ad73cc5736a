internal import CordwoodBase

/// Terms, timers, campaigns and votes.
extension RaftCore {
    enum Campaign {
        case preVote
        case vote
        /// As the target of a transfer: without asking before, and against the lease.
        case transfer
    }

    // MARK: Roles

    /// What every change of role clears.
    private mutating func reset(term newTerm: Term, into effects: inout RaftEffects) {
        if term != newTerm {
            invariant(newTerm > term, "term falls to \(newTerm): \(state)")
            term = newTerm
            votedFor = .none
        }
        leader = .none
        leaderLostQuorum = false
        electionElapsed = 0
        heartbeatElapsed = 0
        drawElectionTimeout()
        transferTarget = .none
        priority = PriorityWatch()
        failReads(into: &effects)
        pendingConfiguration = 0
        for place in table.peers.indices {
            let isSelf = table.peers[place].id == replica
            table.peers[place].progress.reset(match: isSelf ? log.last : 0, next: log.last.next)
            table.peers[place].ballot = .notCast
            table.peers[place].heardAt = 0
            table.peers[place].answeredRound = 0
        }
    }

    mutating func becomeFollower(term newTerm: Term, leader newLeader: ReplicaID, into effects: inout RaftEffects) {
        reset(term: newTerm, into: &effects)
        role = .follower
        leader = newLeader
        if options.traces { trace(.becomeFollower, into: &effects) }
    }

    private mutating func becomeCandidate(into effects: inout RaftEffects) {
        invariant(role != .leader, "a leader campaigns: \(state)")
        reset(term: term.next, into: &effects)
        role = .candidate
        votedFor = replica
        if options.traces { trace(.becomeCandidate, into: &effects) }
    }

    /// Keeps term, vote and timers.
    private mutating func becomePreCandidate() {
        invariant(role != .leader, "a leader campaigns: \(state)")
        table.clearVotes()
        leader = .none
        role = .preCandidate
    }

    private mutating func becomeLeader(into effects: inout RaftEffects) {
        invariant(role == .candidate, "leads without an election: \(state)")
        reset(term: term, into: &effects)
        role = .leader
        leader = replica
        if let place = table.place(of: replica) {
            table.peers[place].progress.becomeReplicate()
            table.peers[place].progress.isRecentlyActive = true
        }
        for place in table.peers.indices { table.peers[place].heardAt = now }
        // A change may be anywhere in the log it was elected with.
        pendingConfiguration = log.last
        reads.startTerm()
        if options.traces { trace(.becomeLeader, into: &effects) }
        appendOwn(.noOperation, source: .termStart, into: &effects)
    }

    mutating func drawElectionTimeout() {
        let spread = UInt64(options.electionTicks)
        electionTimeout = options.electionTicks + Int(random.next() % spread)
    }

    // MARK: Time

    mutating func tick(into effects: inout RaftEffects) {
        now += 1
        if isPoisoned { return }
        electionElapsed += 1
        if role != .leader {
            if isElectable, electionElapsed >= electionTimeout {
                electionElapsed = 0
                campaign(options.preVote ? .preVote : .vote, into: &effects)
            }
            return
        }
        heartbeatElapsed += 1
        if electionElapsed >= options.electionTicks {
            electionElapsed = 0
            if transferTarget != .none { abandonTransfer() }
            preferLeader(into: &effects)
            if options.checkQuorum { checkQuorum(into: &effects) }
        }
        if role == .leader, heartbeatElapsed >= options.heartbeatTicks {
            heartbeatElapsed = 0
            broadcastHeartbeat(into: &effects)
        }
    }

    private mutating func checkQuorum(into effects: inout RaftEffects) {
        if !table.isQuorumActive { becomeFollower(term: term, leader: .none, into: &effects) }
        for place in table.peers.indices where table.peers[place].id != replica {
            table.peers[place].progress.isRecentlyActive = false
        }
    }

    // MARK: Campaigns

    /// Whether this replica may win an election: a voter, with its log in place and undamaged.
    public var isElectable: Bool {
        guard let place = table.place(of: replica), !table.peers[place].progress.isLearner else { return false }
        return log.installing == nil && mayCampaign && !isPoisoned && now >= silentUntil
    }

    mutating func campaign(_ kind: Campaign, into effects: inout RaftEffects) {
        // A committed change that is not applied may say that this replica, or this quorum, no longer counts.
        if role == .leader || !isElectable || log.hasUnappliedConfiguration { return }
        startElection(kind, into: &effects)
    }

    private mutating func startElection(_ kind: Campaign, into effects: inout RaftEffects) {
        let asked: Term
        let isPreVote = kind == .preVote
        if isPreVote {
            becomePreCandidate()
            asked = term.next
        } else {
            becomeCandidate(into: &effects)
            asked = term
        }
        record(into: &effects)
        for place in table.peers.indices where table.peers[place].isVoter {
            let id = table.peers[place].id
            // Its own vote counts like any other: when it is durable.
            let isSelf = id == replica
            let answer: RaftMessage.Kind = isPreVote ? .preVoteResponse : .voteResponse
            let request: RaftMessage.Kind = isPreVote ? .preVote : .vote
            var message = RaftMessage(isSelf ? answer : request, from: replica, to: id, term: asked)
            if !isSelf {
                message.index = log.last
                message.logTerm = log.lastTerm
                message.isTransfer = kind == .transfer
            }
            send(message, into: &effects)
        }
    }

    // MARK: Votes

    /// Whether a request of a higher term is to be ignored because a leader was heard lately.
    func isLeaseHeld(against message: RaftMessage) -> Bool {
        !message.isTransfer && options.checkQuorum && leader != .none && !leaderLostQuorum
            && electionElapsed < options.electionTicks
    }

    mutating func takeVoteRequest(_ message: RaftMessage, into effects: inout RaftEffects) {
        if !mayVote || now < silentUntil { return }
        let isPreVote = message.kind == .preVote
        let isFree =
            votedFor == message.from || (votedFor == .none && leader == .none) || (isPreVote && message.term > term)
        let granted = isFree && log.isMatched(by: LogPosition(index: message.index, term: message.logTerm))
        // A grant names the term asked for, a refusal the own one: a candidate that is behind learns of it.
        var answer = RaftMessage(
            isPreVote ? .preVoteResponse : .voteResponse, from: replica, to: message.from,
            term: granted ? message.term : term)
        answer.isRejected = !granted
        if granted, !isPreVote {
            electionElapsed = 0
            votedFor = message.from
        }
        send(answer, into: &effects)
    }

    mutating func takeVoteResponse(_ message: RaftMessage, into effects: inout RaftEffects) {
        let awaited: RaftMessage.Kind = role == .preCandidate ? .preVoteResponse : .voteResponse
        guard role == .preCandidate || role == .candidate, message.kind == awaited,
            let place = table.place(of: message.from)
        else { return }
        // Only the first answer counts.
        if table.peers[place].ballot == .notCast {
            table.peers[place].ballot = message.isRejected ? .refused : .granted
        }
        switch table.election {
        case .pending: return
        case .lost: becomeFollower(term: term, leader: .none, into: &effects)
        case .won:
            if role == .preCandidate {
                startElection(.vote, into: &effects)
            } else {
                becomeLeader(into: &effects)
                broadcastAppend(into: &effects)
            }
        }
    }

    // MARK: Leader known or not

    /// Refused under lease reads: the leader may be serving reads on the strength of this replica's memory.
    mutating func forgetLeader() {
        if role == .follower, options.readMode != .lease { leader = .none }
    }

    /// The same term goes on without a leader until somebody's timer runs out.
    mutating func stepDown(into effects: inout RaftEffects) {
        if role == .follower { return forgetLeader() }
        becomeFollower(term: term, leader: .none, into: &effects)
    }
}

extension RaftCore {
    /// Fixes the drawn timeout until the next draw: scripts of the reference ask for it.
    package mutating func overrideElectionTimeout(_ ticks: Int) { electionTimeout = ticks }
}
