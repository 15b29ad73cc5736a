public import CordwoodBase
import CordwoodIO
public import CordwoodLog
public import CordwoodMachine
public import CordwoodRaft

/// What operators and servers ask of a running node.
extension Node {
    /// The consensus core at this moment, with the progress of every member on a leader.
    public var raftStatus: RaftStatus { core.status }

    /// The entry chain at an index, as far as it is kept in memory: equal on all replicas that have committed it.
    public func entryChain(at index: RaftIndex) -> ChainValue? { store.recentChain(at: index) }

    /// The entry at an index, with its chain. Fails with `.purged` or `.notFound` when the log does not hold it.
    public func logEntry(at index: RaftIndex) async throws(LogError) -> Entry { try await store.entry(at: index) }

    /// The partition chain at an index of a partition's log: equal on all replicas that have it persisted. `nil` when
    /// the log does not hold the record, or not yet.
    public func partitionChain(
        of partition: PartitionID, at index: PartitionLogIndex
    ) async throws(LogError) -> ChainValue? {
        guard dispatcher.has(partition) else { return nil }
        return try await partitionLogs.store(of: partition).line(at: index)?.chain
    }

    // MARK: Partitions

    public var partitionCount: Int { dispatcher.partitionCount }

    /// Returns once every partition that held something at the start is open, so that what all partitions together show
    /// is complete. One that stands still counts as open.
    public func untilWarm() async {
        while !isWarm, !isClosing { await withUnsafeContinuation { warmers.append($0) } }
    }

    /// Opens the partitions that hold something, a few at a time, beside whatever clients ask for meanwhile.
    func warmUp() {
        seams.scheduler.spawn("warm-up") { [self] in
            await machines.open(partitionLogs.lines.map(\.partition)) { [self] in !isClosing }
            isWarm = true
            let waiting = warmers
            warmers = []
            for warmer in waiting { warmer.resume() }
        }
    }

    /// The synchronous machine of a partition, opened first when it is not; `nil` when there is no such partition, it
    /// stands still before it could be opened, or its machine is asynchronous.
    public func machine(of partition: PartitionID) async -> (any PartitionStateMachine)? {
        if let machine = openMachine(of: partition) { return machine }
        guard case .synchronous(let machine)? = await machines.machine(of: partition) else { return nil }
        return machine
    }

    /// The synchronous machine of a partition if it is open, with everything that was handed to it applied.
    public func openMachine(of partition: PartitionID) -> (any PartitionStateMachine)? {
        guard case .synchronous(let machine)? = machines.openMachine(of: partition) else { return nil }
        return machine
    }

    public func isFrozen(_ partition: PartitionID) -> Bool { machines.frozenReason(of: partition) != nil }

    public func partitionStatus(of partition: PartitionID) -> PartitionStatus? {
        dispatcher.status(of: partition, nowNanoseconds: seams.clock.monotonicNanoseconds)
    }

    /// Lets a partition stand still until it is unfrozen. False when it cannot now.
    public func freeze(_ partition: PartitionID) async -> Bool { await machines.freeze(partition) }

    /// Lets a frozen partition go on where it stopped. False when it does not stand still, or when what stopped it lies
    /// in its files.
    @discardableResult
    public func unfreeze(_ partition: PartitionID) -> Bool { machines.unfreeze(partition) }

    /// Waits until partitions have applied everything up to a Raft index; all of them when none is named. Those that
    /// were not used since the start are opened for it.
    public func barrier(
        through index: RaftIndex, partitions: [PartitionID]?, timeoutNanoseconds: UInt64
    ) async -> BarrierResult {
        await machines.barrier(on: partitions, through: index, timeoutNanoseconds: timeoutNanoseconds)
    }

    /// The timestamp of the newest entry proposed here, in milliseconds since 1970.
    public var proposalMilliseconds: Int64 { lastTimestampMicroseconds / 1000 }

    // MARK: Log

    public var segments: [SegmentSummary] { store.segments }

    /// Reads the log from any thread, verified and decoded there: for exports and whoever else must not hold the loop.
    public var logReader: SegmentedLogReader { store.reader }

    /// The acknowledgement gates that were in force, oldest first, each from an index on.
    public var gates: [GateRecord] { store.gates }

    /// How much of the stream was asked to be durable and how much is.
    public var durability: DurabilityCursor { store.durability }

    public var partitionLogStatistics: PartitionLogPool.Statistics { partitionLogs.statistics }

    /// The floor, and who holds it where it is.
    public func floorReport() -> FloorReport {
        let partitionFloor = dispatcher.floor
        let covered = maintenance.checkpointCovers
        let commit = core.commitIndex
        let laggard = wantedByLaggard
        let pins = transfers.source?.pins ?? []
        let floor = min(
            partitionFloor, commit.next, laggard?.index ?? .init(.max), pins.map(\.index).min() ?? .init(.max))
        var holders: [FloorReport.Holder] = []
        if let holder = dispatcher.floorHolder, partitionFloor <= commit {
            let progress = dispatcher.progress(of: holder) ?? PartitionProgress()
            let reason: FloorReport.Holder.Reason = progress.applied < progress.persisted ? .applied : .persisted
            holders.append(.init(partition: holder, reason: reason, index: partitionFloor))
        }
        for pin in pins { holders.append(.init(replica: pin.peer, reason: .transfer, index: pin.index)) }
        if let laggard { holders.append(.init(replica: laggard.replica, reason: .replica, index: laggard.index)) }
        if holders.isEmpty { holders.append(.init(partition: nil, reason: .commit, index: commit.next)) }
        if covered.next < floor { holders.append(.init(partition: nil, reason: .checkpoint, index: covered.next)) }
        return FloorReport(
            floor: floor, durableIndex: store.durableIndex, reclaimableBytes: store.finishedBytes(below: floor),
            heldBy: holders)
    }
}
