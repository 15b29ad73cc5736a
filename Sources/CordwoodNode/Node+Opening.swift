public import CordwoodBase
public import CordwoodIO
import CordwoodLog
public import CordwoodMachine
public import CordwoodRaft

/// Opening: the log first, which is the truth; then the partitions, as far as the log is known to be committed; then
/// the core, which commits the rest by the group's rules.
extension Membership {
    /// Takes up a committed configuration entry from the log. One that does not fit has no effect.
    fileprivate mutating func take(_ entry: Entry) throws(NodeError) {
        let change: MembershipChange
        do throws(DecodeError) { change = try MembershipChange(decoding: Array(entry.payload)) } catch {
            throw .inconsistent("configuration entry \(entry.position): \(error)")
        }
        do throws(ConfigurationError) {
            apply(change, leading: try configuration.applying(change.change), at: entry.index)
        } catch { configurationIndex = entry.index }
    }
}

extension Node {
    /// Opens the node of a data directory, making the directory when it is missing. On return everything acknowledged
    /// before is there; a group of one leads, and has applied all of it.
    ///
    /// - Parameters:
    ///   - factory: makes a partition's machine when it is first needed.
    ///   - trace: takes the consensus core's trace, when `configuration.raft.traces` asks for one: what the core did,
    ///     before anything of it leaves the node.
    public static func open(
        _ configuration: NodeConfiguration, machine factory: @escaping PartitionStateMachineFactory,
        log: any LogSink = SilentLog(), trace: (([RaftTraceEvent]) -> Void)? = nil, seams: Seams
    ) async throws(NodeError) -> Node {
        try check(configuration)
        try await makeDirectories(configuration, seams)
        try await LogRepair.finish(configuration, seams)
        let entrance = try await GroupEntrance.pass(configuration, log, seams)
        let identity = entrance.map {
            StoreIdentity(cluster: $0.admission.cluster, node: $0.node, replica: $0.admission.replica)
        }
        let (store, mended) = try await openOrRepairStore(configuration, identity, log, seams)
        do throws(NodeError) {
            try await completeInstallation(configuration, store, log, seams)
            let membership = try await membership(configuration, entrance?.admission, store, seams)
            let node = try await open(configuration, membership, store, factory, log, trace, seams)
            node.repairs.mendedLog = mended
            return node
        } catch {
            await closing(store, log)
            throw error
        }
    }

    private static func check(_ configuration: NodeConfiguration) throws(NodeError) {
        if let count = configuration.partitionCount,
            !PartitionDispatcherConfiguration.partitionCounts.contains(count)
        {
            throw .configuration("\(count) partitions; allowed are \(PartitionDispatcherConfiguration.partitionCounts)")
        }
        guard configuration.tickMilliseconds > 0 else { throw .configuration("a tick of 0 ms") }
        guard configuration.idleNanoseconds >= configuration.commitDelayNanoseconds else {
            throw .configuration(
                "an idle delay of \(configuration.idleNanoseconds) ns is shorter than the commit delay of "
                    + "\(configuration.commitDelayNanoseconds) ns")
        }
        guard configuration.log.syncsBatches || configuration.peerAddress == nil && !configuration.group.meetsOthers
        else {
            throw .configuration("a node with peers cannot do without durability.sync: others count on what it holds")
        }
        guard configuration.log.syncsBatches || configuration.log.ackGate == .segmented else {
            throw .configuration("the acknowledgement gate 'partition' cannot do without durability.sync")
        }
    }

    private static func makeDirectories(
        _ configuration: NodeConfiguration, _ seams: Seams
    ) async throws(NodeError) {
        do throws(IOError) {
            try await seams.files.makeDurableDirectory(configuration.directory)
            for part in Directory.all {
                try await seams.files.makeDurableDirectory(configuration.directory + "/" + part)
            }
        } catch { throw .log(.unavailable("\(error)")) }
    }

    /// Opens the log. Where acknowledged data in it are damaged, a member of a group makes them whole first; until then
    /// it is no part of the group, so it neither votes nor leads by what it lacks.
    private static func openOrRepairStore(
        _ configuration: NodeConfiguration, _ identity: StoreIdentity?, _ log: any LogSink, _ seams: Seams
    ) async throws(NodeError) -> (SegmentedLogStore, LogRepair.Statistics?) {
        do throws(NodeError) { return (try await openStore(configuration, identity, log, seams), nil) } catch {
            guard case .log(.corrupt(let damage)) = error, damage.kind != .foreign,
                let repair = try await LogRepair.prepare(configuration, damage, log, seams)
            else { throw error }
            try await repair.run()
            return (try await openStore(configuration, identity, log, seams), repair.statistics)
        }
    }

    private static func openStore(
        _ configuration: NodeConfiguration, _ identity: StoreIdentity?, _ log: any LogSink, _ seams: Seams
    ) async throws(NodeError) -> SegmentedLogStore {
        let options = configuration.storeOptions
        do throws(LogError) {
            let store = try await SegmentedLogStore.open(
                directory: configuration.directory + "/" + Directory.log, identity: identity, options: options,
                seams: seams)
            let isNoteworthy = store.recovery.outcome != .clean
            log.write(
                LogEvent(
                    isNoteworthy ? .warn : .info, "log", "opened",
                    fields: [
                        .init("recovery", "\(store.recovery)")
                    ]))
            if !options.syncsBatches {
                log.write(
                    LogEvent(.warn, "log", "durability is relaxed: a power cut may take what was acknowledged last"))
            }
            return store
        } catch { throw .log(error) }
    }

    /// The store of a node that could not be opened; what it says then is less than what was said already.
    private static func closing(_ store: SegmentedLogStore, _ log: any LogSink) async {
        do throws(LogError) { try await store.close() } catch {
            log.write(LogEvent(.warn, "log", "not closed cleanly", fields: [.init("reason", "\(error)")]))
        }
    }

    private static func open(
        _ configuration: NodeConfiguration, _ membership: Membership, _ store: SegmentedLogStore,
        _ factory: @escaping PartitionStateMachineFactory, _ log: any LogSink,
        _ trace: (([RaftTraceEvent]) -> Void)?, _ seams: Seams
    ) async throws(NodeError) -> Node {
        let replica = store.identity.replica
        var membership = membership
        let dispatcher = PartitionDispatcher(
            configuration: PartitionDispatcherConfiguration(
                partitionCount: membership.partitionCount, members: membership.configuration.voters,
                queue: configuration.queue, decision: configuration.quorum, master: configuration.master,
                maxPinnedBytes: configuration.maxPinnedBytes ?? 8 * configuration.log.segmentBytes),
            clock: seams.clock, startingAfter: store.state.boundary.index)
        func makePool() -> PartitionLogPool {
            let pool = PartitionLogPool(
                configuration: partitionLogConfiguration(configuration, store.identity), seams: seams,
                partitionCount: membership.partitionCount, registry: store.checkpoint?.partitions ?? [])
            pool.log = log
            // A log of which only the intact prefix is served knows nothing of what partitions hold behind it.
            if store.state.health == .ok {
                pool.noteDropped(store.droppedRecords)
                pool.tailInLog = { store.partitionTail(of: $0) }
            }
            if !store.options.syncsBatches {
                pool.hardenLog = { index in
                    // Why it could not is the store's own report.
                    do throws(LogError) { try await store.harden(through: index) } catch { return false }
                    return true
                }
            }
            return pool
        }
        if configuration.recoveryPolicy == .rollbackToPartitionCheckpoint {
            try await rollBack(store, makePool(), log)
        }
        let partitionLogs = makePool()
        if store.state.health == .ok { try await finishRepairs(configuration, store, partitionLogs, log, seams) }
        let machines = SegmentedStateMachine(
            dispatcher: dispatcher, logs: partitionLogs,
            snapshots: SnapshotStore(directory: configuration.directory + "/" + Directory.snapshots, seams: seams),
            seams: seams, configuration: configuration.machines, factory: factory)
        machines.log = log

        let isGated = configuration.log.ackGate == .partition && store.state.health == .ok
        let gate =
            isGated
            ? PartitionGate(machines, startingAfter: store.state.boundary.index, seams: seams) : nil
        gate?.waitsForMending = configuration.peerAddress != nil && membership.members.count > 1
        let history = try await recover(machines, &membership, store, gate, log)
        await giveUpDropped(store, machines, log)
        try await putInForce(configuration.log.ackGate, store)
        var core: RaftCore
        do throws(RaftStartError) {
            core = try RaftCore(
                RaftStart(
                    replica: replica, vote: store.state.vote,
                    boundary: LogPosition(index: store.state.boundary.index, term: store.state.boundary.term),
                    lastIndex: store.nextIndex.previous, termRuns: store.termRuns, commit: history.commit,
                    applied: history.commit, configuration: membership.configuration,
                    configurationEntries: history.unappliedConfigurations, seed: seams.random.next(),
                    isRestart: !store.recovery.isNew), options: configuration.raftOptions)
        } catch { throw .core(error) }
        let node = Node(
            Parts(
                configuration: configuration, seams: seams, log: log, store: store, identity: store.identity,
                recovery: store.recovery, dispatcher: dispatcher, machines: machines, partitionLogs: partitionLogs,
                gate: gate, core: core, membership: membership,
                lastTimestampMicroseconds: history.lastTimestampMicroseconds))
        node.onTrace = trace
        node.core.traceStart(into: &node.effects)
        node.resume(history.uncommitted)
        try await node.meetPeers()
        if node.membership.configuration.voters == [replica] {
            await node.takeLead()
            node.becomeReady()
        } else {
            node.catchUpWithGroup()
        }
        return node
    }

    /// Who is in the group: what the newest checkpoint says, or, in a directory whose log holds nothing yet, what its
    /// entrance found out, or a group of one. It is written down before anything else.
    private static func membership(
        _ configuration: NodeConfiguration, _ admission: Admission?, _ store: SegmentedLogStore, _ seams: Seams
    ) async throws(NodeError) -> Membership {
        let membership: Membership
        if let checkpoint = store.checkpoint {
            do throws(DecodeError) { membership = try Membership(decoding: checkpoint.configuration) } catch {
                throw .inconsistent("the checkpoint's configuration cannot be read: \(error)")
            }
            try checkGroup(configuration, membership, store)
            if let wanted = configuration.partitionCount, wanted != membership.partitionCount {
                throw .configuration(
                    "\(wanted) partitions are asked for, but \(configuration.directory) was made with "
                        + "\(membership.partitionCount); the count is fixed when a directory is made")
            }
        } else {
            guard store.nextIndex == 1 else {
                throw .inconsistent("the log holds entries up to \(store.nextIndex.previous) and no system checkpoint")
            }
            membership =
                admission?.membership
                ?? .single(configuration.name, partitionCount: configuration.newPartitionCount)
        }
        do throws(LogError) {
            if store.checkpoint == nil {
                try await store.writeSystemCheckpoint(
                    SystemCheckpoint(
                        configuration: membership.encoded(), sessions: SessionTable().encoded(), routingEpoch: 1))
            }
            if let admission, admission.isFounding, store.nextIndex == 1 {
                try await store.compact(through: 1, boundary: admission.foundingBoundary)
            }
        } catch { throw .log(error) }
        if admission != nil { try await GroupEntrance.close(configuration.directory, seams) }
        return membership
    }

    /// A directory belongs to one node of one group. One that has a group of its own does not become part of another:
    /// without a word it would go on by itself and take what was meant for the others. One of another node of the group
    /// would take the place of that node's replica.
    private static func checkGroup(
        _ configuration: NodeConfiguration, _ membership: Membership, _ store: SegmentedLogStore
    ) throws(NodeError) {
        if membership.members.count > 1,
            let owner = membership.members.first(where: { $0.replica == store.identity.replica }),
            owner.name != configuration.name
        {
            throw .configuration(
                "\(configuration.directory) belongs to node '\(owner.name)' of its group, and this is node "
                    + "'\(configuration.name)': directories were exchanged, or node.name was changed")
        }
        guard configuration.log.syncsBatches || membership.members.map(\.replica) == [store.identity.replica] else {
            throw .configuration(
                "\(configuration.directory) belongs to a group of \(membership.members.count) members, which cannot do "
                    + "without durability.sync: others count on what this node holds")
        }
        guard membership.members.map(\.replica) == [store.identity.replica], configuration.group.meetsOthers else {
            return
        }
        throw .configuration(
            "\(configuration.directory) holds a group of its own, cluster \(store.identity.cluster), with this node as "
                + "its only member: it can neither found nor join another one")
    }

    /// What recovery learnt from the entries that the log retains.
    private struct History {
        var commit: RaftIndex
        /// Entries behind `commit`, which the core will commit or drop.
        var uncommitted: [Entry] = []
        var unappliedConfigurations: [RaftIndex] = []
        var lastTimestampMicroseconds: Int64 = 0
    }

    /// Forwards to the partitions again what they lack, and takes up configurations that the checkpoint does not know.
    private static func recover(
        _ machines: SegmentedStateMachine, _ membership: inout Membership, _ store: SegmentedLogStore,
        _ gate: PartitionGate?, _ log: any LogSink
    ) async throws(NodeError) -> History {
        var history = History(commit: max(store.state.commitHint, store.state.boundary.index))
        let commit = history.commit
        var changes: [Entry] = []
        do {
            let report = try await machines.recover(
                checkpoint: store.checkpoint, retained: store.startIndex..<store.nextIndex, commit: commit, gate: gate
            ) { range in
                let entries = try await store.entries(in: range, maxBytes: 4 << 20)
                for entry in entries {
                    if entry.type == .configuration { changes.append(entry) }
                    if entry.index > commit { history.uncommitted.append(entry) }
                    history.lastTimestampMicroseconds = max(
                        history.lastTimestampMicroseconds, entry.timestampMicroseconds)
                }
                return entries
            }
            log.write(
                LogEvent(
                    .info, "machine", "partitions recovered",
                    fields: [
                        .init("known", "\(report.knownPartitions)"), .init("entries", "\(report.entries)"),
                        .init("forwarded", "\(report.forwarded)"), .init("skipped", "\(report.skipped)"),
                        .init("uncommitted", "\(report.uncommitted)"), .init("opened", "\(report.openedPartitions)"),
                    ]))
        } catch let error as LogError {
            throw .log(error)
        } catch { throw .inconsistent("\(error)") }
        for entry in changes where entry.index > membership.configurationIndex {
            if entry.index > commit {
                history.unappliedConfigurations.append(entry.index)
            } else {
                try membership.take(entry)
            }
        }
        return history
    }

    /// Takes up the entries that are not known to be committed, and sets everything in motion.
    private func resume(_ uncommitted: [Entry]) {
        recovered = uncommitted
        store.keepsFrom = core.commitIndex.next
        store.onProgress = { [unowned self] in storeProgressed($0) }
        machines.onCompletion = { [unowned self] in applied($0) }
        if store.state.health == .readOnly, let damage = recovery.damage { storeFailure = .corrupt(damage) }
        // Whatever was purged was below the floor, and covered by a checkpoint first.
        maintenance.checkpointCovers = store.state.boundary.index
        // Known from a checkpoint, or from an entry that is known to be committed.
        maintenance.configurationCovered = membership.configurationIndex
        watchForDamage()
        partitionLogs.start()
        openGate()
        warmUp()
        startTicking()
        store.endBatch()
    }

    /// A group of one is led by its own vote, one durable write. It leads, and its machines have applied all that the
    /// log holds, before anyone may ask it: what was visible once is visible at once. A store that cannot be written
    /// serves what is known to be committed.
    private func takeLead() async {
        step(.campaign)
        do throws(LogError) {
            try await store.flush()
            _ = try? await readIndex()
        } catch {
            log.write(LogEvent(.warn, "raft", "does not lead", fields: [.init("reason", "\(error)")]))
        }
        await machines.settle()
    }

    /// The parts of a data directory.
    enum Directory {
        static let log = "log"
        static let partitions = "partitions"
        static let snapshots = "snapshots"
        /// Pieces of a Raft snapshot that is being fetched; made when there are any.
        static let staging = "staging"
        /// Partition logs that are being made whole; made when there are any.
        static let repair = "repair"
        static let all = [log, partitions, snapshots]
    }
}
