package import CordwoodBase
package import CordwoodIO
package import CordwoodLog
package import CordwoodMachine
import CordwoodRaft

/// One replica of a subject with the engine's own log, partitions, snapshots and dispatch below it, and no consensus:
/// what is durable in its log is committed.
package final class MachineReplica {
    package static let partitionCount = 3
    package static let directory = "replica"

    package let store: SegmentedLogStore
    package let machines: SegmentedStateMachine
    private let seams: Seams

    /// - Parameter complete: does what an installation that was cut off has left to do, before anything is opened.
    package static func open(
        _ subject: MachineSubject, _ seams: Seams, complete: (SegmentedLogStore) async throws -> Void = { _ in }
    ) async throws -> MachineReplica {
        try await seams.files.makeDurableDirectory(directory)
        for part in ["log", "partitions", "snapshots"] {
            try await seams.files.makeDurableDirectory("\(directory)/\(part)")
        }
        let store = try await SegmentedLogStore.open(
            directory: "\(directory)/log", identity: SegmentedLogStoreFactory.identity,
            options: SegmentedLogStoreFactory.smallSegments, seams: seams)
        try await complete(store)
        let replica = MachineReplica(subject, store, seams)
        _ = try await replica.machines.recover(
            checkpoint: store.checkpoint, retained: store.startIndex..<store.nextIndex, commit: store.nextIndex.previous
        ) { try await store.entries(in: $0, maxBytes: 1 << 20) }
        return replica
    }

    private init(_ subject: MachineSubject, _ store: SegmentedLogStore, _ seams: Seams) {
        self.store = store
        self.seams = seams
        let dispatcher = PartitionDispatcher(
            configuration: PartitionDispatcherConfiguration(
                partitionCount: MachineReplica.partitionCount, members: [1]),
            clock: seams.clock, startingAfter: store.state.boundary.index)
        var configuration = SegmentedStateMachine.Configuration()
        configuration.compactsLogs = true
        machines = SegmentedStateMachine(
            dispatcher: dispatcher,
            logs: PartitionLogPool(
                configuration: MachineReplica.logs(of: store), seams: seams,
                partitionCount: MachineReplica.partitionCount,
                registry: store.checkpoint?.partitions ?? []),
            snapshots: MachineReplica.snapshots(seams), seams: seams,
            configuration: configuration, factory: subject.make)
    }

    package static func logs(of store: SegmentedLogStore) -> PartitionLogPool.Configuration {
        var logs = PartitionLogPool.Configuration(directory: "\(directory)/partitions", identity: store.identity)
        logs.segmentBytes = 64 << 10
        return logs
    }

    package static func snapshots(_ seams: Seams) -> SnapshotStore {
        SnapshotStore(directory: "\(directory)/snapshots", seams: seams)
    }

    // MARK: Work

    /// Appends a command of one partition. The entry may be durable from now on.
    package func begin(_ payload: [UInt8], in partition: PartitionID) throws -> RaftIndex {
        let index = store.nextIndex
        let admission = try machines.dispatcher.admit(
            partition, byteCount: payload.count, nowNanoseconds: seams.clock.monotonicNanoseconds)
        let entry = Entry(
            index: index, term: 1, type: .application, timestampMicroseconds: Int64(index.rawValue) * 1000,
            slices: .one(
                EntrySlice(
                    partition: partition, partitionIndex: admission.partitionIndex,
                    previousRaftIndex: admission.previousRaftIndex, offset: 0, length: UInt32(payload.count))),
            payload: payload)
        try machines.dispatcher.recordAppended(entry, nowNanoseconds: seams.clock.monotonicNanoseconds)
        _ = try store.append([entry])
        return index
    }

    /// Makes durable what was begun, and has it applied.
    package func settle() async throws {
        try await store.flush()
        let last = store.nextIndex.previous
        let first = machines.dispatchedThrough.next
        machines.dispatcher.recordLogged(through: last)
        machines.dispatcher.recordCommitted(through: last)
        store.updateCommit(last)
        if first <= last { machines.dispatch(try await store.entries(in: first..<last.next, maxBytes: nil)[...]) }
        _ = await machines.barrier(through: last, timeoutNanoseconds: 60_000_000_000)
    }

    /// Persists the partitions, writes a system checkpoint, and frees of the log what nobody needs.
    package func checkpoint() async throws {
        try await machines.logs.persistAll()
        let floor = machines.dispatcher.floor
        try await store.writeSystemCheckpoint(
            SystemCheckpoint(
                sessions: machines.encodedSessions(floor: floor), routingEpoch: 1, partitions: machines.logs.lines))
        if floor > store.startIndex { try await store.compact(through: floor.previous, boundary: nil) }
        try await store.raiseFloor(to: floor)
    }

    /// The state of each partition's machine; `nil` of one that stands still.
    package func states() async throws -> [[UInt8]?] {
        _ = await machines.barrier(through: store.nextIndex.previous, timeoutNanoseconds: 60_000_000_000)
        var states: [[UInt8]?] = []
        for number in 0..<MachineReplica.partitionCount {
            let partition = PartitionID(UInt64(number))
            let machine = await machines.machine(of: partition)
            if machines.frozenReason(of: partition) != nil {
                states.append(nil)
                continue
            }
            switch machine {
            case .synchronous(let machine)?: states.append(try machine.snapshot())
            case .asynchronous(let machine)?: states.append(try await machine.snapshot())
            case nil: states.append(nil)
            }
        }
        return states
    }

    /// Why a partition stands still, if one does.
    package var frozenReasons: [String] {
        machines.frozenPartitions.map { "partition \($0): \(machines.frozenReason(of: $0) ?? "")" }
    }

    package func close() async throws {
        await machines.close()
        try await machines.logs.close()
        try await store.close()
    }
}
