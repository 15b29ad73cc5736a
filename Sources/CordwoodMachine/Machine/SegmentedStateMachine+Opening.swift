public import CordwoodBase
internal import CordwoodIO
internal import CordwoodLog

/// Opening lanes: newest usable snapshot, then the partition's log from there on.
///
/// A snapshot at i is usable once the partition log holds everything up to i durably, has at i what the snapshot says,
/// and i has been handed over. A damaged one is passed over for an older one, which costs a longer replay and nothing
/// else.
extension SegmentedStateMachine {
    /// Lanes that read snapshots and logs at one time.
    private static let openingSlots = 16
    /// Of these, what one caller who wants many lanes open takes.
    private static let openingsAtOnce = 8

    func beginOpening(_ lane: PartitionLane) {
        guard !isRecovering, !isClosed, !isSuspended else { return }
        lane.state = .opening
        toOpen.append(lane)
        openNext()
    }

    func openNext() {
        while !isSuspended, openingCount < Self.openingSlots, toOpenHead < toOpen.count {
            let lane = toOpen[toOpenHead]
            toOpenHead += 1
            guard lane.state == .opening else { continue }
            openingCount += 1
            activeCount += 1
            seams.scheduler.spawn("open partition \(lane.partition)") {
                await self.open(lane)
                self.openingCount -= 1
                self.openNext()
                self.finishTask()
            }
        }
        if toOpenHead == toOpen.count {
            toOpen.removeAll()
            toOpenHead = 0
        }
    }

    /// Opens those of the partitions named that hold something and nobody has used yet, and returns once they are open
    /// or stand still, or soon after nobody wants them any more. A few are asked for at a time, so that a partition
    /// that somebody else asks for never waits behind all of them.
    public func open(_ partitions: [PartitionID], while isWanted: @escaping () -> Bool = { true }) async {
        var next = partitions.makeIterator()
        func openRest() async {
            while !isClosed, isWanted(), let partition = next.next() {
                guard isUnopened(partition) else { continue }
                _ = await machine(of: partition)
            }
        }
        var remaining = Self.openingsAtOnce
        await withUnsafeContinuation { (done: UnsafeContinuation<Void, Never>) in
            for _ in 0..<Self.openingsAtOnce {
                seams.scheduler.spawn("open several partitions") {
                    await openRest()
                    remaining -= 1
                    if remaining == 0 { done.resume() }
                }
            }
        }
    }

    /// Whether a partition holds something that its machine, not being open yet, has not applied.
    private func isUnopened(_ partition: PartitionID) -> Bool {
        guard dispatcher.has(partition) else { return false }
        switch lanes[Int(partition.rawValue)]?.state {
        case nil: return logs.store(of: partition).writtenIndex > 0
        case .closed, .opening: return true
        case .idle, .draining, .meeting, .frozen, .retired: return false
        }
    }

    private func open(_ lane: PartitionLane) async {
        do { try await lane.log.open() } catch {
            freeze(lane, "partition log: \(error)")
            return
        }
        guard lane.state == .opening, await restoreMachine(lane) else { return }
        await joinMeetings(lane)
        guard lane.state == .opening else { return }
        beginDraining(lane)
        lane.resumeWaiters()
    }

    private func restoreMachine(_ lane: PartitionLane) async -> Bool {
        if await restoreSnapshot(lane, isFresh: false) { return true }
        // Frozen by what went wrong: whoever unfreezes it opens it anew, and this opening has ended.
        guard lane.state == .opening else { return false }
        // A snapshot that came from elsewhere may not have been there when the directory was listed.
        if lane.log.startIndex > 1, await restoreSnapshot(lane, isFresh: true) { return true }
        guard lane.state == .opening else { return false }
        guard lane.log.startIndex == 1 else {
            freeze(lane, "needs-snapshot: the log begins at \(lane.log.startIndex) and no snapshot reaches it")
            return false
        }
        do {
            adopt(try makeMachine(lane), lane, nil, stateBytes: 0)
            return true
        } catch {
            freeze(lane, "machine cannot be made: \(error)")
            return false
        }
    }

    /// Restores the newest snapshot that is usable; false when there is none.
    private func restoreSnapshot(_ lane: PartitionLane, isFresh: Bool) async -> Bool {
        let found: [SnapshotHeader]
        do { found = try await snapshots.list(lane.partition, isFresh: isFresh) } catch {
            freeze(lane, "snapshots: \(error)")
            return false
        }
        for header in found where header.index.rawValue <= lane.handed && header.index <= lane.log.persistedIndex {
            do {
                guard try await agrees(header, with: lane.log) else {
                    report(lane, .warn, "snapshot at \(header.index) is not of this log, passed over")
                    continue
                }
                guard let snapshot = try await snapshots.read(lane.partition, header.index) else {
                    report(lane, .warn, "snapshot at \(header.index) is damaged, passed over")
                    continue
                }
                let machine = try makeMachine(lane)
                try await restore(machine, snapshot.state)
                guard lane.state == .opening else { return false }
                adopt(machine, lane, snapshot.header, stateBytes: snapshot.state.count)
                return true
            } catch { report(lane, .warn, "snapshot at \(header.index) cannot be restored: \(error)") }
        }
        return false
    }

    private func agrees(_ header: SnapshotHeader, with log: PartitionLogStore) async throws -> Bool {
        guard header.index >= log.startIndex else { return header.index.next >= log.startIndex }
        let line = try await log.line(at: header.index)
        return line?.raftIndex == header.raftIndex && line?.chain == header.chain
    }

    private func makeMachine(_ lane: PartitionLane) throws -> AnyPartitionStateMachine {
        let partition = lane.partition
        return try factory(
            MachineContext(
                partition: partition, log: PartitionLogReader(lane.log),
                derived: MachineFiles(partition: partition, snapshots: snapshots),
                watermark: { [dispatcher] in dispatcher.watermark(of: partition) },
                report: { [weak self] line in self?.report(partition, .info, line) }))
    }

    private func restore(_ machine: AnyPartitionStateMachine, _ state: [UInt8]) async throws {
        switch machine {
        case .synchronous(let machine): try machine.restore(state)
        case .asynchronous(let machine): try await seams.scheduler.offload { try await machine.restore(state) }
        }
    }

    private func adopt(
        _ machine: AnyPartitionStateMachine, _ lane: PartitionLane, _ header: SnapshotHeader?, stateBytes: Int
    ) {
        lane.machine = machine
        if case .synchronous(let inline) = machine { lane.inline = inline }
        lane.applied = header?.index.rawValue ?? 0
        lane.position = LogPosition(index: header?.raftIndex ?? 0, term: header?.term ?? 0)
        lane.eventCount = header?.eventCount ?? 0
        lane.lastSnapshotBytes = stateBytes
        guard let header else { return }
        do {
            try dispatcher.restoreApplied(
                lane.partition, header.index, raftIndex: header.raftIndex, eventCount: header.eventCount)
        } catch { brokenInvariant("\(error)") }
    }

    /// Entries of several partitions that this one had written before a restart were decided then: the others learn it.
    private func joinMeetings(_ lane: PartitionLane) async {
        for raft in meetings.keys.sorted() {
            guard let at = meetings[raft]?.participants.firstIndex(where: { $0.partition == lane.partition }),
                let index = meetings[raft]?.participants[at].index, index <= lane.log.writtenIndex
            else { continue }
            do {
                let record = try await lane.log.records(from: index, maxCount: 1, maxBytes: 0).first
                meetings[raft]?.verdict = record?.verdict ?? .undecided
                meetings[raft]?.participants[at].hasArrived = true
                settleMeeting(raft)
            } catch { freeze(lane, "partition log: \(error)") }
        }
    }

    // MARK: For operators

    /// Lets a partition stand still between two records until it is unfrozen: what is visible can be read, nothing more
    /// is applied. False when there is no such partition, or when it waits for other participants of an entry.
    public func freeze(_ partition: PartitionID) async -> Bool {
        guard await machine(of: partition) != nil, let lane = lanes[Int(partition.rawValue)] else { return false }
        switch lane.state {
        case .idle: freeze(lane, Self.frozenByOperator)
        case .draining: lane.wantsFreeze = true
        case .frozen: break
        case .closed, .opening, .meeting, .retired: return false
        }
        while lane.wantsFreeze, lane.state == .draining { await withUnsafeContinuation { lane.waiters.append($0) } }
        if case .frozen = lane.state { return true }
        lane.wantsFreeze = false
        return false
    }

    /// Lets a frozen partition go on where it stopped. False when it is not frozen, or when what stopped it lies in its
    /// files and only a restart can read them again.
    @discardableResult
    public func unfreeze(_ partition: PartitionID) -> Bool {
        guard partition.rawValue < UInt64(lanes.count), let lane = lanes[Int(partition.rawValue)],
            case .frozen = lane.state
        else { return false }
        if lane.log.openState.failure != nil { return false }
        frozenCount -= 1
        report(lane, .info, "partition unfrozen")
        if lane.machine == nil { beginOpening(lane) } else { beginDraining(lane) }
        return true
    }

    /// Lets lanes finish what they are doing, and stops. Nothing is applied after.
    public func close() async {
        isClosed = true
        while activeCount > 0 {
            await withUnsafeContinuation { continuation in idlers.append { continuation.resume() } }
        }
        for lane in lanes { lane?.resumeWaiters() }
    }
}

/// A partition log as its machine sees it.
final class PartitionLogReader: PartitionLogReading {
    private let log: PartitionLogStore

    init(_ log: PartitionLogStore) { self.log = log }

    var startIndex: PartitionLogIndex { log.startIndex }

    var nextIndex: PartitionLogIndex { log.nextIndex }

    func commands(from index: PartitionLogIndex, maxCount: Int, maxBytes: Int) async throws -> [PartitionCommand] {
        try await log.records(from: index, maxCount: maxCount, maxBytes: maxBytes).map { record in
            PartitionCommand(
                partition: log.partition, partitionIndex: record.position.partitionIndex,
                raftIndex: record.position.raftIndex, term: record.position.term,
                timestampMicroseconds: record.position.timestampMicroseconds, payload: record.payload)
        }
    }
}
