import CordwoodIO

/// A faulty disk as one life of a machine sees it. After the next power cut it is dead: whoever still calls it waits
/// for ever, as code of a machine without power does.
final class Mount: FileSystem {
    private let disk: FaultyDisk
    private let generation: Int

    init(_ disk: FaultyDisk) {
        self.disk = disk
        generation = disk.generation
    }

    private func live() async -> FaultyDisk {
        if generation != disk.generation { await disk.hang() }
        return disk
    }

    func open(_ path: String, _ mode: FileMode) async throws(IOError) -> any File {
        try await live().open(path, mode)
    }

    func list(_ directory: String) async throws(IOError) -> [DirectoryEntry] { try await live().list(directory) }

    func makeDirectory(_ path: String) async throws(IOError) { try await live().makeDirectory(path) }

    func rename(_ source: String, to target: String) async throws(IOError) {
        try await live().rename(source, to: target)
    }

    func remove(_ path: String) async throws(IOError) { try await live().remove(path) }

    func syncDirectory(_ path: String) async throws(IOError) { try await live().syncDirectory(path) }

    func freeBytes(_ path: String) async throws(IOError) -> UInt64 { try await live().freeBytes(path) }

    func lock(_ path: String) async throws(IOError) -> any FileLock { try await live().lock(path) }
}
