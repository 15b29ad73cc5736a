import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft
import CordwoodVirtual

@testable import CordwoodNode

/// What a replica that catches up consists of: log, partitions and machines, without a core that would vote.
final class CatchUpStack {
    let store: SegmentedLogStore
    let machines: SegmentedStateMachine
    let catchUp: CatchUp
    let seams: Seams

    /// Opens a data directory as `Node.open` does, with `call` as the way to the peers.
    static func open(
        _ configuration: NodeConfiguration, seams: Seams, fetch: CatchUpConfiguration = .unlimited,
        partitionCount: Int = 32, call: @escaping CatchUp.Call
    ) async throws -> CatchUpStack {
        try await seams.files.makeDurableDirectory(configuration.directory)
        for part in Node.Directory.all {
            try await seams.files.makeDurableDirectory(configuration.directory + "/" + part)
        }
        var options = configuration.log
        options.maximumEntryBytes = configuration.maxEntryBytes
        let store = try await SegmentedLogStore.open(
            directory: configuration.directory + "/" + Node.Directory.log, options: options, seams: seams)
        try await Node.completeInstallation(configuration, store, SilentLog(), seams)
        let dispatcher = PartitionDispatcher(
            configuration: PartitionDispatcherConfiguration(partitionCount: partitionCount, members: [1, 2]),
            clock: seams.clock, startingAfter: store.state.boundary.index)
        let logs = PartitionLogPool(
            configuration: Node.partitionLogConfiguration(configuration, store.identity), seams: seams,
            partitionCount: partitionCount, registry: store.checkpoint?.partitions ?? [])
        let machines = SegmentedStateMachine(
            dispatcher: dispatcher, logs: logs,
            snapshots: SnapshotStore(
                directory: configuration.directory + "/" + Node.Directory.snapshots, seams: seams),
            seams: seams, configuration: configuration.machines, factory: TallyMachine.make)
        // Everything that such a replica takes is committed.
        let last = store.nextIndex.previous
        _ = try await machines.recover(
            checkpoint: store.checkpoint, retained: store.startIndex..<store.nextIndex, commit: last
        ) { try await store.entries(in: $0, maxBytes: 1 << 20) }
        return CatchUpStack(store, machines, configuration, fetch, seams, call)
    }

    private init(
        _ store: SegmentedLogStore, _ machines: SegmentedStateMachine, _ configuration: NodeConfiguration,
        _ fetch: CatchUpConfiguration, _ seams: Seams, _ call: @escaping CatchUp.Call
    ) {
        self.store = store
        self.machines = machines
        self.seams = seams
        catchUp = CatchUp(
            directory: configuration.directory + "/" + Node.Directory.staging, store: store, machines: machines,
            configuration: fetch, log: SilentLog(), seams: seams, call: call)
    }

    /// Takes committed entries as a follower would.
    func take(_ entries: [Entry]) async throws {
        for entry in entries {
            try machines.dispatcher.recordAppended(entry, nowNanoseconds: seams.clock.monotonicNanoseconds)
        }
        _ = try store.append(entries)
        try await store.flush()
        guard let last = entries.last?.index else { return }
        machines.dispatcher.recordLogged(through: last)
        machines.dispatcher.recordCommitted(through: last)
        store.updateCommit(last)
        machines.dispatch(entries[...])
    }

    func tallied(_ partition: PartitionID) async -> [String] {
        guard case .synchronous(let machine)? = await machines.machine(of: partition) else { return [] }
        return (machine as? TallyMachine)?.applied ?? []
    }

    func close() async throws {
        await machines.close()
        await catchUp.close()
        try await machines.logs.close()
        try await store.close()
    }
}

extension CatchUpConfiguration {
    static var unlimited: CatchUpConfiguration {
        var configuration = CatchUpConfiguration()
        configuration.bytesPerSecond = nil
        configuration.pieceBytes = 8 << 10
        configuration.partitionsAtOnce = 3
        return configuration
    }
}

/// A leader whose log has been truncated, and the manifest that it offers.
final class CatchUpSource {
    let node: Node
    let source: SnapshotSource
    var manifest: SnapshotManifest

    static let partitions: Range<UInt64> = 0..<4

    /// Opens a node, writes so many events of so many bytes in turn to four partitions, and makes a manifest.
    static func open(
        _ seams: Seams, events: Int = 200, bytes: Int = 1000, _ change: (inout NodeConfiguration) -> Void = { _ in }
    ) async throws -> CatchUpSource {
        let node = try await Node.open(
            smallNode {
                $0.directory = "source"
                change(&$0)
            }, machine: TallyMachine.make, seams: seams)
        await node.lead(seams)
        let source = SnapshotSource(
            store: node.store, machines: node.machines, configuration: .unlimited, log: SilentLog(), seams: seams,
            membership: { node.membership }, timestamp: { node.lastTimestampMicroseconds })
        try await write(events, bytes, to: node)
        return CatchUpSource(node, source, try await source.offer(for: 2))
    }

    private init(_ node: Node, _ source: SnapshotSource, _ manifest: SnapshotManifest) {
        self.node = node
        self.source = source
        self.manifest = manifest
    }

    static func write(_ events: Int, _ bytes: Int, to node: Node) async throws {
        for number in 0..<events {
            let partition = PartitionID(UInt64(number) % partitions.upperBound)
            _ = try await node.tally("\(number) " + String(repeating: "x", count: bytes), in: partition)
        }
    }

    /// Asks the source as a peer would.
    func call(_ peer: ReplicaID, _ body: [UInt8]) async throws -> [UInt8] { await source.serve(body, from: 2) }

    func tallied() async -> [[String]] {
        var all: [[String]] = []
        for partition in Self.partitions { all.append(await node.tallied(PartitionID(partition))) }
        return all
    }

    /// What each partition holds at the manifest's index.
    func talliedInManifest() async -> [[String]] {
        var all: [[String]] = []
        for partition in Self.partitions {
            let count = manifest.entry(of: PartitionID(partition))?.line.persisted.rawValue ?? 0
            all.append(Array(await node.tallied(PartitionID(partition)).prefix(Int(count))))
        }
        return all
    }
}
