import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft

/// Catching up, as the node does it.
extension Node {
    /// How the partition logs of a data directory are kept.
    static func partitionLogConfiguration(
        _ configuration: NodeConfiguration, _ store: SegmentedLogStore
    ) -> PartitionLogPool.Configuration {
        PartitionLogPool.Configuration(
            directory: configuration.directory + "/" + Directory.partitions, identity: store.identity,
            segmentBytes: configuration.partitionSegmentBytes, maxOpenFiles: configuration.maxOpenFiles,
            bufferBytes: configuration.partitionBufferBytes, cacheBytes: configuration.cacheBytes,
            persistAgeNanoseconds: configuration.partitionSyncAgeNanoseconds)
    }

    /// A crash may have cut an installation off behind its record: the rest is done before anything is opened.
    static func completeInstallation(
        _ configuration: NodeConfiguration, _ store: SegmentedLogStore, _ log: any LogSink, _ seams: Seams
    ) async throws(NodeError) {
        guard let installation = store.installation, store.state.health == .ok else { return }
        do throws(CatchUpError) {
            _ = try await CatchUp.complete(
                installation, store: store, directory: configuration.directory + "/" + Directory.staging,
                logs: partitionLogConfiguration(configuration, store),
                snapshots: SnapshotStore(
                    directory: configuration.directory + "/" + Directory.snapshots, seams: seams),
                log: log, seams: seams)
        } catch {
            throw .inconsistent("the installation at \(installation.boundary.index) cannot be completed: \(error)")
        }
    }

    func offerSnapshot(to peer: ReplicaID) {
        log.write(
            LogEvent(
                .warn, "raft", "a peer needs what the log no longer holds", fields: [.init("peer", "\(peer)")]))
    }

    func sendSnapshot(_ message: RaftMessage) {
        brokenInvariant("no snapshot was offered, and the core sends one: \(message)")
    }

    func install(_ position: LogPosition, _ token: DurabilityToken) {
        brokenInvariant("no snapshot was taken, and the core installs one at \(position)")
    }

    func receivedSnapshot(_ message: RaftMessage, manifest: [UInt8]) {
        log.write(
            LogEvent(.warn, "raft", "a snapshot is not taken", fields: [.init("index", "\(message.index)")]))
    }
}
