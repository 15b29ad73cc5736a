internal import CordwoodBase

/// Messages: terms first, then by kind and role.
extension RaftCore {
    /// Takes a message. `entries` are the heads of the entries that an append carries; for other kinds it is empty.
    /// Proposals go to `propose`, snapshots to `receiveSnapshot`.
    public mutating func receive(
        _ message: RaftMessage, entries: Span<EntryHead>, into effects: inout RaftEffects
    ) {
        flush(into: &effects)
        if isPoisoned || !isWellFormed(message, entries) { return finish(into: &effects) }
        if options.traces { traceReceive(message, into: &effects) }
        if admits(message, into: &effects) { dispatch(message, entries, into: &effects) }
        finish(into: &effects)
    }

    /// Takes a message without entries.
    public mutating func receive(_ message: RaftMessage, into effects: inout RaftEffects) {
        receive(message, entries: Span(), into: &effects)
    }

    /// Answers of replicas outside the configuration are not taken, and nothing that the core cannot have been sent.
    private func isWellFormed(_ message: RaftMessage, _ entries: Span<EntryHead>) -> Bool {
        if message.to != replica || message.from == .none { return false }
        if message.kind.isResponse, table.place(of: message.from) == nil { return false }
        if entries.count != Int(message.entryCount) { return false }
        switch message.kind {
        case .append:
            if message.index.rawValue.addingReportingOverflow(UInt64(message.entryCount) + 1).overflow { return false }
            var previous = message.logTerm
            for place in entries.indices {
                if entries[place].term < previous { return false }
                previous = entries[place].term
            }
            return message.term > 0 && previous <= message.term
        case .proposal, .snapshot: return false
        case .readIndex, .readIndexResponse: return true
        default: return message.term > 0 && entries.isEmpty
        }
    }

    /// Brings the term in line with the message's; false when the message ends here.
    mutating func admits(_ message: RaftMessage, into effects: inout RaftEffects) -> Bool {
        if message.term == term || message.term == 0 { return true }
        return message.term > term
            ? admitsHigher(message, into: &effects) : admitsLower(message, into: &effects)
    }

    private mutating func admitsHigher(_ message: RaftMessage, into effects: inout RaftEffects) -> Bool {
        switch message.kind {
        case .vote, .preVote:
            if isLeaseHeld(against: message) { return false }
            // Being asked whether one would vote changes nothing.
            if message.kind == .preVote { return true }
            if !mayVote || now < silentUntil { return false }
            becomeFollower(term: message.term, leader: .none, into: &effects)
        case .preVoteResponse where !message.isRejected:
            // A grant mirrors the term that was asked for, which nobody has reached.
            return true
        case .append, .heartbeat, .snapshot:
            becomeFollower(term: message.term, leader: message.from, into: &effects)
        default:
            becomeFollower(term: message.term, leader: .none, into: &effects)
        }
        return true
    }

    private mutating func admitsLower(_ message: RaftMessage, into effects: inout RaftEffects) -> Bool {
        switch message.kind {
        case .append, .heartbeat:
            // A leader that others have left behind would otherwise never learn it: they do not raise its term by
            // campaigning.
            if options.checkQuorum || options.preVote {
                send(RaftMessage(.appendResponse, from: replica, to: message.from, term: term), into: &effects)
            }
        case .preVote:
            var refusal = RaftMessage(.preVoteResponse, from: replica, to: message.from, term: term)
            refusal.isRejected = true
            send(refusal, into: &effects)
        case .vote where !configuration.isVoter(message.from):
            // This replica asks voters for their votes, and this candidate is none by the configuration that it knows:
            // it would never hear of the term otherwise, and may need this replica's vote.
            var refusal = RaftMessage(.voteResponse, from: replica, to: message.from, term: term)
            refusal.isRejected = true
            send(refusal, into: &effects)
        default: break
        }
        return false
    }

    private mutating func dispatch(
        _ message: RaftMessage, _ entries: Span<EntryHead>, into effects: inout RaftEffects
    ) {
        switch message.kind {
        case .append:
            if hearsLeader(message, into: &effects) { takeAppend(message, entries, into: &effects) }
        case .heartbeat:
            if hearsLeader(message, into: &effects) { takeHeartbeat(message, into: &effects) }
        case .appendResponse: takeAppendResponse(message, into: &effects)
        case .heartbeatResponse: takeHeartbeatResponse(message, into: &effects)
        case .vote, .preVote: takeVoteRequest(message, into: &effects)
        case .voteResponse, .preVoteResponse: takeVoteResponse(message, into: &effects)
        case .timeoutNow:
            if role == .follower { campaign(.transfer, into: &effects) }
        case .transferLeadership: takeTransferRequest(message, into: &effects)
        case .readIndex: takeReadRequest(message, into: &effects)
        case .readIndexResponse: takeReadResponse(message, into: &effects)
        case .proposal, .snapshot: break
        }
    }

    /// Notes the leader of this term from one of its messages; false when this replica is that leader.
    mutating func hearsLeader(_ message: RaftMessage, into effects: inout RaftEffects) -> Bool {
        if role == .leader { return false }
        if role != .follower { becomeFollower(term: term, leader: message.from, into: &effects) }
        leader = message.from
        if message.kind == .heartbeat {
            leaderLostQuorum = Int(message.quorumContactAge) > options.electionTicks
        }
        if !leaderLostQuorum { electionElapsed = 0 }
        return true
    }
}
