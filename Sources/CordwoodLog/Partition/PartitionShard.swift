internal import CordwoodBase
internal import CordwoodIO
internal import CordwoodRaft

/// One of the 256 directories of partition log files, as it was listed when it was first needed and has changed since.
final class PartitionShard {
    let path: String
    /// Segments on disk by partition, ascending.
    var segments: [PartitionID: [SegmentID]]
    /// Rises when a file is made or removed here.
    var generation: UInt64 = 0
    /// The generation that the last directory sync covers.
    var durableGeneration: UInt64 = 0

    init(path: String, segments: [PartitionID: [SegmentID]]) {
        self.path = path
        self.segments = segments
    }

    static func name(of shard: Int) -> String {
        let digits = String(shard, radix: 16)
        return digits.utf8.count < 2 ? "0" + digits : digits
    }

    func file(_ partition: PartitionID, _ segment: SegmentID) -> String {
        "\(path)/\(PartitionFileName(partition: partition, segment: segment))"
    }
}

extension PartitionLogPool {
    /// The shard of a partition, as far as it is there. A full disk has no room for the directory of one that was never
    /// used: it holds nothing then, and is made when something is written.
    func shardIfThere(of partition: PartitionID) async throws(LogError) -> PartitionShard {
        do throws(LogError) { return try await shard(of: partition) } catch {
            let path = "\(configuration.directory)/\(PartitionShard.name(of: Int(partition.rawValue & 255)))"
            guard case .noSpace = error, await isMissing(path) else { throw error }
            return PartitionShard(path: path, segments: [:])
        }
    }

    private func isMissing(_ directory: String) async -> Bool {
        do throws(IOError) { _ = try await seams.files.list(directory) } catch { return error.reason == .notFound }
        return false
    }

    /// The shard of a partition, listed on first use. Unknown files are left and reported.
    func shard(of partition: PartitionID) async throws(LogError) -> PartitionShard {
        let number = Int(partition.rawValue & 255)
        if let shard = shards[number] { return shard }
        let path = "\(configuration.directory)/\(PartitionShard.name(of: number))"
        do throws(IOError) {
            if shards.allSatisfy({ $0 == nil }) {
                try await seams.files.makeDurableDirectory(configuration.directory)
            }
            try await seams.files.makeDurableDirectory(path)
            var segments: [PartitionID: [SegmentID]] = [:]
            for entry in try await seams.files.list(path) {
                if !entry.isDirectory, let file = PartitionFileName(entry.name) {
                    segments[file.partition, default: []].append(file.segment)
                } else {
                    log.write(
                        LogEvent(
                            .warn, "log", "unknown file left alone",
                            fields: [.init("path", "\(path)/\(entry.name)")]))
                }
            }
            if let shard = shards[number] { return shard }
            let shard = PartitionShard(path: path, segments: segments.mapValues { $0.sorted() })
            shards[number] = shard
            return shard
        } catch { throw error.reason == .noSpace ? .noSpace("\(error)") : .unavailable("\(error)") }
    }

    /// Makes what was made or removed in a shard durable; what one call covers, another need not do again.
    func syncDirectory(of partition: PartitionID) async throws(LogError) {
        let shard = try await shard(of: partition)
        guard shard.durableGeneration < shard.generation else { return }
        let covered = shard.generation
        do { try await seams.files.syncDirectory(shard.path) } catch { throw writeFailure(error) }
        statisticsNow.directorySyncs += 1
        shard.durableGeneration = max(shard.durableGeneration, covered)
    }

    /// A full disk is waited for; any other failure of a write or a sync ends the log's writing.
    func writeFailure(_ error: IOError) -> LogError {
        error.reason == .noSpace ? .noSpace("\(error)") : .poisoned("\(error)")
    }

    /// Opens a partition's files, once. Records that were taken before are compared with what the files hold.
    func open(_ store: PartitionLogStore) async throws(LogError) {
        while true {
            switch store.openState {
            case .open, .readOnly: return
            case .failed(let error): throw error
            case .opening:
                await withUnsafeContinuation { store.openers.append($0) }
            case .unopened where hasEnded: throw .closed
            case .unopened:
                store.openState = .opening
                do throws(LogError) {
                    try await store.load()
                    store.openState = .open
                } catch { fail(store, error) }
                store.wakeOpeners()
            }
        }
    }
}
