import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft

/// The acknowledgement gate `.partition`: what is durable in the segmented log counts only as far as the partitions
/// have persisted it, for the core, for peers and for clients alike.
///
/// Votes do not pass the gate: they rest on the segmented log alone.
extension Node {
    /// The store has settled writes: logged entries go to their partitions, what was dropped is given up before.
    func forwardLogged(_ settled: DurabilityToken?) {
        if let settled { settledToken = settled }
        goOnAtGate()
    }

    /// Takes up what stands before the gate: entries came, a truncation is durable, or a partition's log was mended.
    func goOnAtGate() {
        if store.droppedRecords.isEmpty {
            takeUpLogged()
        } else if truncationSequence <= settledSequence {
            giveUpDropped()
        }
        passGate()
    }

    /// Once a partition can persist no more nothing is given to any: nothing will pass.
    private func takeUpLogged() {
        guard let gate, gate.failure == nil, gate.forwardedThrough < store.durableIndex else { return }
        gate.forward(store.recentEntries(in: gate.forwardedThrough.next..<store.durableIndex.next))
    }

    /// Acknowledges what the gate has let pass: the token of the store's last settled write, cut to it.
    func passGate() {
        guard let gate, storeFailure == nil else { return }
        let passed = min(gate.passedThrough, store.durableIndex)
        if durableWaiters > 0 { answerDurable(through: passed) }
        if let token = settledToken {
            let index = min(token.last.index, passed)
            if let term = try? store.term(at: index) {
                step(.durable(DurabilityToken(term: token.term, last: LogPosition(index: index, term: term))))
            }
        }
        releaseThroughGate(passed)
    }

    /// Messages leave when the store has settled what they rest on; an acknowledgement of which only a part has passed
    /// says so much and stays.
    func releaseThroughGate(_ passed: RaftIndex) {
        var held: [HeldMessage] = []
        var isCut = false
        for waiting in heldMessages where !isOvertaken(waiting.message) {
            var message = waiting.message
            let isAcknowledgement = message.kind == .appendResponse && !message.isRejected
            let isBeyond = isAcknowledgement && message.index > passed
            if isBeyond || waiting.sequence > settledSequence { held.append(waiting) }
            guard waiting.sequence <= settledSequence, !(isBeyond && isCut) else { continue }
            if isBeyond {
                isCut = true
                message.index = passed
            }
            deliver(message)
        }
        heldMessages = held
        carryOut()
    }

    /// Entries behind `index` were dropped from the log by the store's write of that sequence.
    func noteTruncation(after index: RaftIndex, sequence: UInt64) {
        truncationSequence = sequence
        gate?.truncate(after: index)
    }

    /// Whether the gate holds something back until a partition's log is mended.
    var isGateMending: Bool {
        guard let gate else { return false }
        return repairs.damages.contains { gate.isMending($0.partition) }
    }

    /// A log that is to be mended cannot be cut: until it is whole the records stay known as dropped.
    private var isDroppedMending: Bool {
        guard let gate else { return false }
        return store.droppedRecords.contains { gate.isMending($0.partition) }
    }

    /// Cuts the partition logs in front of what was dropped, then goes on with what replaces it.
    private func giveUpDropped() {
        guard !isGivingUp, !isDroppedMending else { return }
        isGivingUp = true
        seams.scheduler.spawn("give up dropped records") { [self] in
            do {
                while !store.droppedRecords.isEmpty, truncationSequence <= settledSequence {
                    let sequence = truncationSequence
                    try await machines.giveUp(store.droppedRecords)
                    if truncationSequence == sequence { store.forgetDroppedRecords() }
                }
            } catch {
                if !isDroppedMending { gateFailed(error) }
            }
            isGivingUp = false
            if store.droppedRecords.isEmpty { takeUpLogged() }
            passGate()
        }
    }

    /// A partition can persist nothing more, so nothing can be acknowledged any more.
    func gateFailed(_ error: any Error) { storeFailed(error as? LogError ?? .unavailable("\(error)")) }

    /// Sets the gate in motion, behind what recovery has told it.
    func openGate() {
        guard let gate else { return }
        gate.onPass = { [unowned self] in passGate() }
        gate.onFailure = { [unowned self] in gateFailed($0) }
        gate.begin()
    }

    // MARK: Opening

    /// The policy `rollback-to-partition-checkpoint`. The partition logs are looked at with a pool of its own, which
    /// has been told nothing.
    static func rollBack(
        _ store: SegmentedLogStore, _ pool: PartitionLogPool, _ log: any LogSink
    ) async throws(NodeError) {
        guard store.state.health == .ok else { return }
        do throws(PartitionRollback.Refusal) {
            let dropped = try await PartitionRollback(store, logs: pool).run()
            guard !dropped.isEmpty else { return }
            log.write(
                LogEvent(
                    .warn, "log", "rolled back to what the partitions had persisted",
                    fields: [
                        .init("first", "\(dropped.lowerBound)"),
                        .init("entries", "\(dropped.upperBound - dropped.lowerBound)"),
                    ]))
        } catch {
            switch error {
            case .outsideGate(let index, let reason): throw .rollbackRefused(index, reason)
            case .log(let error): throw .log(error)
            }
        }
        do throws(LogError) { try await pool.close() } catch { throw .log(error) }
    }

    /// Cuts the partition logs that are ahead of the log. One that cannot be cut stands still, and what was dropped
    /// stays known, so that the truncation record that says so stays, too.
    static func giveUpDropped(_ store: SegmentedLogStore, _ machines: SegmentedStateMachine, _ log: any LogSink) async {
        guard store.state.health == .ok, !store.droppedRecords.isEmpty else { return }
        do {
            try await machines.giveUp(store.droppedRecords)
            store.forgetDroppedRecords()
        } catch {
            log.write(
                LogEvent(.error, "log", "a partition log ahead is not cut", fields: [.init("reason", "\(error)")]))
        }
    }

    /// Puts the gate that is asked for in force: durable before the first acknowledgement under it.
    static func putInForce(_ gate: AckGate, _ store: SegmentedLogStore) async throws(NodeError) {
        guard store.state.health == .ok, (store.gates.last?.gate ?? .segmented) != gate else { return }
        do throws(LogError) {
            let ticket = try store.recordGate(gate)
            store.endBatch()
            try await store.waitUntilDurable(ticket)
        } catch { throw .log(error) }
    }
}
