public import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft

/// Damage in partition logs, as the node deals with it: the partition is shown as quarantined, its log is made whole
/// out of what is intact here and what others have, and it goes on. The other partitions do not notice.
extension Node {
    private static let firstPauseNanoseconds: UInt64 = 500_000_000
    private static let longestPauseNanoseconds: UInt64 = 30_000_000_000
    static let repairCallNanoseconds: UInt64 = 10_000_000_000

    /// Partitions whose logs are damaged, ascending.
    public var damagedPartitions: [PartitionDamage] { repairs.damages }

    /// Partition logs that have been made whole since the start.
    public var repairedPartitions: UInt64 { repairs.repairedPartitions }

    public var repairStatistics: RepairStatistics {
        var statistics = RepairStatistics()
        statistics.repairedPartitions = repairs.repairedPartitions
        statistics.failedAttempts = repairs.failedAttempts
        statistics.haltedPartitions = repairs.damages.count { $0.state == .halted }
        if let repair = repairs.repair?.statistics {
            statistics.fetchedBytes = repair.fetchedBytes
            statistics.salvagedBytes = repair.salvagedBytes
            statistics.damagedPieces = repair.damagedPieces
        }
        if let log = repairs.mendedLog {
            statistics.isLogRepaired = true
            statistics.fetchedEntries = log.fetchedEntries
            statistics.salvagedEntries = log.salvagedEntries
        }
        return statistics
    }

    /// Begins to listen for damage. What was found before is taken up.
    func watchForDamage() {
        partitionLogs.onDamage = { [unowned self] in foundDamage($0, "\($1)") }
        machines.onLogFailure = { [unowned self] in foundDamage($0, "\($1)") }
        for (partition, error) in partitionLogs.failures { foundDamage(partition, "\(error)") }
    }

    /// Gets ready to give and to take intact records, once there are peers.
    func openRepairs(_ transport: PeerTransport) {
        let source = RepairSource(logs: partitionLogs, store: store) { [unowned self] in
            ReplicaState(
                term: storeFailure == nil ? durableVote.term : 0,
                last: LogPosition(index: store.nextIndex.previous, term: store.lastEntry?.term ?? 0),
                commit: core.commitIndex)
        } offer: { [unowned self] peer throws(CatchUpError) in
            guard let source = transfers.source, !transfers.isInstalling, core.progress(of: peer)?.state != .snapshot
            else { throw .notReady("a snapshot is under way") }
            return try await source.offer(for: peer)
        }
        transport.services[.repair] = { [source] caller, body in
            .success(await source.serve(body, from: caller.replica))
        }
        repairs.source = source
        let staging = Self.repairStaging(configuration, store, partitionCount, log, seams)
        repairs.repair = PartitionRepair(
            logs: partitionLogs, snapshots: configuration.machines.compactsLogs ? machines.snapshots : nil,
            staging: staging, configuration: configuration.catchUp, seams: seams
        ) { peer, body throws(PeerError) in
            try await transport.call(peer, .repair, body, lane: .bulk, timeoutNanoseconds: Self.repairCallNanoseconds)
        }
        beginRepairs()
    }

    private static func repairStaging(
        _ configuration: NodeConfiguration, _ store: SegmentedLogStore, _ partitionCount: Int, _ log: any LogSink,
        _ seams: Seams
    ) -> StagingArea {
        StagingArea(
            directory: configuration.directory + "/" + Directory.repair,
            configuration: partitionLogConfiguration(configuration, store.identity), partitionCount: partitionCount,
            log: log, seams: seams)
    }

    /// A crash may have cut the exchange of a partition's files off in the middle: the rest goes over before anything
    /// is opened.
    static func finishRepairs(
        _ configuration: NodeConfiguration, _ store: SegmentedLogStore, _ live: PartitionLogPool, _ log: any LogSink,
        _ seams: Seams
    ) async throws(NodeError) {
        let staging = repairStaging(configuration, store, live.partitionCount, log, seams)
        do throws(LogError) {
            for partition in try await staging.whole.interruptedAdoptions() {
                try await live.finishAdoption(partition, from: staging.whole)
            }
        } catch { throw .log(error) }
        await staging.close()
    }

    // MARK: Finding

    private func foundDamage(_ partition: PartitionID, _ reason: String) {
        if isClosing || repairs.place(of: partition) != nil { return }
        let now = seams.clock.monotonicNanoseconds
        let damage = PartitionDamage(
            partition: partition, reason: reason, foundMicroseconds: seams.clock.wallMicroseconds,
            dueNanoseconds: now)
        let at = repairs.damages.firstIndex { $0.partition > partition } ?? repairs.damages.count
        repairs.damages.insert(damage, at: at)
        log.write(
            LogEvent(
                .error, "log", "partition log damaged",
                fields: [.init("partition", "\(partition)"), .init("reason", reason)]))
        eligibilityMayHaveChanged()
        beginRepairs()
    }

    /// Makes a partition's log whole again at an operator's word, whether or not it is known to be damaged.
    ///
    /// - Parameter preferred: whom to ask first.
    public func repair(_ partition: PartitionID, from preferred: ReplicaID? = nil) {
        foundDamage(partition, "an operator asks for it")
        note(partition) { damage in
            damage.preferred = preferred
            damage.dueNanoseconds = seams.clock.monotonicNanoseconds
        }
    }

    /// Entries of the log cannot be read any more while it is open. What is handed out needs them no longer once the
    /// partitions hold it and a checkpoint covers it: the log begins behind them then. A member that wants them gets a
    /// snapshot.
    func foundLogDamage(_ damage: Damage) {
        guard repairs.logDamage == nil, !isClosing, let last = damage.indexes?.upperBound.previous else { return }
        repairs.logDamage = damage
        log.write(
            LogEvent(.error, "log", "the log is damaged", fields: [.init("damage", "\(damage)")]))
        eligibilityMayHaveChanged()
        seams.scheduler.spawn("leave damage behind") { [self] in
            while !isClosing, storeFailure == nil, repairs.logDamage != nil {
                await leaveBehind(last)
                if repairs.logDamage != nil { await seams.clock.sleep(nanoseconds: Self.firstPauseNanoseconds) }
            }
        }
    }

    private func leaveBehind(_ last: RaftIndex) async {
        await settleUpkeep()
        guard !isClosing, !transfers.isInstalling else { return }
        do throws(LogError) {
            if store.startIndex <= last {
                try await partitionLogs.persistAll()
                guard dispatcher.floor > last, core.appliedIndex >= last, store.droppedRecords.isEmpty else { return }
                try await writeCheckpoint()
                guard maintenance.checkpointCovers >= last else { return }
                step(.compacted(through: last))
                try await store.compact(through: last, boundary: nil)
            }
            repairs.logDamage = nil
            eligibilityMayHaveChanged()
            log.write(LogEvent(.info, "log", "the log begins behind the damage", fields: [.init("index", "\(last)")]))
        } catch {
            log.write(
                LogEvent(.warn, "log", "damage is not left behind yet", fields: [.init("reason", "\(error)")]))
        }
    }

    // MARK: Standing for election

    /// Says whether this node may lead and vote. While a snapshot takes the place of the log it may not lead, nor while
    /// damage has been found that nobody has tried to mend yet: another member leads better. Its own log, by which it
    /// votes and which it would send, is whole as long as it is open: one that is not is mended before anything else
    /// (see `LogRepair`).
    ///
    /// Damage that no attempt has mended does not keep it from leading: a partition that stands still on every member
    /// must not stop the others. Under the acknowledgement gate `partition` it does, since nothing of its own passes.
    func tellEligibility(into effects: inout RaftEffects) {
        let isUntried = repairs.repair != nil && repairs.damages.contains { $0.attempts == 0 }
        let mayCampaign =
            !isRemoved && !transfers.isInstalling && !isUntried && !isGateMending && repairs.logDamage == nil
        // The last entry is in memory or durable and read at the start: by it this node votes.
        core.step(.eligibility(mayCampaign: mayCampaign, mayVote: true), into: &effects)
    }

    private func eligibilityMayHaveChanged() {
        tellEligibility(into: &effects)
        carryOut()
    }

    // MARK: Mending

    private func beginRepairs() {
        guard let repair = repairs.repair, !repairs.isRunning, !isClosing, !repairs.damages.isEmpty else { return }
        repairs.isRunning = true
        seams.scheduler.spawn("repair partitions") { [self] in
            eligibilityMayHaveChanged()
            while !isClosing, let next = repairs.damages.min(by: { $0.dueNanoseconds < $1.dueNanoseconds }) {
                let now = seams.clock.monotonicNanoseconds
                if next.dueNanoseconds > now {
                    await seams.clock.sleep(nanoseconds: min(next.dueNanoseconds - now, Self.firstPauseNanoseconds))
                } else if transfers.isInstalling {
                    await seams.clock.sleep(nanoseconds: Self.firstPauseNanoseconds)
                } else {
                    await mend(next.partition, repair)
                }
            }
            repairs.isRunning = false
            let waiting = repairs.waiters
            repairs.waiters = []
            for waiter in waiting { waiter.resume() }
        }
    }

    private func mend(_ partition: PartitionID, _ repair: PartitionRepair) async {
        note(partition) { $0.state = .repairing }
        let preferred = repairs.damages.first { $0.partition == partition }?.preferred
        let others = membership.members.map(\.replica).filter { $0 != replica }.sorted { one, other in
            one == preferred && other != preferred
        }
        do throws(RepairError) {
            if gate?.failure != nil, partitionLogs.store(of: partition).openState.failure != nil {
                // What waited for it to be persisted has been given up: only a start takes that up again.
                throw .notRepairable("nothing passes the acknowledgement gate 'partition' before the next start")
            }
            let line = try await repair.prepare(partition, from: others)
            // What a Raft snapshot puts in place is whole, and nothing is exchanged beside it.
            while transfers.isInstalling { await seams.clock.sleep(nanoseconds: 1_000_000) }
            repairs.isExchanging = true
            defer { repairs.isExchanging = false }
            try await repair.exchange(partition, endingAt: line)
            try await retake(partition, repair, from: others)
            repairs.source?.forget(partition)
            repairs.damages.removeAll { $0.partition == partition }
            repairs.repairedPartitions += 1
            eligibilityMayHaveChanged()
            if let gate {
                gate.begin()
                goOnAtGate()
            }
            log.write(
                LogEvent(
                    .info, "log", "partition log repaired",
                    fields: [
                        .init("partition", "\(partition)"),
                        .init("fetched_bytes", "\(repair.statistics.fetchedBytes)"),
                        .init("salvaged_bytes", "\(repair.statistics.salvagedBytes)"),
                    ]))
        } catch {
            failed(partition, error)
        }
    }

    private func failed(_ partition: PartitionID, _ error: RepairError) {
        let state: PartitionDamage.State =
            switch error {
            case .noIntactCopy, .diverged, .notRepairable: .halted
            case .log(.corrupt): .halted
            case .log, .io, .unreachable, .incomparable, .behindManifest, .closing: .waiting
            }
        let now = seams.clock.monotonicNanoseconds
        repairs.failedAttempts += 1
        note(partition) { damage in
            damage.state = state
            damage.attempts += 1
            damage.reason = "\(error)"
            let pause = Self.firstPauseNanoseconds << UInt64(min(damage.attempts, 8))
            damage.dueNanoseconds = now + min(pause, Self.longestPauseNanoseconds)
        }
        eligibilityMayHaveChanged()
        log.write(
            LogEvent(
                state == .halted ? .error : .warn, "log", "partition log not repaired",
                fields: [.init("partition", "\(partition)"), .init("reason", "\(error)")]))
    }

    func note(_ partition: PartitionID, _ change: (inout PartitionDamage) -> Void) {
        if let at = repairs.place(of: partition) { change(&repairs.damages[at]) }
    }

    // MARK: Closing

    /// Ends what is under way. What has been fetched stays for the next time.
    func closeRepairs() async {
        repairs.repair?.isCancelled = true
        while repairs.isRunning { await withUnsafeContinuation { repairs.waiters.append($0) } }
        await repairs.repair?.close()
    }
}
