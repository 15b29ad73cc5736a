public import CordwoodBase
internal import CordwoodIO
public import CordwoodRaft

extension PartitionLogPool {
    /// Puts the log that another pool has made of a partition in the place of this pool's: renames of whole files,
    /// durable on return. May be cut short and called again; nobody may use this pool's log of the partition before a
    /// call has returned. Without files in the other pool nothing happens.
    ///
    /// Files go over in ascending order, each in the place of the one of its name, after older ones behind the last of
    /// the new ones are gone. So the last new file says until the end where the new log ends.
    ///
    /// - Parameter line: the last record of the log that comes over, as far as it is known.
    public func adopt(
        _ partition: PartitionID, from other: PartitionLogPool, endingAt line: SystemCheckpoint.Line?
    ) async throws(LogError) {
        let source = try await other.shard(of: partition)
        guard source.segments[partition]?.isEmpty == false else { return }
        let replaced = store(of: partition)
        await replaced.lockWriting()
        defer { replaced.unlockWriting() }
        try await moveFiles(of: partition, from: other)
        forget(replaced, for: line)
    }

    /// Moves the files that another pool has of a partition. The caller writes alone in this pool's log.
    func moveFiles(of partition: PartitionID, from other: PartitionLogPool) async throws(LogError) {
        let source = try await other.shard(of: partition)
        guard let incoming = source.segments[partition], let last = incoming.last else { return }
        let given = other.store(of: partition)
        await given.lockWriting()
        defer { given.unlockWriting() }
        let target = try await shard(of: partition)
        let outgoing = target.segments[partition] ?? []
        do throws(IOError) {
            for segment in outgoing.reversed() where segment > last {
                await descriptors.forget(target.file(partition, segment))
                try await seams.files.remove(target.file(partition, segment))
            }
            if outgoing.last.map({ $0 > last }) ?? false { try await seams.files.syncDirectory(target.path) }
            for segment in incoming {
                await other.descriptors.forget(source.file(partition, segment))
                await descriptors.forget(target.file(partition, segment))
                try await seams.files.rename(source.file(partition, segment), to: target.file(partition, segment))
                source.segments[partition]?.removeAll { $0 == segment }
            }
            try await seams.files.syncDirectory(target.path)
            try await seams.files.syncDirectory(source.path)
        } catch {
            shards[Int(partition.rawValue & 255)] = nil
            other.shards[Int(partition.rawValue & 255)] = nil
            throw .unavailable("\(error)")
        }
        source.segments[partition] = nil
        target.segments[partition] = (outgoing.filter { $0 < incoming[0] } + incoming)
        other.forget(given)
    }

    /// Finishes an adoption that was cut short: see `interruptedAdoptions`.
    public func finishAdoption(_ partition: PartitionID, from other: PartitionLogPool) async throws(LogError) {
        try await adopt(partition, from: other, endingAt: store(of: partition).anchor)
    }

    /// Keeps a partition's files under other names, out of the way. Durable on return.
    func setAside(_ partition: PartitionID) async throws(LogError) {
        let shard = try await shard(of: partition)
        for segment in (shard.segments[partition] ?? []).reversed() {
            let path = shard.file(partition, segment)
            await descriptors.forget(path)
            do throws(IOError) { try await seams.files.rename(path, to: path + ".broken") } catch {
                throw .unavailable("\(error)")
            }
            shard.generation += 1
        }
        shard.segments[partition] = nil
        try await syncDirectory(of: partition)
    }

    /// The partitions of which there are files, ascending.
    public func partitionsOnDisk() async throws(LogError) -> [PartitionID] {
        var found: [PartitionID] = []
        do throws(IOError) {
            for entry in try await list(configuration.directory) where entry.isDirectory {
                for file in try await list("\(configuration.directory)/\(entry.name)") where !file.isDirectory {
                    if let name = PartitionFileName(file.name) { found.append(name.partition) }
                }
            }
        } catch { throw .unavailable("\(error)") }
        return Set(found).filter { $0.rawValue < UInt64(stores.count) }.sorted()
    }

    private func list(_ path: String) async throws(IOError) -> [DirectoryEntry] {
        do throws(IOError) { return try await seams.files.list(path) } catch {
            if error.reason == .notFound { return [] }
            throw error
        }
    }

    /// Closes every file without writing what was taken. Nothing may be asked of the pool after.
    public func abandon() async {
        for store in stores { store?.dropUnwritten() }
        await descriptors.closeAll()
        stores = Array(repeating: nil, count: stores.count)
    }
}
