internal import CordwoodBase

/// Reads that wait for the proof that their leader still leads.
///
/// Heartbeat rounds are numbered. A read belongs to the first round that starts after it was asked, and is served when
/// a quorum has answered that round or a later one; so one round serves all reads that were waiting when it started.
struct ReadQueue: Sendable {
    struct Read: Sendable {
        /// The asker's own number for it.
        var context: UInt64
        var asker: ReplicaID
        /// Commit when it was asked.
        var index: RaftIndex
        var round: UInt64
        /// A lease does not do.
        var needsRound = false
    }

    /// Asked before anything of this term was committed.
    var waiting: [Read] = []
    /// Ascending in round.
    var pending: [Read] = []
    /// The last round that was started. Never falls, so that an answer of an older leadership proves nothing.
    private(set) var round: UInt64 = 0
    /// The highest round that a quorum has answered.
    private(set) var confirmedRound: UInt64 = 0
    /// Tick at which recent rounds started, at round modulo the size.
    private var startedAt = [UInt64](repeating: 0, count: 64)
    /// Tick from which the lease runs; `nil` without one.
    private(set) var leaseStart: UInt64?
    /// Given up for the rest of the term: a target that was told to campaign may do so at any time.
    private(set) var isLeaseSurrendered = false

    /// A new leadership: rounds of former ones count for nothing.
    mutating func startTerm() {
        confirmedRound = round
        leaseStart = nil
        isLeaseSurrendered = false
    }

    mutating func startRound(at tick: UInt64) -> UInt64 {
        round += 1
        startedAt[Int(round % 64)] = tick
        return round
    }

    /// Notes that a quorum has answered `round`; false when that is nothing new.
    mutating func confirm(_ confirmed: UInt64) -> Bool {
        if confirmed <= confirmedRound || confirmed > round { return false }
        confirmedRound = confirmed
        if round - confirmed < 64, !isLeaseSurrendered { leaseStart = startedAt[Int(confirmed % 64)] }
        return true
    }

    mutating func surrenderLease() {
        leaseStart = nil
        isLeaseSurrendered = true
    }
}

extension RaftCore {
    // MARK: Asking

    mutating func requestRead(_ context: UInt64, needsRound: Bool, into effects: inout RaftEffects) {
        switch role {
        case .leader: ask(context, for: replica, needsRound: needsRound, into: &effects)
        case .follower where leader != .none:
            var request = RaftMessage(.readIndex, from: replica, to: leader, term: 0)
            request.context = context
            request.hint = needsRound ? 1 : 0
            send(request, into: &effects)
        default: effects.emit(.readFailed(context: context))
        }
    }

    mutating func takeReadRequest(_ message: RaftMessage, into effects: inout RaftEffects) {
        if role == .leader {
            ask(message.context, for: message.from, needsRound: message.hint != 0, into: &effects)
        } else {
            fail(.init(context: message.context, asker: message.from, index: 0, round: 0), into: &effects)
        }
    }

    mutating func takeReadResponse(_ message: RaftMessage, into effects: inout RaftEffects) {
        if message.isRejected {
            effects.emit(.readFailed(context: message.context))
        } else {
            effects.emit(.readReady(context: message.context, message.index))
        }
    }

    private mutating func ask(
        _ context: UInt64, for asker: ReplicaID, needsRound: Bool, into effects: inout RaftEffects
    ) {
        let read = ReadQueue.Read(
            context: context, asker: asker, index: log.committed, round: reads.round + 1, needsRound: needsRound)
        // Until an entry of this term is committed, commit may be behind what a former leader acknowledged.
        guard log.term(at: log.committed) == term else {
            reads.waiting.append(read)
            return
        }
        if isAloneInQuorum || !needsRound && isLeaseValid { return serve(read, into: &effects) }
        let isRoundOut = !reads.pending.isEmpty
        reads.pending.append(read)
        if !isRoundOut { broadcastHeartbeat(into: &effects) }
    }

    private var isAloneInQuorum: Bool { configuration.voters == [replica] && !configuration.isJoint }

    /// Whether no other leader can have been elected since the lease began: nobody who answered the round votes within
    /// a base timeout, by a clock that runs apart from this one by no more than the bound.
    private var isLeaseValid: Bool {
        guard options.readMode == .lease, options.checkQuorum, transferTarget == .none, let start = reads.leaseStart
        else { return false }
        let length = UInt64(options.electionTicks * 1000 / (1000 + options.clockDriftPermille))
        return now - start < length
    }

    // MARK: Serving

    /// Serves what a quorum's answers have confirmed, and starts a round for what came in meanwhile.
    mutating func confirmRounds(into effects: inout RaftEffects) {
        let own = replica
        let current = reads.round
        let confirmed = table.quorumReached { $0.id == own ? current : $0.answeredRound }
        guard reads.confirm(min(confirmed, current)) else { return }
        var served = 0
        while served < reads.pending.count, reads.pending[served].round <= reads.confirmedRound {
            serve(reads.pending[served], into: &effects)
            served += 1
        }
        if served == 0 { return }
        reads.pending.removeFirst(served)
        if let next = reads.pending.first, next.round > reads.round { broadcastHeartbeat(into: &effects) }
    }

    /// An entry of this term is committed: reads that waited for it start over with the commit index of now.
    mutating func releaseWaitingReads(into effects: inout RaftEffects) {
        if reads.waiting.isEmpty { return }
        let waiting = reads.waiting
        reads.waiting = []
        for read in waiting { ask(read.context, for: read.asker, needsRound: read.needsRound, into: &effects) }
    }

    private mutating func serve(_ read: ReadQueue.Read, into effects: inout RaftEffects) {
        if read.asker == replica {
            effects.emit(.readReady(context: read.context, read.index))
            return
        }
        var answer = RaftMessage(.readIndexResponse, from: replica, to: read.asker, term: term)
        answer.context = read.context
        answer.index = read.index
        send(answer, into: &effects)
    }

    /// What waits for a leadership that ended is told so.
    mutating func failReads(into effects: inout RaftEffects) {
        for read in reads.waiting + reads.pending { fail(read, into: &effects) }
        reads.waiting.removeAll(keepingCapacity: true)
        reads.pending.removeAll(keepingCapacity: true)
    }

    private mutating func fail(_ read: ReadQueue.Read, into effects: inout RaftEffects) {
        if read.asker == replica {
            effects.emit(.readFailed(context: read.context))
            return
        }
        // Without a term: it says nothing about who leads.
        var answer = RaftMessage(.readIndexResponse, from: replica, to: read.asker, term: 0)
        answer.context = read.context
        answer.isRejected = true
        send(answer, into: &effects)
    }
}
