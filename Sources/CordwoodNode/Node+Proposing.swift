public import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft

/// Taking proposals into the log, and answering those who wait for them.
extension Node {
    /// Proposes one command for one partition. On return it is in the log's memory and will be written with the turn's
    /// batch; a rejection has consumed nothing. The observer hears once how it ended, never from inside this call.
    ///
    /// On a node that does not lead and has peers it is passed on to the leader; there is no position then.
    ///
    /// - Parameters:
    ///   - tag: the observer's own name for the proposal.
    ///   - acknowledgement: which event ends it.
    @discardableResult
    public func propose(
        _ payload: [UInt8], to partition: PartitionID, acknowledgement: Acknowledgement = .quorum,
        tag: UInt64, observer: any ProposalObserver
    ) throws(ProposalRejection) -> LogPosition? {
        let answer = payload.withUnsafeBytes { bytes -> Result<LogPosition?, ProposalRejection> in
            do throws(ProposalRejection) {
                return .success(
                    try propose(bytes, to: partition, acknowledgement: acknowledgement, tag: tag, observer: observer))
            } catch { return .failure(error) }
        }
        return try answer.get()
    }

    /// The same for bytes that lie somewhere: they are copied before the call returns.
    @discardableResult
    public func propose(
        _ payload: UnsafeRawBufferPointer, to partition: PartitionID, acknowledgement: Acknowledgement = .quorum,
        tag: UInt64, observer: any ProposalObserver
    ) throws(ProposalRejection) -> LogPosition? {
        if isClosing { throw .closing }
        switch acknowledgement {
        case .quorum: break
        case .durable: if !configuration.log.syncsBatches { throw .unsyncedDurability }
        case .buffered: if !allowsBuffered { throw .relaxedDurability }
        }
        if !core.isLeader, peers != nil {
            try forward([UInt8](payload), to: partition, acknowledgement, tag: tag, observer: observer)
            return nil
        }
        if let storeFailure { throw rejection(for: storeFailure) }
        guard payload.count <= configuration.maxEntryBytes else {
            throw .tooLarge(bytes: payload.count, limit: configuration.maxEntryBytes)
        }
        if machines.frozenCount > 0, machines.frozenReason(of: partition) != nil { throw .frozen(partition) }
        armTurn()
        let admission: PartitionAdmission
        do throws(AdmissionError) {
            admission = try dispatcher.admit(partition, byteCount: payload.count, nowNanoseconds: turnNanoseconds)
        } catch {
            if case .partitionMissing(let missing) = error { throw .unknownPartition(missing) }
            if case .pinned = error, machines.frozenReason(of: partition) != nil { throw .frozen(partition) }
            throw .admission(error)
        }
        let framedBytes = payload.count + Node.framingBytes
        if framedBytes > turnRoomBytes { turnRoomBytes = store.admissibleBytes ?? 0 }
        guard framedBytes <= turnRoomBytes else { throw noPlace(partition, payload.count) }
        let position: LogPosition
        switch core.propose(.application, size: payload.count, into: &effects) {
        case .accepted(let accepted): position = accepted
        case .acceptedAsEmpty, .forwarded:
            brokenInvariant("a command was answered as only a configuration change or a follower's proposal can be")
        case .refused(let refusal): throw rejection(for: refusal)
        }
        let slices = EntrySlices.one(
            EntrySlice(
                partition: partition, partitionIndex: admission.partitionIndex,
                previousRaftIndex: admission.previousRaftIndex, offset: 0, length: UInt32(payload.count)))
        do throws(DispatchError) {
            try dispatcher.recordAppended(position.index, position.term, slices, nowNanoseconds: turnNanoseconds)
        } catch { brokenInvariant("admitted entry \(position): \(error)") }
        turnRoomBytes -= framedBytes
        turnPayloads.append(payload, forEntry: turnEntries.count)
        turnEntries.append(
            Entry(
                index: position.index, term: position.term, type: .application,
                timestampMicroseconds: turnMicroseconds, slices: slices))
        proposals.insert(
            ProposalTable.Waiter(
                term: position.term, tag: tag, acknowledgement: acknowledgement,
                expiryTick: maintenance.ticks + UInt64(configuration.proposalTicks), observer: observer),
            at: position.index)
        switch acknowledgement {
        case .quorum: break
        case .durable: durableWaiters += 1
        case .buffered: bufferedIndexes.append(position.index)
        }
        carryOut()
        return position
    }

    private func rejection(for refusal: ProposalRefusal) -> ProposalRejection {
        switch refusal {
        case .notLeader(let leader): .notLeader(leader == .none ? nil : leader)
        case .notMember: .notLeader(nil)
        case .transferring: .busy("leadership is being transferred")
        case .overloaded: .busy("too many uncommitted bytes")
        case .poisoned: .poisoned(storeFailure.map { "\($0)" } ?? "the store failed")
        }
    }

    private func rejection(for failure: LogError) -> ProposalRejection {
        switch failure {
        case .corrupt(let damage): .readOnly("\(damage)")
        default: .poisoned("\(failure)")
        }
    }

    /// The end of a turn: what was proposed in it becomes one batch.
    func armTurn() {
        guard !isTurnArmed else { return }
        isTurnArmed = true
        turnRoomBytes = store.admissibleBytes ?? 0
        turnNanoseconds = seams.clock.monotonicNanoseconds
        turnMicroseconds = stamp()
        seams.scheduler.atEndOfTurn { [self] in
            isTurnArmed = false
            step(.endTurn)
            endBatchWhenDue()
            if !bufferedIndexes.isEmpty { answerBuffered() }
        }
    }

    /// Lets the turn's batch go, or waits for more entries first, as configured. Behind a pause nothing is likely to
    /// join it, and it does not wait.
    private func endBatchWhenDue() {
        guard configuration.commitDelayNanoseconds > 0 else { return store.endBatch() }
        let pause = turnNanoseconds - lastTurnNanoseconds
        lastTurnNanoseconds = turnNanoseconds
        guard !isBatchDelayed else { return }
        if pause >= configuration.idleNanoseconds { return store.endBatch() }
        isBatchDelayed = true
        _ = seams.clock.schedule(
            atNanoseconds: seams.clock.monotonicNanoseconds + configuration.commitDelayNanoseconds
        ) { [weak self] in
            self?.isBatchDelayed = false
            self?.store.endBatch()
        }
    }

    /// The leader's timestamp: the wall clock, but never behind the last one.
    func stamp() -> Int64 {
        lastTimestampMicroseconds = max(lastTimestampMicroseconds, seams.clock.wallMicroseconds)
        return lastTimestampMicroseconds
    }

    /// A partition has applied an entry; whoever proposed it hears what came of it.
    func applied(_ completion: ApplyCompletion) {
        guard let waiter = proposals.take(completion.raftIndex, term: completion.term) else { return }
        waiter.observer.proposalEnded(
            tag: waiter.tag, outcome: .applied(completion.raftIndex, completion.outcome))
    }

    /// Whether a proposal may be answered before it is durable: in a group of one, where it counts toward no quorum.
    public var allowsBuffered: Bool { membership.configuration.voters == [replica] }

    /// The turn's entries are in the log: who asked for no more is answered.
    private func answerBuffered() {
        let indexes = bufferedIndexes
        bufferedIndexes.removeAll(keepingCapacity: true)
        for index in indexes {
            guard let waiter = proposals.take(index, asking: .buffered) else { continue }
            waiter.observer.proposalEnded(tag: waiter.tag, outcome: .buffered(index))
        }
    }

    func answerDurable(through index: RaftIndex) {
        while answeredDurable < index, durableWaiters > 0 {
            answeredDurable = answeredDurable.next
            guard let waiter = proposals.takeDurable(answeredDurable) else { continue }
            durableWaiters -= 1
            waiter.observer.proposalEnded(tag: waiter.tag, outcome: .durable(answeredDurable))
        }
        answeredDurable = max(answeredDurable, index)
    }
}

extension Node {
    /// Proposes a command and returns how it ended. Waits while the log prepares room for it; refuses when the disk has
    /// none.
    public func propose(_ payload: [UInt8], to partition: PartitionID) async throws(ProposalRejection)
        -> ProposalOutcome
    {
        while isCongested(for: payload.count), !store.isSpaceShort, storeFailure == nil, !isClosing {
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                whenRelieved { continuation.resume() }
            }
        }
        let waiter = ProposalWaiter()
        try propose(payload, to: partition, tag: 0, observer: waiter)
        return await waiter.outcome()
    }
}

/// One proposal as something that a task can wait for.
private final class ProposalWaiter: ProposalObserver {
    private var ended: ProposalOutcome?
    private var continuation: UnsafeContinuation<ProposalOutcome, Never>?

    func proposalEnded(tag: UInt64, outcome: ProposalOutcome) {
        ended = outcome
        continuation?.resume(returning: outcome)
    }

    func outcome() async -> ProposalOutcome {
        if let ended { return ended }
        return await withUnsafeContinuation { continuation = $0 }
    }
}
