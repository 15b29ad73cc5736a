import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft

/// What goes on beside the writes: time for the core, the floor, checkpoints, compaction, and the room on the disk.
extension Node {
    struct Maintenance {
        var timer: TimerToken?
        var ticks: UInt64 = 0
        /// Bytes of the log from the floor on, when upkeep last looked.
        var heldBytes: UInt64 = 0
        /// Durable bytes of the stream when upkeep last began.
        var durableBytes: UInt64 = 0
        /// A round of upkeep is under way.
        var isRunning = false
        /// The log's end when upkeep last looked.
        var lastIndex: RaftIndex = 0
        /// Every entry at or below this index is covered by a durable system checkpoint.
        var checkpointCovers: RaftIndex = 0
        /// The newest configuration that a durable system checkpoint holds.
        var configurationCovered: RaftIndex = 0
        var waiters: [UnsafeContinuation<Void, Never>] = []
    }

    /// Ticks between two rounds of upkeep.
    private static let upkeepTicks: UInt64 = 5
    /// So many entries that no checkpoint covers are worth one while the log rests.
    private static let entriesWorthACheckpoint: UInt64 = 256

    func startTicking() {
        maintenance.timer = seams.clock.schedule(
            atNanoseconds: seams.clock.monotonicNanoseconds + configuration.tickMilliseconds * 1_000_000
        ) { [self] in
            guard !isClosing else { return }
            noteTick()
            maintenance.ticks += 1
            step(.tick)
            // What the core wrote in this turn goes out with it.
            store.endBatch()
            expireWaiters()
            watchDisk()
            watchTransfers()
            if maintenance.ticks % Node.upkeepTicks == 0 { beginUpkeep() }
            startTicking()
        }
    }

    /// Whoever has waited for so long that waiting on makes no sense hears that nothing is known.
    private func expireWaiters() {
        let now = maintenance.ticks
        if !proposals.isEmpty {
            for waiter in proposals.takeExpired(at: now) {
                waiter.observer.proposalEnded(tag: waiter.tag, outcome: .unknown(.timedOut))
            }
        }
        tickForwarding()
        tickReports()
        changeWaiters.expire(at: now)
        for context in reads.expired(at: now) { endRead(context, .failure(.notLeader(nil))) }
    }

    /// Begins a round of upkeep early when the log has grown by half a segment since the last one.
    func upkeepIfGrown() {
        let durableBytes = store.durability.durableBytes
        if durableBytes - maintenance.durableBytes > configuration.log.segmentBytes / 2 { beginUpkeep() }
    }

    private func beginUpkeep() {
        guard !maintenance.isRunning, !isClosing, storeFailure == nil, !transfers.isInstalling else { return }
        maintenance.durableBytes = store.durability.durableBytes
        maintenance.isRunning = true
        seams.scheduler.spawn("upkeep") { [self] in
            await upkeep()
            maintenance.isRunning = false
            let waiters = maintenance.waiters
            maintenance.waiters = []
            for waiter in waiters { waiter.resume() }
            recordConfiguration()
        }
    }

    /// Writes down a configuration as soon as it is in force. A replica that comes back with an older one asks voters
    /// of then for their votes, and one of them may be gone for good.
    func recordConfiguration() {
        if !isConfigurationRecorded { beginUpkeep() }
    }

    /// The configuration in force is one that a restart finds.
    public var isConfigurationRecorded: Bool { membership.configurationIndex <= maintenance.configurationCovered }

    /// Waits until no round of upkeep is under way.
    func settleUpkeep() async {
        while maintenance.isRunning { await withUnsafeContinuation { maintenance.waiters.append($0) } }
    }

    private func upkeep() async {
        do throws(IOError) {
            dispatcher.updateFreeBytes(try await seams.files.freeBytes(configuration.directory))
        } catch {
            log.write(LogEvent(.warn, "node", "free space unknown", fields: [.init("reason", "\(error)")]))
        }
        store.prepareSpace()
        relieve()
        do throws(LogError) {
            try await raiseFloor()
        } catch { storeFailed(error) }
    }

    /// Lets segments go that nobody needs: the partitions' floor first, then a checkpoint that covers what is below it,
    /// then the boundary, then the bytes.
    private func raiseFloor() async throws(LogError) {
        let floor = dispatcher.floor
        // Known to about a MiB only: nothing is held when everything committed is persisted and applied.
        maintenance.heldBytes = floor > core.commitIndex ? 0 : dispatcher.pinnedBytes(from: floor)
        if maintenance.heldBytes > 2 * configuration.log.segmentBytes { partitionLogs.hastenAll() }
        if deservesCheckpoint(floor) || !isConfigurationRecorded { try await writeCheckpoint() }
        let kept = min(floor, wantedByLaggard?.index ?? floor, transfers.source?.floor() ?? floor)
        // While partition files hold what was dropped, the truncation that says so must stay.
        guard store.droppedRecords.isEmpty else { return }
        guard let reclaimable = store.lastFinishedIndex(below: kept), reclaimable >= store.startIndex else { return }
        if maintenance.checkpointCovers < reclaimable { try await writeCheckpoint() }
        let through = min(reclaimable, maintenance.checkpointCovers)
        guard through >= store.startIndex else { return }
        // The core first: what the store drops is out of memory at once, and must not be sent any more.
        step(.compacted(through: through))
        try await store.compact(through: through, boundary: nil)
        try await store.raiseFloor(to: through.next)
    }

    /// True when the log rests, everything in it is committed, persisted and applied, and a start would have to look at
    /// many entries to find that out again. Once that is written down it is false until the log has grown as much
    /// again: a node at rest writes nothing.
    private func deservesCheckpoint(_ floor: RaftIndex) -> Bool {
        let last = store.nextIndex.previous
        defer { maintenance.lastIndex = last }
        return last == maintenance.lastIndex && floor > last && core.appliedIndex == last
            && last >= maintenance.checkpointCovers + Self.entriesWorthACheckpoint
    }

    /// Writes what a restart must know besides the entries above the floor.
    func writeCheckpoint() async throws(LogError) {
        // Sessions and configuration are those of what is dispatched, so entries above the floor are told again: both
        // take an entry that they know for what it is.
        let floor = dispatcher.floor
        let covered = min(floor.previous, core.appliedIndex)
        let lines: [SystemCheckpoint.Line]
        do { lines = try await machines.committedLines() } catch {
            throw error as? LogError ?? .unavailable("\(error)")
        }
        let configurationIndex = membership.configurationIndex
        try await store.writeSystemCheckpoint(
            SystemCheckpoint(
                configuration: membership.encoded(), sessions: machines.encodedSessions(floor: floor), routingEpoch: 1,
                partitions: lines))
        maintenance.checkpointCovers = max(maintenance.checkpointCovers, covered)
        maintenance.configurationCovered = max(maintenance.configurationCovered, configurationIndex)
    }

    // MARK: Congestion

    /// True while a proposal would find no prepared place: the next segment is being made, or the partitions' buffers
    /// are full. A caller that can wait does so and is told by `whenRelieved`; a proposal made all the same is
    /// refused.
    public var isCongested: Bool { isCongested(for: configuration.maxEntryBytes) }

    func isCongested(for byteCount: Int) -> Bool {
        partitionLogs.isSaturated || isFloorBehind || proposals.count >= Node.maxWaitingProposals
            || !hasRoom(forFramed: byteCount + Node.framingBytes)
    }

    private func hasRoom(forFramed byteCount: Int) -> Bool {
        isTurnArmed && byteCount <= turnRoomBytes || store.canAdmit(bytes: byteCount)
    }

    /// True when partitions that are only waiting to be persisted hold back as much of the log as they may.
    private var isFloorBehind: Bool { maintenance.heldBytes > dispatcher.configuration.maxPinnedBytes }

    /// Calls `body` once, on the loop, when the node is not congested any more.
    public func whenRelieved(_ body: @escaping () -> Void) {
        relief.append(body)
        watchForRelief()
    }

    /// Tells those who wait, if there is room again. Some of them may find that it is not enough, and wait on.
    func relieve() {
        guard !relief.isEmpty, !isCongested || store.isSpaceShort || storeFailure != nil || isClosing else { return }
        let waiting = relief
        relief = []
        for body in waiting { body() }
    }

    private func watchForRelief() {
        guard !isWatchingForRelief else { return }
        isWatchingForRelief = true
        _ = seams.clock.schedule(atNanoseconds: seams.clock.monotonicNanoseconds + 1_000_000) { [self] in
            isWatchingForRelief = false
            relieve()
            if !relief.isEmpty { watchForRelief() }
        }
    }

    /// Why an admitted proposal has no place in the log.
    func noPlace(_ partition: PartitionID, _ byteCount: Int) -> ProposalRejection {
        if store.isSpaceShort {
            return .admission(.noSpace(partition, neededBytes: UInt64(byteCount), availableBytes: 0))
        }
        return .busy("the next segment is being prepared")
    }

    static let framingBytes = 256
    private static let maxWaitingProposals = 1 << 17
}
