import CordwoodBase
import CordwoodRaft

/// One core, driven by hand: what it is told, and the effects of just that.
struct CoreProbe {
    var core: RaftCore

    /// Replica 1 of `voters`, with a durable log of these terms.
    init(
        voters: [ReplicaID] = [1, 2, 3], learners: [ReplicaID] = [], log: [UInt64] = [], term: Term = 0,
        vote: ReplicaID = .none, commit: RaftIndex = 0, options: RaftOptions = Group.options(), isRestart: Bool = false
    ) throws {
        var start = RaftStart(
            replica: 1, vote: Vote(term: max(term, Term(log.last ?? 0)), candidate: vote),
            lastIndex: RaftIndex(UInt64(log.count)), commit: commit,
            configuration: GroupConfiguration(voters: voters, learners: learners), seed: 7, isRestart: isRestart)
        for (place, term) in log.enumerated() where Term(term) != start.termRuns.last?.term {
            start.termRuns.append(TermRun(first: RaftIndex(UInt64(place + 1)), term: Term(term)))
        }
        core = try RaftCore(start, options: options)
    }

    mutating func step(_ input: RaftInput) -> [RaftEffect] {
        var effects = RaftEffects()
        core.step(input, into: &effects)
        return effects.effects
    }

    mutating func tick(_ count: Int) -> [RaftEffect] { (0..<count).flatMap { _ in step(.tick) } }

    mutating func receive(_ message: RaftMessage, terms: [UInt64] = []) -> [RaftEffect] {
        var effects = RaftEffects()
        let heads = terms.map { EntryHead(term: Term($0), size: 1, type: .application) }
        core.receive(message, entries: heads.span, into: &effects)
        return effects.effects
    }

    mutating func propose(size: Int = 1, count: Int = 1) -> [RaftEffect] {
        var effects = RaftEffects()
        for _ in 0..<count { _ = core.propose(.application, size: size, into: &effects) }
        core.step(.endTurn, into: &effects)
        return effects.effects
    }

    /// Gives the replica's own waiting messages back to it, as if everything were durable now.
    mutating func settle(_ effects: [RaftEffect]) -> [RaftEffect] {
        var all = effects
        var open = effects
        while !open.isEmpty {
            var next: [RaftEffect] = []
            for effect in open {
                switch effect {
                case .append(_, _, _, let token), .persist(_, let token): next += step(.durable(token))
                case .sendAfter(_, let message) where message.to == core.replica: next += receive(message)
                default: continue
                }
            }
            all += next
            open = next
        }
        return all
    }

    /// Wins an election with the vote of replica 2; returns what the leader did first.
    mutating func lead() -> [RaftEffect] {
        _ = settle(step(.campaign))
        if core.role == .preCandidate { _ = settle(receive(answer(.preVoteResponse, from: 2, term: core.term.next))) }
        return settle(receive(answer(.voteResponse, from: 2)))
    }

    func answer(
        _ kind: RaftMessage.Kind, from: ReplicaID, term: Term? = nil, index: RaftIndex = 0, isRejected: Bool = false
    ) -> RaftMessage {
        var message = RaftMessage(kind, from: from, to: 1, term: term ?? core.term)
        message.index = index
        message.isRejected = isRejected
        return message
    }

    func append(
        from: ReplicaID = 2, term: Term, after index: RaftIndex, _ logTerm: Term, count: Int = 0, commit: RaftIndex = 0
    ) -> RaftMessage {
        var message = RaftMessage(.append, from: from, to: 1, term: term)
        message.index = index
        message.logTerm = logTerm
        message.entryCount = UInt32(count)
        message.commit = commit
        return message
    }

    func voteRequest(
        _ kind: RaftMessage.Kind = .vote, from: ReplicaID = 2, term: Term, last: RaftIndex = 0, _ lastTerm: Term = 0,
        isTransfer: Bool = false
    ) -> RaftMessage {
        var message = RaftMessage(kind, from: from, to: 1, term: term)
        message.index = last
        message.logTerm = lastTerm
        message.isTransfer = isTransfer
        return message
    }

    var logTerms: [UInt64] {
        var terms: [UInt64] = []
        var index = core.firstIndex
        while index <= core.lastPosition.index {
            terms.append(core.term(at: index)?.rawValue ?? 0)
            index = index.next
        }
        return terms
    }
}

extension [RaftEffect] {
    /// Every message, in order, whatever it waits for.
    var messages: [RaftMessage] {
        compactMap { effect in
            switch effect {
            case .send(let message), .sendAfter(_, let message), .sendAppend(let message, _),
                .sendSnapshot(let message),
                .forwardProposal(let message):
                message
            default: nil
            }
        }
    }

    func messages(_ kind: RaftMessage.Kind, to: ReplicaID? = nil) -> [RaftMessage] {
        messages.filter { $0.kind == kind && (to == nil || $0.to == to) }
    }

    var readsReady: [UInt64: RaftIndex] {
        var ready: [UInt64: RaftIndex] = [:]
        for case .readReady(let context, let index) in self { ready[context] = index }
        return ready
    }

    var handedOut: [Range<RaftIndex>] {
        compactMap { if case .apply(let range) = $0 { range } else { nil } }
    }
}
