import CordwoodBase
import CordwoodIO

/// An open file of a faulty disk.
final class FaultyFile: File {
    let path: String
    let isDirect: Bool
    private let disk: FaultyDisk
    private let node: UInt64
    private let isWritable: Bool
    private let generation: Int
    private var isClosed = false

    init(disk: FaultyDisk, path: String, node: UInt64, mode: FileMode) {
        self.disk = disk
        self.path = path
        self.node = node
        generation = disk.generation
        isWritable = mode.writable
        isDirect = mode.direct && disk.options.supportsDirect
    }

    deinit {
        if !isClosed { disk.closeFile(of: generation) }
    }

    var alignmentBytes: Int { isDirect ? disk.options.alignmentBytes : 1 }

    func size() async throws(IOError) -> UInt64 {
        let verdict = try await begin(.size)
        try await disk.pass(verdict)
        return disk.image.file(node).cached.size
    }

    func read(into buffer: IOBuffer, _ range: Range<Int>, at offset: UInt64) async throws(IOError) -> Int {
        let verdict = try await begin(.read, offset: offset, length: range.count)
        try checkAlignment(verdict, range, offset)
        try await disk.pass(verdict)
        if isDirect, disk.image.file(node).cacheDeceives { disk.image.dropCache(node) }
        let target = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[range])
        return disk.image.file(node).cached.read(at: offset, into: target)
    }

    func write(
        _ buffer: IOBuffer, _ range: Range<Int>, at offset: UInt64, durable: Bool
    ) async throws(IOError) {
        let verdict = try await begin(.write, offset: offset, length: range.count)
        try checkWritable(verdict)
        try checkAlignment(verdict, range, offset)
        var place = offset
        if case .misdirect(let other)? = verdict.effect { place = other }
        try checkSpace(verdict, end: place + UInt64(range.count))
        if verdict.lies {
            try await disk.pass(verdict)
            return
        }
        if case .fail(let reason, _)? = verdict.effect {
            let pieces = reason == .noSpace ? [] : writeInPart(buffer[range], at: place)
            do throws(IOError) { try await disk.pass(verdict) } catch {
                if verdict.generation == disk.generation {
                    for sequence in pieces { disk.image.writeReturned(node, sequence) }
                }
                throw error
            }
        }
        let sequence = disk.image.beginWrite(node, buffer[range], at: place)
        try await disk.pass(verdict)
        disk.image.writeReturned(node, sequence)
        if durable { disk.image.makeDurable(node, sequence, sectorBytes: disk.options.sectorBytes) }
        disk.completed(verdict)
    }

    func sync() async throws(IOError) {
        let verdict = try await begin(.sync)
        let cover = disk.image.coveredBySync(node)
        do {
            try await disk.pass(verdict)
        } catch {
            guard verdict.generation == disk.generation else { throw error }
            disk.image.failSync(node, cover) { disk.chance(1, in: 2) }
            throw error
        }
        if !verdict.lies { disk.image.sync(node, cover) }
        disk.completed(verdict)
    }

    func resize(_ size: UInt64) async throws(IOError) {
        let verdict = try await begin(.resize, offset: size)
        try checkWritable(verdict)
        try await disk.pass(verdict)
        try checkSpace(verdict, end: size)
        disk.image.resize(node, size)
        disk.completed(verdict)
    }

    func dropCache() async throws(IOError) {
        let verdict = try await begin(.dropCache)
        try await disk.pass(verdict)
        disk.image.dropCache(node)
    }

    func close() async {
        guard !isClosed else { return }
        isClosed = true
        disk.closeFile(of: generation)
    }

    // MARK: Checks

    private func begin(
        _ kind: DiskOperationKind, offset: UInt64 = 0, length: Int = 0
    ) async throws(IOError) -> FaultyDisk.Verdict {
        if generation != disk.generation {
            await disk.hang()
            throw IOError(.closed, operation: kind.rawValue, subject: path)
        }
        if isClosed { throw IOError(.closed, operation: kind.rawValue, subject: path) }
        return disk.begin(kind, path, offset: offset, length: length)
    }

    private func checkWritable(_ verdict: FaultyDisk.Verdict) throws(IOError) {
        if !isWritable { throw disk.failure(.other, verdict, errorNumber: 9) }
    }

    private func checkAlignment(
        _ verdict: FaultyDisk.Verdict, _ range: Range<Int>, _ offset: UInt64
    ) throws(IOError) {
        let alignment = alignmentBytes
        guard
            offset % UInt64(alignment) == 0, range.lowerBound % alignment == 0, range.count % alignment == 0
        else { throw disk.failure(.other, verdict, errorNumber: 22) }
    }

    private func checkSpace(_ verdict: FaultyDisk.Verdict, end: UInt64) throws(IOError) {
        let size = disk.image.file(node).cached.size
        if end > size, end - size > disk.freeBytesNow { throw disk.failure(.noSpace, verdict, errorNumber: 28) }
    }

    /// A write that fails leaves some of its sectors behind, as a device does; nothing says which. Returns the pieces'
    /// sequences: once the failure is told they are dirty pages like any others, and the next sync covers them.
    private func writeInPart(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> [UInt64] {
        let sector = disk.options.sectorBytes
        var pieces: [UInt64] = []
        for start in stride(from: 0, to: bytes.count, by: sector) where disk.chance(1, in: 2) {
            let piece = UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + sector, bytes.count)])
            pieces.append(disk.image.beginWrite(node, piece, at: offset + UInt64(start)))
        }
        return pieces
    }
}
