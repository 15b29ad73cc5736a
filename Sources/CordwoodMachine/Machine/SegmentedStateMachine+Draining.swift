internal import CordwoodBase
internal import CordwoodIO
internal import CordwoodLog

/// The tasks behind a lane: applying what has been handed over, asking again, freezing, meeting.
extension SegmentedStateMachine {
    /// Takes an idle lane and applies in a task what has been handed over. Completions that fall together start one
    /// task.
    func beginDraining(_ lane: PartitionLane, after failure: (any Error)? = nil) {
        lane.state = .draining
        activeCount += 1
        seams.scheduler.spawn("apply partition \(lane.partition)") {
            await self.drain(lane, after: failure)
            self.finishTask()
        }
    }

    func finishTask() {
        activeCount -= 1
        guard activeCount == 0 else { return }
        let resumed = idlers
        idlers.removeAll()
        for idler in resumed { idler() }
    }

    private func drain(_ lane: PartitionLane, after failure: (any Error)?) async {
        if let failure {
            guard let record = await next(lane, 1)?.first, await applyAgain(record, lane, after: failure) else {
                return
            }
        }
        while lane.state == .draining, !isClosed {
            if isSuspended {
                lane.state = .idle
                break
            }
            if lane.wantsFreeze { return freeze(lane, Self.frozenByOperator) }
            if lane.wantsSnapshot { await takeSnapshot(lane) }
            guard lane.state == .draining else { return }
            guard lane.applied < lane.handed else {
                lane.state = .idle
                lane.resumeWaiters()
                return
            }
            guard let records = await next(lane, configuration.drainCount) else { return }
            for record in records where !isSuspended && !lane.wantsFreeze {
                guard await apply(record, lane) else { return }
            }
            lane.resumeWaiters()
            await yieldTurn()
        }
        lane.resumeWaiters()
    }

    /// Records behind the last one applied; `nil` when they cannot be read, and then the lane is frozen.
    private func next(_ lane: PartitionLane, _ maxCount: Int) async -> [PartitionLogRecord]? {
        let count = Int(min(UInt64(maxCount), lane.handed - lane.applied))
        do {
            let records = try await lane.log.records(
                from: PartitionLogIndex(lane.applied + 1), maxCount: count, maxBytes: 4 << 20)
            if !records.isEmpty { return records }
            freeze(lane, "record \(lane.applied + 1) is not in the partition log")
        } catch { freeze(lane, "partition log: \(error)") }
        return nil
    }

    /// Applies one record. False when the lane is not to go on.
    private func apply(_ record: PartitionLogRecord, _ lane: PartitionLane) async -> Bool {
        switch lane.log.bufferedVerdict(at: record.partitionIndex) ?? record.verdict {
        case .undecided:
            arrive(record, lane)
            return false
        case .refused:
            complete(
                lane, record, ApplyOutcome(refused: true),
                refusal: record.position.type == .multiPartition ? .objection : .sessionNotOpen)
            return true
        case .apply:
            do {
                let outcome = try await run(lane, command(record, lane.partition))
                guard lane.state != .retired else { return false }
                complete(lane, record, outcome)
                return lane.state == .draining
            } catch { return await applyAgain(record, lane, after: error) }
        }
    }

    private func run(_ lane: PartitionLane, _ command: PartitionCommand) async throws -> ApplyOutcome {
        switch lane.machine {
        case .synchronous(let machine): return try machine.apply(command)
        case .asynchronous(let machine):
            return try await seams.scheduler.offload { try await machine.apply(command) }
        case nil: brokenInvariant("partition \(lane.partition) applies without a machine")
        }
    }

    /// Asks a machine that threw again, with growing pauses, until it applies the record or the attempts are used up.
    /// The record takes effect once, however often it was tried.
    private func applyAgain(
        _ record: PartitionLogRecord, _ lane: PartitionLane, after failure: any Error
    ) async -> Bool {
        report(lane, .warn, "attempt 1 of \(configuration.applyAttempts) failed: \(failure)")
        await seams.clock.sleep(nanoseconds: configuration.retryNanoseconds)
        guard lane.state == .draining, !isClosed,
            let outcome = await attempt(lane, record, from: 2, run(_:_:)), lane.state == .draining
        else { return false }
        complete(lane, record, outcome)
        return lane.state == .draining
    }

    /// Lets whatever else is ready have its turn.
    private func yieldTurn() async {
        await withUnsafeContinuation { continuation in
            seams.scheduler.atEndOfTurn { continuation.resume() }
        }
    }

    // MARK: Freezing

    /// Stops a partition until an operator lets it go on. The others do not notice.
    func freeze(_ lane: PartitionLane, _ reason: String) {
        switch lane.state {
        case .frozen, .retired: return
        default: break
        }
        lane.state = .frozen(reason)
        lane.wantsFreeze = false
        frozenCount += 1
        report(lane, .error, "partition frozen: \(reason)")
        lane.resumeWaiters()
        onFrozen?(lane.partition, reason)
    }

    func report(_ lane: PartitionLane, _ level: LogLevel, _ message: String) {
        report(lane.partition, level, message)
    }

    func report(_ partition: PartitionID, _ level: LogLevel, _ message: String) {
        log.write(LogEvent(level, "machine", message, fields: [.init("partition", "\(partition)")]))
    }

    // MARK: Entries of several partitions

    /// A participant has come to the entry. The last one to come starts the decision.
    private func arrive(_ record: PartitionLogRecord, _ lane: PartitionLane) {
        let raft = record.position.raftIndex
        lane.state = .meeting(raft)
        guard let at = meetings[raft]?.participants.firstIndex(where: { $0.partition == lane.partition }) else {
            freeze(lane, "entry \(raft) of several partitions has no other participant")
            return
        }
        meetings[raft]?.participants[at].hasArrived = true
        settleMeeting(raft)
    }

    /// Starts the decision when everybody is there, or when it was taken before a restart.
    func settleMeeting(_ raft: RaftIndex) {
        guard let meeting = meetings[raft], meeting.isComplete else { return }
        meetings[raft] = nil
        activeCount += 1
        seams.scheduler.spawn("entry \(raft) of \(meeting.participants.count) partitions") {
            await self.hold(meeting, raft)
            self.finishTask()
        }
    }

    /// Every participant is asked; if all agree each applies, otherwise all record the refusal. Their watermarks pass
    /// together.
    private func hold(_ meeting: Meeting, _ raft: RaftIndex) async {
        let arrived = meeting.participants.filter { lanes[Int($0.partition.rawValue)]?.state == .meeting(raft) }
        var records: [(lane: PartitionLane, record: PartitionLogRecord)] = []
        for participant in arrived {
            let lane = lane(of: participant.partition)
            guard let record = lane.log.bufferedRecord(at: participant.index) else {
                freeze(lane, "record \(participant.index) left the buffer undecided")
                continue
            }
            records.append((lane, record))
        }
        var objection: ApplyOutcome?
        if meeting.verdict == .refused { objection = ApplyOutcome(refused: true) }
        if meeting.verdict == .undecided {
            for (lane, record) in records where objection == nil {
                switch await attempt(lane, record, objection(_:_:)) {
                case .some(let answer): objection = answer
                case nil:
                    adjourn(meeting, raft)
                    return
                }
            }
        }
        for (lane, record) in records { lane.log.decide(record.partitionIndex, isRefused: objection != nil) }
        var outcomes: [ApplyOutcome?] = []
        for (lane, record) in records {
            if let objection {
                outcomes.append(objection)
            } else {
                outcomes.append(await attempt(lane, record, run(_:_:)))
            }
        }
        for ((lane, record), outcome) in zip(records, outcomes) {
            guard let outcome, lane.state != .retired else { continue }
            var told = outcome
            if objection != nil { told.refused = true }
            complete(lane, record, told, refusal: objection == nil ? nil : .objection)
        }
        for (lane, _) in records where lane.state == .meeting(raft) { beginDraining(lane) }
    }

    private func objection(_ lane: PartitionLane, _ command: PartitionCommand) async throws -> ApplyOutcome? {
        switch lane.machine {
        case .synchronous(let machine): return try machine.objection(to: command)
        case .asynchronous(let machine):
            return try await seams.scheduler.offload { try await machine.objection(to: command) }
        case nil: brokenInvariant("partition \(lane.partition) meets without a machine")
        }
    }

    /// A participant was frozen before it could answer: the others wait until it comes to the entry again.
    private func adjourn(_ meeting: Meeting, _ raft: RaftIndex) {
        var meeting = meeting
        for at in meeting.participants.indices {
            let lane = lanes[Int(meeting.participants[at].partition.rawValue)]
            meeting.participants[at].hasArrived = lane?.state == .meeting(raft)
        }
        meetings[raft] = meeting
    }

    /// Asks a participant's machine, again with growing pauses when it throws; `nil` when that froze it.
    private func attempt<Answer>(
        _ lane: PartitionLane, _ record: PartitionLogRecord, from first: Int = 1,
        _ ask: (PartitionLane, PartitionCommand) async throws -> Answer
    ) async -> Answer? {
        var attempt = first
        var pause = configuration.retryNanoseconds << UInt64(first - 1)
        while true {
            do { return try await ask(lane, command(record, lane.partition)) } catch {
                guard attempt < configuration.applyAttempts, !isClosed else {
                    freeze(lane, "record \(record.partitionIndex) failed: \(error)")
                    return nil
                }
                report(lane, .warn, "attempt \(attempt) of \(configuration.applyAttempts) failed: \(error)")
            }
            attempt += 1
            await seams.clock.sleep(nanoseconds: pause)
            pause = min(pause * 2, 1_000_000_000)
        }
    }
}
