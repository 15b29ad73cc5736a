import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft

/// Driving the core: inputs in, effects out, each carried out in the order in which the core emitted it.
///
/// The core never waits. What must be durable before something else happens is a token: it is kept beside the ticket of
/// the store's write and comes back to the core when the store says that the ticket is settled.
extension Node {
    /// A write that the core asked for and the store has not settled.
    struct PendingWrite {
        var sequence: UInt64
        var token: DurabilityToken
        /// When it was issued.
        var tick: UInt64
        /// What was recorded, if it was a vote.
        var vote: Vote?
    }

    /// A message that leaves, or comes back to this replica, when everything up to a write is durable.
    struct HeldMessage {
        var sequence: UInt64
        var message: RaftMessage
    }

    /// One input, and everything that follows from it.
    func step(_ input: RaftInput) {
        core.step(input, into: &effects)
        carryOut()
    }

    /// Carries out what the core asked for, until it asks for nothing more. Effects may give the core new inputs: they
    /// are taken up in turn, never from inside another effect.
    func carryOut() {
        guard !isCarryingOut else { return }
        isCarryingOut = true
        defer { isCarryingOut = false }
        while !effects.effects.isEmpty {
            swap(&effects, &effectsInHand)
            if !effectsInHand.trace.isEmpty { onTrace?(effectsInHand.trace) }
            for effect in effectsInHand.effects { carryOut(effect) }
            effectsInHand.removeAll()
        }
        entriesInHand = []
    }

    private func carryOut(_ effect: RaftEffect) {
        switch effect {
        case .append(let range, let replaces, let source, let token):
            write(range, replaces: replaces, source: source, token)
        case .persist(let vote, let token):
            do throws(LogError) {
                pendingWrites.append(
                    PendingWrite(
                        sequence: try store.recordVote(vote).sequence, token: token, tick: maintenance.ticks,
                        vote: vote))
                armTurn()
            } catch { storeFailed(error) }
        case .sendAfter(_, let message): hold(message)
        case .send(let message): send(message)
        case .sendAppend(let message, let ticket): sendAppend(message, ticket: ticket)
        case .sendSnapshot(let message): sendSnapshot(message)
        case .forwardProposal(let message):
            brokenInvariant("the core of replica \(replica) passes a proposal on: \(message)")
        case .read(let ticket, let peer, let from, let maxBytes):
            readForPeer(ticket, peer, from: from, maxBytes: maxBytes)
        case .needSnapshot(let peer): offerSnapshot(to: peer)
        case .install(let position, let token): install(position, token)
        case .apply(let range):
            dispatch(range)
        case .readReady(let context, let index):
            endRead(context, .success(index))
        case .readFailed(let context):
            endRead(context, .failure(.notLeader(nil)))
        case .roleChanged(let role, let term, let leader):
            roleChanged(role, term, leader: leader)
        case .configurationChanged:
            membership.configuration = core.configuration
            dispatcher.updateMembership(core.configuration.voters)
            tellPeers()
        case .proposalsAborted(let range, let term):
            for waiter in proposals.takeAll(in: range, term: term) {
                waiter.observer.proposalEnded(tag: waiter.tag, outcome: .aborted)
            }
            changeWaiters.end(in: range, term: term)
        }
    }

    private func write(_ range: Range<RaftIndex>, replaces: Bool, source: AppendSource, _ token: DurabilityToken) {
        switch source {
        case .proposals:
            turnPayloads.attach(to: &turnEntries)
            invariant(
                turnEntries.first?.index == range.lowerBound && turnEntries.last?.index == range.upperBound.previous,
                "the core writes \(range), and the turn's proposals are \(turnEntries.map(\.position))")
        case .termStart:
            takeOwn(
                Entry(index: range.lowerBound, term: token.term, type: .noOperation, timestampMicroseconds: stamp()))
        case .leaveJoint:
            takeOwn(
                Entry(index: range.lowerBound, term: token.term, type: .configuration, timestampMicroseconds: stamp()))
        case .message:
            invariant(turnEntries.isEmpty, "received \(range) beside own proposals \(turnEntries.map(\.position))")
            turnEntries = takeIncoming(range, replaces: replaces)
        }
        do throws(LogError) {
            let ticket =
                replaces
                ? try store.replaceSuffix(from: range.lowerBound, with: turnEntries) : try store.append(turnEntries)
            if replaces { noteTruncation(after: range.lowerBound.previous, sequence: ticket.sequence) }
            pendingWrites.append(PendingWrite(sequence: ticket.sequence, token: token, tick: maintenance.ticks))
            armTurn()
        } catch { storeFailed(error) }
        turnEntries.removeAll(keepingCapacity: true)
    }

    /// An entry that the core made itself.
    func takeOwn(_ entry: Entry) {
        do throws(DispatchError) {
            try dispatcher.recordAppended(entry, nowNanoseconds: seams.clock.monotonicNanoseconds)
        } catch { brokenInvariant("entry \(entry.position) of the core: \(error)") }
        turnEntries.append(entry)
    }

    // MARK: Durability

    /// The store's durable position moved, or it failed.
    func storeProgressed(_ progress: LogProgress) {
        if let failure = progress.failure { return storeFailed(failure) }
        tellEvicted()
        dispatcher.recordLogged(through: progress.durableIndex)
        var settled: DurabilityToken?
        while let write = pendingWrites.first, write.sequence <= progress.sequence {
            pendingWrites.removeFirst()
            settled = write.token
            if let vote = write.vote { durableVote = vote }
        }
        settledSequence = max(settledSequence, progress.sequence)
        if gate != nil {
            forwardLogged(settled)
        } else {
            if durableWaiters > 0 { answerDurable(through: progress.durableIndex) }
            if let settled { step(.durable(settled)) }
            releaseHeldMessages()
        }
        releaseVoteRequests()
        upkeepIfGrown()
    }

    /// A write or sync failed: nothing more is acknowledged, voted or written until the store is reopened. What was
    /// accepted is not taken back; nobody can say what becomes of it.
    func storeFailed(_ error: LogError) {
        guard storeFailure == nil else { return }
        storeFailure = error
        log.write(LogEvent(.error, "log", "the store takes no more writes", fields: [.init("reason", "\(error)")]))
        step(.storePoisoned)
        for waiter in proposals.takeAll() {
            waiter.observer.proposalEnded(tag: waiter.tag, outcome: .unknown(.storeFailed("\(error)")))
        }
        durableWaiters = 0
    }

    // MARK: Commit and dispatch

    /// Hands committed entries out in log order. Dispatch never waits for a machine.
    private func dispatch(_ range: Range<RaftIndex>) {
        dispatcher.recordCommitted(through: core.commitIndex)
        store.updateCommit(core.commitIndex)
        var rest = range
        if let last = recovered.last, range.lowerBound <= last.index {
            let end = min(range.upperBound, last.index.next)
            let first = Int(range.lowerBound - recovered[0].index)
            dispatch(recovered[first..<first + Int(end - range.lowerBound)])
            if end > last.index { recovered = [] }
            rest = end..<range.upperBound
        }
        if !rest.isEmpty { dispatch(store.recentEntries(in: rest)) }
        keepRecent(from: range.upperBound)
        core.step(.applied(range.upperBound.previous), into: &effects)
    }

    private func dispatch(_ entries: ArraySlice<Entry>) {
        for at in entries.indices where entries[at].type == .configuration { applyConfiguration(entries[at]) }
        machines.dispatch(entries)
    }

    private func applyConfiguration(_ entry: Entry) {
        let change: MembershipChange
        do throws(DecodeError) { change = try MembershipChange(decoding: Array(entry.payload)) } catch {
            brokenInvariant("configuration entry \(entry.position): \(error)")
        }
        var outcome: ConfigurationError?
        do throws(ConfigurationError) {
            let before = membership
            try core.applyConfiguration(change.change, at: entry.index, into: &effects)
            membership.apply(change, leading: core.configuration, at: entry.index)
            onMembershipChange?(before, membership)
            lookForOwnRemoval()
            recordConfiguration()
        } catch {
            // Every replica comes to the same verdict: the change has no effect anywhere.
            outcome = error
            log.write(
                LogEvent(
                    .warn, "raft", "a configuration change does not fit and changes nothing",
                    fields: [.init("index", "\(entry.index)"), .init("reason", "\(error)")]))
        }
        changeWaiters.end(entry.position, outcome)
    }

    private func roleChanged(_ role: RaftRole, _ term: Term, leader: ReplicaID) {
        log.write(
            LogEvent(
                .info, "raft", "role changed",
                fields: [
                    .init("role", "\(role)"), .init("term", "\(term)"), .init("leader", "\(leader)"),
                ]))
        // Waiters of the old leadership keep waiting for their own entries; new ones take their places.
        if role != .leader { proposals.strand() }
        if !forwarder.isEmpty { armForwarding() }
        lookForOwnRemoval()
        if leader != .none, leader != lastLeader {
            if lastLeader != .none { leaderChanges += 1 }
            lastLeader = leader
        }
        onRoleChange?(role)
    }
}
