import CordwoodBase
import CordwoodIO
import CordwoodMachine
import CordwoodRaft

/// Commands of clients of nodes that do not lead: passed on to the leader, answered when they are applied here, so that
/// a client reads its own writes wherever it is connected.
///
/// Whoever receives a passed-on command proposes it or refuses it, and never passes it on again: the sender looks for
/// the leader, a bounded number of times. What had left when the connection broke has an unknown outcome.
extension Node {
    /// Takes a command for the leader. Its observer hears how it ended.
    func forward(
        _ payload: [UInt8], to partition: PartitionID, _ acknowledgement: Acknowledgement, tag: UInt64,
        observer: any ProposalObserver
    ) throws(ProposalRejection) {
        guard dispatcher.has(partition) else { throw .unknownPartition(partition) }
        if forwarder.isFull { throw .busy("too many commands wait for the leader") }
        breaker.watch(core.leader, core.term)
        if breaker.state(at: maintenance.ticks) == .open { throw circuitOpen }
        forwarder.add(
            .init(
                command: ForwardedCommand(partition: partition, acknowledgement: acknowledgement, payload: payload),
                tag: tag, observer: observer,
                expiryTick: maintenance.ticks + UInt64(configuration.proposalTicks)))
        armForwarding()
    }

    private var circuitOpen: ProposalRejection {
        .circuitOpen(
            retryMilliseconds: breaker.restTicks(at: maintenance.ticks) * configuration.tickMilliseconds)
    }

    /// What failed, or was refused, because the leader fails this node.
    public var forwardingState: String { breaker.state(at: maintenance.ticks).rawValue }

    /// How often commands began to be refused for that.
    public var breakerOpenings: UInt64 { breaker.openings }

    /// A call has failed. What waits fails with it once the breaker is open.
    private func callFailed(_ leader: ReplicaID, _ term: Term) {
        breaker.watch(core.leader, core.term)
        guard leader == core.leader, term == core.term else { return }
        breaker.failed(at: maintenance.ticks)
        guard breaker.state(at: maintenance.ticks) == .open else { return }
        for waiting in forwarder.takeAll() { end(waiting, .rejected(circuitOpen)) }
    }

    func armForwarding() {
        guard !forwarder.isFlushArmed else { return }
        forwarder.isFlushArmed = true
        seams.scheduler.atEndOfTurn { [self] in
            forwarder.isFlushArmed = false
            flushForwarded()
        }
    }

    /// Sends what waits, as far as there is a leader to send it to. Called again when there is a new one, and when an
    /// answer has come.
    func flushForwarded() {
        while !forwarder.isEmpty, forwarder.callsUnderWay < ProposalForwarder.maxCallsUnderWay {
            if core.isLeader {
                for waiting in forwarder.takeAll() { proposeOwn(waiting) }
                return
            }
            guard core.leader != .none, let peers, maintenance.ticks >= forwarder.restsUntilTick,
                forwarder.refusal != .init(leader: core.leader, term: core.term)
            else { return }
            let (leader, term) = (core.leader, core.term)
            breaker.watch(leader, term)
            if breaker.state(at: maintenance.ticks) != .closed, forwarder.callsUnderWay > 0 { return }
            let batch = forwarder.takeBatch()
            forwarder.callsUnderWay += 1
            forwardedCount += UInt64(batch.count)
            seams.scheduler.spawn("forward to replica \(leader)") { [self] in
                await forward(batch, to: leader, in: term, over: peers)
                forwarder.callsUnderWay -= 1
                flushForwarded()
            }
        }
    }

    /// This node leads by now.
    private func proposeOwn(_ waiting: ProposalForwarder.Waiting) {
        do throws(ProposalRejection) {
            try propose(
                waiting.command.payload, to: waiting.command.partition,
                acknowledgement: waiting.command.acknowledgement, tag: waiting.tag, observer: waiting.observer)
        } catch { end(waiting, .rejected(error)) }
    }

    private func end(_ waiting: ProposalForwarder.Waiting, _ outcome: ProposalOutcome) {
        waiting.observer.proposalEnded(tag: waiting.tag, outcome: outcome)
    }

    private func forward(
        _ batch: [ProposalForwarder.Waiting], to leader: ReplicaID, in term: Term, over peers: PeerTransport
    ) async {
        let outcomes: [ForwardedOutcome]
        do {
            let answer = try await peers.call(
                leader, .forward, ForwardedCommand.encode(batch.map(\.command)),
                timeoutNanoseconds: UInt64(configuration.proposalTicks) * configuration.tickMilliseconds * 1_000_000)
            outcomes = try ForwardedOutcome.decode(answer)
            guard outcomes.count == batch.count else {
                throw DecodeError.invalid(field: "outcomes", value: UInt64(outcomes.count))
            }
        } catch let error as PeerError where error.hasNotLeft {
            if isClosing {
                for waiting in batch { end(waiting, .rejected(.closing)) }
                return
            }
            // It is tried again, with whoever leads then.
            forwarder.restsUntilTick = maintenance.ticks + 1
            forwarder.putBack(batch.map { $0.after(.unreachable("\(error)")) })
            return callFailed(leader, term)
        } catch {
            callFailed(leader, term)
            for waiting in batch { end(waiting, .unknown(.noAnswer("\(error)"))) }
            return
        }
        breaker.succeeded()
        await untilApplied(outcomes, batch)
        var again: [ProposalForwarder.Waiting] = []
        for (waiting, outcome) in zip(batch, outcomes) {
            switch outcome {
            case .applied(let index, let timestamp, let result):
                end(waiting, .appliedByLeader(index, timestampMicroseconds: timestamp, result))
            case .durable(let index): end(waiting, .durable(index))
            case .aborted: end(waiting, .aborted)
            case .rejected(let rejection) where rejection.kind == .notLeader: again.append(waiting)
            case .rejected(let rejection): end(waiting, .rejected(.forwarded(rejection)))
            case .unknown(let reason): end(waiting, .unknown(.byLeader(reason)))
            }
        }
        if !again.isEmpty { turnedDown(again, by: leader, in: term) }
    }

    /// Waits for another leader than the one that leads no longer.
    private func turnedDown(_ batch: [ProposalForwarder.Waiting], by leader: ReplicaID, in term: Term) {
        forwarder.refusal = .init(leader: leader, term: term)
        var again: [ProposalForwarder.Waiting] = []
        for var waiting in batch {
            waiting.hops += 1
            if waiting.hops < ProposalForwarder.maxHops {
                again.append(waiting.after(.notLeader(leader)))
            } else {
                end(waiting, .rejected(.tooManyHops("\(waiting.hops) nodes were asked, and none led any longer")))
            }
        }
        forwarder.putBack(again)
    }

    /// The partitions that the commands went to have applied them here, too. One that stands still is not waited for.
    private func untilApplied(_ outcomes: [ForwardedOutcome], _ batch: [ProposalForwarder.Waiting]) async {
        var last = RaftIndex(0)
        var partitions: Set<PartitionID> = []
        for (waiting, outcome) in zip(batch, outcomes) {
            guard case .applied(let index, _, _) = outcome else { continue }
            last = max(last, index)
            partitions.insert(waiting.command.partition)
        }
        guard !partitions.isEmpty else { return }
        _ = await barrier(
            through: last, partitions: partitions.sorted(),
            timeoutNanoseconds: configuration.tickMilliseconds * 10 * 1_000_000)
    }

    /// With every tick: whoever has waited too long hears so, and what had no leader is tried again.
    func tickForwarding() {
        for waiting in forwarder.takeExpired(at: maintenance.ticks) {
            switch waiting.lastFailure {
            case nil: end(waiting, .rejected(.notLeader(nil)))
            case .unreachable(let reason): end(waiting, .rejected(.unreachable(reason)))
            case .notLeader(let leader): end(waiting, .rejected(.notLeader(leader)))
            }
        }
        if !forwarder.isEmpty { flushForwarded() }
    }

    // MARK: As the leader

    /// Proposes what another node passes on, in its order, and answers when all of it has ended.
    func serveForwarded(_ body: [UInt8], from peer: ReplicaID) async -> PeerAnswer {
        let commands: [ForwardedCommand]
        do throws(DecodeError) { commands = try ForwardedCommand.decode(body) } catch {
            return .refused(code: MemberOperationError.malformedCode, "\(error)")
        }
        let batch = ForwardedBatch(count: commands.count)
        for (place, command) in commands.enumerated() {
            await propose(command, at: place, of: batch)
        }
        let outcomes = await batch.untilEnded()
        // Its client is answered when it has applied them itself.
        sendCommitNotice(to: peer)
        return .success(ForwardedOutcome.encode(outcomes))
    }

    /// Waits for room as a client of this node would, for as long as somebody waits for the answer.
    private func propose(_ command: ForwardedCommand, at place: Int, of batch: ForwardedBatch) async {
        let lastTick = maintenance.ticks + UInt64(configuration.proposalTicks / 2)
        while true {
            guard core.isLeader else {
                return batch.end(place, .rejected(ForwardRejection(kind: .notLeader, text: "")))
            }
            do throws(ProposalRejection) {
                try propose(
                    command.payload, to: command.partition, acknowledgement: command.acknowledgement,
                    tag: UInt64(place), observer: batch)
                batch.timestamps[place] = lastTimestampMicroseconds
                return
            } catch {
                let rejection = ForwardRejection(error)
                guard rejection.kind == .busy, maintenance.ticks < lastTick, !isClosing else {
                    return batch.end(place, .rejected(rejection))
                }
            }
            await seams.clock.sleep(nanoseconds: Self.roomCheckNanoseconds)
        }
    }

    private static let roomCheckNanoseconds: UInt64 = 1_000_000
}

/// The commands of one message, as their leader proposes them.
final class ForwardedBatch: ProposalObserver {
    private var outcomes: [ForwardedOutcome?]
    private var remaining: Int
    private var continuation: UnsafeContinuation<Void, Never>?
    var timestamps: [Int64]

    init(count: Int) {
        outcomes = Array(repeating: nil, count: count)
        timestamps = Array(repeating: 0, count: count)
        remaining = count
    }

    func proposalEnded(tag: UInt64, outcome: ProposalOutcome) {
        let place = Int(tag)
        switch outcome {
        case .applied(let index, let result):
            end(place, .applied(index, timestampMicroseconds: timestamps[place], result))
        case .appliedByLeader(let index, let timestamp, let result):
            end(place, .applied(index, timestampMicroseconds: timestamp, result))
        case .durable(let index): end(place, .durable(index))
        case .buffered: brokenInvariant("a command of another node was answered before it was durable")
        case .aborted: end(place, .aborted)
        case .rejected(let rejection): end(place, .rejected(ForwardRejection(rejection)))
        case .unknown(let reason): end(place, .unknown("\(reason)"))
        }
    }

    func end(_ place: Int, _ outcome: ForwardedOutcome) {
        guard outcomes[place] == nil else { return }
        outcomes[place] = outcome
        remaining -= 1
        if remaining == 0 { continuation?.resume() }
    }

    func untilEnded() async -> [ForwardedOutcome] {
        if remaining > 0 { await withUnsafeContinuation { continuation = $0 } }
        return outcomes.map { $0 ?? .unknown("it never ended") }
    }
}
