public import CordwoodBase
public import CordwoodIO
public import CordwoodLog
public import CordwoodMachine
import CordwoodRaft

/// The side that is behind: fetches what a manifest names, and installs it.
///
/// `fetch` changes nothing that counts; it may be cut off at any point and goes on from there the next time, under the
/// same manifest or another. `install` begins with one record in the segmented log. Before it is durable the old state
/// is there, from then on the new one: whatever is still to be put in place then is put there when the directory is
/// opened again.
///
/// Confined to the loop; one transfer at a time.
public final class CatchUp {
    /// How far a transfer has come.
    public struct Progress: Hashable, Sendable {
        public var position: LogPosition
        public var fetchedBytes: UInt64
        public var pieces: Int
        /// Partitions that needed nothing, and that needed something.
        public var heldPartitions: Int
        public var fetchedPartitions: Int
        public var damagedPieces: Int
        /// How long pieces have been moving.
        public var nanoseconds: UInt64
    }

    /// Asks a replica's service `piece`.
    public typealias Call = (ReplicaID, [UInt8]) async throws -> [UInt8]

    private let store: SegmentedLogStore
    private let machines: SegmentedStateMachine
    private let staging: StagingArea
    private let configuration: CatchUpConfiguration
    private let call: Call
    private let log: any LogSink
    private let seams: Seams
    private var current: (fetch: SnapshotFetch, position: LogPosition, beganNanoseconds: UInt64)?
    private var last: Progress?

    /// - Parameter directory: where pieces are staged; the same for all the life of a data directory.
    public init(
        directory: String, store: SegmentedLogStore, machines: SegmentedStateMachine,
        configuration: CatchUpConfiguration, log: any LogSink, seams: Seams, call: @escaping Call
    ) {
        self.store = store
        self.machines = machines
        self.configuration = configuration
        self.call = call
        self.log = log
        self.seams = seams
        staging = StagingArea(
            directory: directory, configuration: machines.logs.configuration,
            partitionCount: machines.dispatcher.partitionCount, log: log, seams: seams)
    }

    /// The transfer under way, or the last one.
    public var progress: Progress? {
        guard let current else { return last }
        let statistics = current.fetch.statistics
        return Progress(
            position: current.position, fetchedBytes: statistics.fetchedBytes, pieces: statistics.pieces,
            heldPartitions: statistics.heldPartitions, fetchedPartitions: statistics.fetchedPartitions,
            damagedPieces: statistics.damagedPieces,
            nanoseconds: seams.clock.monotonicNanoseconds - current.beganNanoseconds)
    }

    public var isFetching: Bool { current != nil }

    /// Brings over what the manifest names and this node lacks. On return all of it is staged, verified and durable.
    ///
    /// - Parameter peers: replicas to ask, the one that made the manifest first.
    public func fetch(_ manifest: SnapshotManifest, from peers: [ReplicaID]) async throws(CatchUpError) {
        invariant(current == nil, "two transfers at a time")
        guard manifest.membership.partitionCount == machines.dispatcher.partitionCount else {
            throw .notReady(
                "the group has \(manifest.membership.partitionCount) partitions, this directory "
                    + "\(machines.dispatcher.partitionCount)")
        }
        let fetch = SnapshotFetch(
            live: machines.logs, snapshots: machines.snapshots, staging: staging, configuration: configuration,
            seams: seams,
            committed: { [machines] partition in
                (try? machines.dispatcher.tracker.committedIndex(of: partition)) ?? 0
            }, call: call)
        current = (fetch, manifest.position, seams.clock.monotonicNanoseconds)
        defer {
            last = progress
            current = nil
        }
        try await fetch.run(manifest, from: peers)
        if let progress { note(progress) }
    }

    private func note(_ progress: Progress) {
        log.write(
            LogEvent(
                .info, "node", "snapshot fetched",
                fields: [
                    .init("index", "\(progress.position.index)"), .init("bytes", "\(progress.fetchedBytes)"),
                    .init("pieces", "\(progress.pieces)"), .init("milliseconds", "\(progress.nanoseconds / 1_000_000)"),
                ]))
    }

    /// Ends the transfer under way; `fetch` throws `.cancelled`.
    public func cancel() { current?.fetch.cancel() }

    // MARK: Installing

    /// Installs a snapshot all of whose pieces have been fetched. Durable on return: the log begins behind S, every
    /// partition ends where the manifest says, and the machines go on from there.
    ///
    /// Nothing may be appended or dispatched meanwhile. When it throws, the node is to be opened anew.
    public func install(_ manifest: SnapshotManifest) async throws(CatchUpError) {
        await prepare()
        let ticket: LogTicket
        do throws(LogError) { ticket = try record(manifest) } catch {
            giveUp()
            throw .log(error)
        }
        try await complete(manifest, ticket)
    }

    /// The first step: the machines stand still on return.
    func prepare() async { await machines.suspend() }

    /// Instead of the second step: the machines go on as if nothing had been.
    func giveUp() { machines.resume() }

    /// The second step, the commit point: takes its place in the order of writes to the log, and counts once it is
    /// durable.
    func record(_ manifest: SnapshotManifest) throws(LogError) -> LogTicket {
        try store.placeInstallation(manifest.boundary, manifest: manifest.encoded())
    }

    /// The last step: what was staged goes to its place, and the machines go on from there. When it throws, the
    /// machines are not to be asked for anything any more.
    func complete(_ manifest: SnapshotManifest, _ ticket: LogTicket) async throws(CatchUpError) {
        do throws(CatchUpError) {
            let restored = try await CatchUpError.lifting {
                store.endBatch()
                try await store.waitUntilDurable(ticket)
                return try await SnapshotSwitch(
                    live: machines.logs, snapshots: machines.snapshots, staging: staging, seams: seams
                ).run(manifest)
            }
            try await CatchUpError.lifting {
                try await store.writeSystemCheckpoint(manifest.checkpoint)
                try await staging.clear()
            }
            let anew = machines.install(
                through: manifest.boundary.index, lines: manifest.lines, sessions: manifest.sessions,
                restored: restored)
            if !anew.isEmpty {
                seams.scheduler.spawn("open partitions behind a snapshot") { [machines] in await machines.open(anew) }
            }
        } catch {
            machines.abandon()
            throw error
        }
        log.write(
            LogEvent(
                .info, "node", "snapshot installed",
                fields: [
                    .init("index", "\(manifest.boundary.index)"), .init("term", "\(manifest.boundary.term)"),
                    .init("partitions", "\(manifest.partitions.count)"),
                ]))
    }

    /// Closes what is open; staged pieces stay for the next time.
    public func close() async {
        cancel()
        await staging.close()
    }

    /// Completes an installation that a crash has cut off, before anything else is opened: pieces go to their places,
    /// and a system checkpoint says what they make. Returns what was installed.
    ///
    /// - Throws: `.needsSnapshot` when pieces are lacking that the record counts on.
    public static func complete(
        _ installation: InstallRecord, store: SegmentedLogStore, directory: String,
        logs configuration: PartitionLogPool.Configuration, snapshots: SnapshotStore, log: any LogSink, seams: Seams
    ) async throws(CatchUpError) -> SnapshotManifest {
        let manifest: SnapshotManifest
        do throws(DecodeError) { manifest = try SnapshotManifest(decoding: installation.manifest) } catch {
            throw .notReady("the manifest of the installation at \(installation.boundary.index): \(error)")
        }
        let count = manifest.membership.partitionCount
        let live = PartitionLogPool(configuration: configuration, seams: seams, partitionCount: count)
        live.log = log
        let staging = StagingArea(
            directory: directory, configuration: configuration, partitionCount: count, log: log, seams: seams)
        do throws(CatchUpError) {
            // Whoever has lost all that was staged is told what is lacking, and not that there is no directory.
            do throws(IOError) { try await staging.prepare() } catch { throw .io(error) }
            _ = try await SnapshotSwitch(live: live, snapshots: snapshots, staging: staging, seams: seams)
                .run(manifest)
            try await CatchUpError.lifting {
                try await store.writeSystemCheckpoint(manifest.checkpoint)
                try await staging.clear()
            }
        } catch {
            await live.abandon()
            await staging.close()
            throw error
        }
        await live.abandon()
        log.write(
            LogEvent(
                .info, "node", "interrupted installation completed",
                fields: [.init("index", "\(manifest.boundary.index)")]))
        return manifest
    }
}
