import CordwoodBase

/// A disk as a value: what is durable, what the page cache shows, and what lies between the two.
///
/// Writes, changes of a file's length and changes of directories take effect in the cache at once and stay pending
/// until something makes them durable. A crash keeps any legal choice of what is pending (`DiskImage+Crash.swift`).
/// Copies share their pages until one of them changes, so an image can be kept for every step of a run.
///
/// - Data become durable by sector: `sync` takes every write that had returned when the sync began, a durable write its
///   own range.
/// - A file's lengths become durable in their order.
/// - A directory's changes become durable when the directory is synced; before that, two changes persist independently
///   unless they touch the same name.
public struct DiskImage: Sendable {
    struct PendingWrite: Sendable {
        var sequence: UInt64
        var offset: UInt64
        var bytes: ArraySlice<UInt8>
        /// Whether the write has returned, failed ones included, or its process is gone. A write under way when the
        /// power fails may be there in part; a sync covers only writes that had returned before it.
        var returned = false

        var end: UInt64 { offset + UInt64(bytes.count) }
    }

    struct PendingSize: Sendable {
        var sequence: UInt64
        var size: UInt64
    }

    struct FileState: Sendable {
        var cached = SparseBytes()
        var durable = SparseBytes()
        var writes: [PendingWrite] = []
        var sizes: [PendingSize] = []
        /// A failed sync has let go of pages that never reached the device: the cache shows more than there is.
        var cacheDeceives = false

        var hasPending: Bool { !writes.isEmpty || !sizes.isEmpty }
    }

    /// A name in a directory.
    struct Place: Hashable, Sendable {
        var directory: UInt64
        var name: String
    }

    enum NameChange: Sendable {
        case link(Place, node: UInt64)
        case unlink(Place)
        case rename(Place, Place)

        var places: [Place] {
            switch self {
            case .link(let place, _), .unlink(let place): [place]
            case .rename(let source, let target): [source, target]
            }
        }
    }

    struct PendingName: Sendable {
        var sequence: UInt64
        var change: NameChange
    }

    typealias Directories = [UInt64: [String: UInt64]]

    static let root: UInt64 = 1

    var files: [UInt64: FileState] = [:]
    /// Names as everybody sees them, by directory.
    var directories: Directories = [DiskImage.root: [:]]
    var durableDirectories: Directories = [DiskImage.root: [:]]
    var names: [PendingName] = []

    /// Rises with every change, so two moments of one disk with the same number are the same.
    public private(set) var revision: UInt64 = 0

    private var nextNode: UInt64 = 2
    private var nextSequence: UInt64 = 1

    /// An empty disk.
    public init() {}

    mutating func drawSequence() -> UInt64 {
        defer { nextSequence += 1 }
        return nextSequence
    }

    // MARK: Names

    enum Lookup {
        case file(UInt64)
        case directory(UInt64)
    }

    static func components(_ path: String) -> [String] {
        path.split(separator: "/").map(String.init).filter { $0 != "." }
    }

    func find(_ path: String) -> Lookup? {
        var node = DiskImage.root
        for name in DiskImage.components(path) {
            guard let next = directories[node]?[name] else { return nil }
            node = next
        }
        return directories[node] == nil ? .file(node) : .directory(node)
    }

    /// The place that a path names, if its directory exists.
    func place(_ path: String) -> Place? {
        var components = DiskImage.components(path)
        guard let name = components.popLast() else { return nil }
        guard case .directory(let node)? = find(components.joined(separator: "/")) else { return nil }
        return Place(directory: node, name: name)
    }

    func node(at place: Place) -> UInt64? { directories[place.directory]?[place.name] }

    mutating func makeFile(at place: Place) -> UInt64 {
        let node = drawNode()
        files[node] = FileState()
        change(.link(place, node: node))
        return node
    }

    mutating func makeDirectory(at place: Place) {
        let node = drawNode()
        directories[node] = [:]
        durableDirectories[node] = [:]
        change(.link(place, node: node))
    }

    mutating func change(_ change: NameChange) {
        revision += 1
        DiskImage.apply(change, to: &directories)
        names.append(PendingName(sequence: drawSequence(), change: change))
    }

    static func apply(_ change: NameChange, to directories: inout Directories) {
        switch change {
        case .link(let place, let node): directories[place.directory]?[place.name] = node
        case .unlink(let place): directories[place.directory]?[place.name] = nil
        case .rename(let source, let target):
            guard let node = directories[source.directory]?.removeValue(forKey: source.name) else { return }
            directories[target.directory]?[target.name] = node
        }
    }

    /// Makes the changes of one directory durable that were made before `limit`.
    mutating func syncDirectory(_ directory: UInt64, before limit: UInt64) {
        revision += 1
        let covered: (PendingName) -> Bool = {
            $0.sequence < limit && $0.change.places.contains { $0.directory == directory }
        }
        for pending in names where covered(pending) { DiskImage.apply(pending.change, to: &durableDirectories) }
        names.removeAll(where: covered)
    }

    private mutating func drawNode() -> UInt64 {
        defer { nextNode += 1 }
        return nextNode
    }

    /// Drops what no name leads to any more.
    mutating func forgetUnreachable() {
        var reached: Set<UInt64> = []
        var waiting = [DiskImage.root]
        while let node = waiting.popLast() {
            guard reached.insert(node).inserted else { continue }
            if let names = directories[node] { waiting.append(contentsOf: names.values) }
        }
        files = files.filter { reached.contains($0.key) }
        directories = directories.filter { reached.contains($0.key) }
        durableDirectories = durableDirectories.filter { reached.contains($0.key) }
    }

    // MARK: Data

    func file(_ node: UInt64) -> FileState {
        guard let file = files[node] else { brokenInvariant("no file with node \(node)") }
        return file
    }

    private mutating func update(_ node: UInt64, _ body: (inout FileState) -> Void) {
        guard files[node] != nil else { brokenInvariant("no file with node \(node)") }
        revision += 1
        body(&files[node, default: FileState()])
    }

    /// A write reaches the cache and is pending from here on. Returns its sequence.
    mutating func beginWrite(_ node: UInt64, _ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> UInt64 {
        let end = offset + UInt64(bytes.count)
        let sizeSequence = drawSequence()
        let sequence = drawSequence()
        update(node) { file in
            if end > file.cached.size {
                file.cached.size = end
                file.sizes.append(PendingSize(sequence: sizeSequence, size: end))
            }
            file.cached.write(bytes, at: offset)
            file.writes.append(PendingWrite(sequence: sequence, offset: offset, bytes: [UInt8](bytes)[...]))
        }
        return sequence
    }

    mutating func writeReturned(_ node: UInt64, _ sequence: UInt64) {
        update(node) { file in
            for position in file.writes.indices where file.writes[position].sequence == sequence {
                file.writes[position].returned = true
            }
        }
    }

    /// The image once the process that wrote is gone: none of its writes is under way any more. What there is of them
    /// is in the cache, where later writes take its place, and the next sync covers it.
    func leftByProcess() -> DiskImage {
        var image = self
        for (node, file) in files where file.writes.contains(where: { !$0.returned }) {
            image.update(node) { file in
                for position in file.writes.indices { file.writes[position].returned = true }
            }
        }
        return image
    }

    mutating func resize(_ node: UInt64, _ size: UInt64) {
        let sequence = drawSequence()
        update(node) { file in
            if size < file.cached.size { file.cached.discard(from: size) }
            file.cached.size = size
            file.sizes.append(PendingSize(sequence: sequence, size: size))
        }
    }

    /// Makes one write durable: its sectors as the cache holds them, and the length that is needed to read them.
    mutating func makeDurable(_ node: UInt64, _ sequence: UInt64, sectorBytes: Int) {
        let sector = UInt64(sectorBytes)
        update(node) { file in
            guard let write = file.writes.first(where: { $0.sequence == sequence }) else { return }
            let start = write.offset / sector * sector
            let end = (write.end + sector - 1) / sector * sector
            if write.end > file.durable.size {
                DiskImage.applySizes(&file, before: sequence)
            }
            let visible = min(end, file.cached.size)
            if start < visible {
                file.cached.bytes(start..<visible).withUnsafeBytes { file.durable.write($0, at: start) }
            }
            file.writes = file.writes.flatMap { pending in
                pending.sequence > sequence ? [pending] : pending.without(start..<end)
            }
        }
    }

    /// The writes that a sync beginning now will cover.
    func coveredBySync(_ node: UInt64) -> SyncCover {
        SyncCover(writes: Set(file(node).writes.filter(\.returned).map(\.sequence)), sizesBefore: nextSequence)
    }

    struct SyncCover {
        var writes: Set<UInt64>
        var sizesBefore: UInt64
    }

    mutating func sync(_ node: UInt64, _ cover: SyncCover) {
        update(node) { file in
            DiskImage.settle(&file, cover) { _ in true }
        }
    }

    /// A sync that fails: each page may have reached the device or not, and none of them is dirty any more, so the next
    /// sync succeeds without them.
    mutating func failSync(_ node: UInt64, _ cover: SyncCover, reached: () -> Bool) {
        update(node) { file in
            DiskImage.settle(&file, cover) { _ in reached() }
            file.cacheDeceives = true
        }
    }

    /// The cache forgets what is not dirty: reads see the device, and what is still to be written to it.
    mutating func dropCache(_ node: UInt64) {
        update(node) { file in
            let size = file.cached.size
            file.cached = file.durable
            file.cached.size = size
            for write in file.writes {
                write.bytes.withUnsafeBytes { file.cached.write($0, at: write.offset) }
            }
            file.cacheDeceives = false
        }
    }

    private static func settle(
        _ file: inout FileState, _ cover: SyncCover, where reached: (PendingWrite) -> Bool
    ) {
        var kept: [PendingWrite] = []
        var sizes = file.sizes.filter { $0.sequence < cover.sizesBefore }[...]
        for write in file.writes {
            guard cover.writes.contains(write.sequence) else {
                kept.append(write)
                continue
            }
            while let size = sizes.first, size.sequence < write.sequence {
                setDurableSize(&file, size.size)
                sizes.removeFirst()
            }
            if reached(write) { write.bytes.withUnsafeBytes { file.durable.write($0, at: write.offset) } }
        }
        for size in sizes { setDurableSize(&file, size.size) }
        file.writes = kept
        file.sizes.removeAll { $0.sequence < cover.sizesBefore }
    }

    private static func applySizes(_ file: inout FileState, before limit: UInt64) {
        for size in file.sizes where size.sequence < limit { setDurableSize(&file, size.size) }
        file.sizes.removeAll { $0.sequence < limit }
    }

    static func setDurableSize(_ file: inout FileState, _ size: UInt64) {
        if size < file.durable.size { file.durable.discard(from: size) }
        file.durable.size = size
    }

    /// Bytes that the files take.
    var usedBytes: UInt64 { files.values.reduce(0) { $0 + $1.cached.size } }
}

extension DiskImage.PendingWrite {
    /// What is left when a range has been written over for good.
    func without(_ range: Range<UInt64>) -> [DiskImage.PendingWrite] {
        if range.upperBound <= offset || range.lowerBound >= end { return [self] }
        var left: [DiskImage.PendingWrite] = []
        if offset < range.lowerBound {
            var head = self
            head.bytes = bytes.prefix(Int(range.lowerBound - offset))
            left.append(head)
        }
        if end > range.upperBound {
            var tail = self
            tail.offset = range.upperBound
            tail.bytes = bytes.suffix(Int(end - range.upperBound))
            left.append(tail)
        }
        return left
    }
}
