internal import CordwoodIO

/// The file system of a platform, with everything counted that is written or synced through it: what a log costs the
/// device is read off at the seam and not taken from the log's own word.
final class MeteredFileSystem: FileSystem {
    /// Counts since the start.
    struct Meter: Sendable {
        var durableWrites: UInt64 = 0
        var durableBytes: UInt64 = 0
        /// Writes that are not durable by themselves: filling with zeros, partition logs.
        var otherBytes: UInt64 = 0
        var syncs: UInt64 = 0

        static func - (later: Meter, earlier: Meter) -> Meter {
            Meter(
                durableWrites: later.durableWrites - earlier.durableWrites,
                durableBytes: later.durableBytes - earlier.durableBytes,
                otherBytes: later.otherBytes - earlier.otherBytes, syncs: later.syncs - earlier.syncs)
        }

        static func += (total: inout Meter, part: Meter) {
            total.durableWrites += part.durableWrites
            total.durableBytes += part.durableBytes
            total.otherBytes += part.otherBytes
            total.syncs += part.syncs
        }
    }

    fileprivate(set) var meter = Meter()
    private let files: any FileSystem

    init(_ files: any FileSystem) { self.files = files }

    func open(_ path: String, _ mode: FileMode) async throws(IOError) -> any File {
        MeteredFile(try await files.open(path, mode), self)
    }

    func list(_ directory: String) async throws(IOError) -> [DirectoryEntry] { try await files.list(directory) }
    func makeDirectory(_ path: String) async throws(IOError) { try await files.makeDirectory(path) }

    func rename(_ source: String, to target: String) async throws(IOError) {
        try await files.rename(source, to: target)
    }

    func remove(_ path: String) async throws(IOError) { try await files.remove(path) }

    func syncDirectory(_ path: String) async throws(IOError) {
        meter.syncs += 1
        try await files.syncDirectory(path)
    }

    func freeBytes(_ path: String) async throws(IOError) -> UInt64 { try await files.freeBytes(path) }
    func lock(_ path: String) async throws(IOError) -> any FileLock { try await files.lock(path) }
}

private final class MeteredFile: File {
    private let file: any File
    private let system: MeteredFileSystem

    init(_ file: any File, _ system: MeteredFileSystem) {
        self.file = file
        self.system = system
    }

    var path: String { file.path }
    var isDirect: Bool { file.isDirect }
    var alignmentBytes: Int { file.alignmentBytes }

    func size() async throws(IOError) -> UInt64 { try await file.size() }

    func read(into buffer: IOBuffer, _ range: Range<Int>, at offset: UInt64) async throws(IOError) -> Int {
        try await file.read(into: buffer, range, at: offset)
    }

    func write(_ buffer: IOBuffer, _ range: Range<Int>, at offset: UInt64, durable: Bool) async throws(IOError) {
        if durable {
            system.meter.durableWrites += 1
            system.meter.durableBytes += UInt64(range.count)
        } else {
            system.meter.otherBytes += UInt64(range.count)
        }
        try await file.write(buffer, range, at: offset, durable: durable)
    }

    func sync() async throws(IOError) {
        system.meter.syncs += 1
        try await file.sync()
    }

    func resize(_ size: UInt64) async throws(IOError) { try await file.resize(size) }
    func dropCache() async throws(IOError) { try await file.dropCache() }
    func close() async { await file.close() }
}

extension Seams {
    /// The same seams with counted files.
    func metered(by files: MeteredFileSystem) -> Seams {
        Seams(clock: clock, files: files, network: network, random: random, scheduler: scheduler)
    }
}
