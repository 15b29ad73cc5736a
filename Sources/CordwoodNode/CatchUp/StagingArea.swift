import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine

/// Where pieces lie until they count: partition logs and machine snapshots in the form in which they are used, under
/// names that nobody else looks at.
///
///     whole/<shard>/<partition>-<segment>.log     a log that takes the place of the one that is there
///     suffix/<shard>/<partition>-<segment>.log    a log that begins where the one that is there ends
///     snapshots/<shard>/<partition>-<index>.snapshot, and .snapshot.part while it comes over
///
/// What lies here needs no list: each file says and proves what it is. So whatever interrupted a transfer, the next
/// one goes on from what is there, whichever manifest it follows.
final class StagingArea {
    let directory: String
    private let configuration: PartitionLogPool.Configuration
    private let partitionCount: Int
    private let seams: Seams

    private(set) var whole: PartitionLogPool
    private(set) var suffix: PartitionLogPool
    private(set) var snapshots: SnapshotStore

    /// - Parameter configuration: of the partition logs that the pieces are for.
    init(
        directory: String, configuration: PartitionLogPool.Configuration, partitionCount: Int, log: any LogSink,
        seams: Seams
    ) {
        var configuration = configuration
        configuration.cacheBytes = min(configuration.cacheBytes, 4 << 20)
        configuration.maxOpenFiles = min(configuration.maxOpenFiles, 256)
        configuration.batchBytes = max(configuration.batchBytes, 1 << 20)
        // Large writes one behind the other: the page cache would only cost a copy.
        configuration.isDirect = true
        self.directory = directory
        self.configuration = configuration
        self.partitionCount = partitionCount
        self.seams = seams
        (whole, suffix, snapshots) = Self.parts(directory, configuration, partitionCount, seams)
        whole.log = log
        suffix.log = log
    }

    private static func parts(
        _ directory: String, _ configuration: PartitionLogPool.Configuration, _ partitionCount: Int, _ seams: Seams
    ) -> (PartitionLogPool, PartitionLogPool, SnapshotStore) {
        func pool(_ name: String) -> PartitionLogPool {
            var configuration = configuration
            configuration.directory = "\(directory)/\(name)"
            return PartitionLogPool(configuration: configuration, seams: seams, partitionCount: partitionCount)
        }
        return (pool("whole"), pool("suffix"), SnapshotStore(directory: "\(directory)/snapshots", seams: seams))
    }

    /// Makes the directory that everything lies in.
    func prepare() async throws(IOError) { try await seams.files.makeDurableDirectory(directory) }

    /// Closes what is open; what lies here stays.
    func close() async {
        await whole.abandon()
        await suffix.abandon()
    }

    /// Removes everything.
    func clear() async throws(IOError) {
        let log = whole.log
        await close()
        for part in ["whole", "suffix", "snapshots"] {
            let path = "\(directory)/\(part)"
            for shard in try await names(in: path) where shard.isDirectory {
                for file in try await names(in: "\(path)/\(shard.name)") where !file.isDirectory {
                    try await seams.files.remove("\(path)/\(shard.name)/\(file.name)")
                }
            }
        }
        (whole, suffix, snapshots) = Self.parts(directory, configuration, partitionCount, seams)
        whole.log = log
        suffix.log = log
    }

    private func names(in path: String) async throws(IOError) -> [DirectoryEntry] {
        do throws(IOError) { return try await seams.files.list(path) } catch {
            if error.reason == .notFound { return [] }
            throw error
        }
    }
}
