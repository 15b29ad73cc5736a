import CordwoodBase
import CordwoodIO

/// A disk with its file system, in memory, that keeps exactly the promises of `FileSystem` and `File`, and no other.
/// The engine reaches it through the seams of a world.
///
/// Every operation takes virtual time and can be made to fail. What has not been synced may be lost, torn, reordered or
/// turned to garbage when the power fails; what is durable stays, until a test damages it on purpose.
public final class FaultyDisk {
    public struct Options: Sendable {
        /// The unit in which writes persist: 512 or 4096.
        public var sectorBytes = 512
        /// Alignment of offset, length and memory that direct I/O demands.
        public var alignmentBytes = 512
        public var supportsDirect = true
        public var capacityBytes: UInt64 = 1 << 40
        /// How many files may be open at a time.
        public var maxOpenFiles = 20_000
        /// How long an operation takes, in nanoseconds of virtual time.
        public var latencyNanoseconds: ClosedRange<UInt64> = 20_000...120_000

        public init() {}
    }

    public var options: Options

    /// The disk now. A copy of it is the disk of this moment for good.
    public internal(set) var image: DiskImage

    /// Called whenever the power may fail, with the disk of that moment.
    public var onCrashPoint: ((CrashPoint) -> Void)?

    /// Operations begun so far.
    public private(set) var operationCount = 0

    /// Operations of each kind begun so far.
    public private(set) var counts: [DiskOperationKind: Int] = [:]

    /// How often a fault was shown; a test that expects one and sees none tests nothing.
    public private(set) var faultsShown = 0

    private var faults: [DiskFault] = []
    private let random: VirtualRandom
    private let clock: VirtualClock
    private let trace: Trace
    private var underWay: [Int: DiskOperation] = [:]
    private var hanging: [UnsafeContinuation<Void, Never>] = []
    /// The world is over: whatever is still asked for fails, so that every task comes to its end.
    private var isEnded = false
    private var lockedPaths: Set<String> = []
    private var openFiles = 0
    /// How often the power has failed. Whoever was there before the last time waits for ever.
    private(set) var generation = 0

    init(image: DiskImage, options: Options, random: VirtualRandom, clock: VirtualClock, trace: Trace) {
        self.image = image
        self.options = options
        self.random = random
        self.clock = clock
        self.trace = trace
    }

    /// Adds a fault; of several that fit an operation the first one hits.
    public func inject(_ fault: DiskFault) { faults.append(fault) }

    /// Damages durable bytes under whoever has the files open.
    public func damage(_ body: (inout DiskImage) -> Void) { body(&image) }

    /// Takes back all faults.
    public func clearFaults() { faults.removeAll() }

    /// The power fails and comes back: the disk holds what the crash left, nothing that was under way completes, and
    /// nobody who was there before is heard any more.
    func powerCycle(leaving image: DiskImage) {
        generation += 1
        self.image = image
        underWay = [:]
        lockedPaths = []
        openFiles = 0
    }

    var operationsUnderWay: [String] { underWay.sorted { $0.key < $1.key }.map { "disk \($0.value)" } }

    // MARK: Operations

    /// What the operation is to do beside its work.
    struct Verdict {
        var operation: DiskOperation
        var generation: Int
        var effect: DiskFault.Effect?

        var lies: Bool {
            if case .lie? = effect { return true }
            return false
        }
    }

    /// Counts an operation and looks for a fault that hits it.
    func begin(_ kind: DiskOperationKind, _ path: String, offset: UInt64 = 0, length: Int = 0) -> Verdict {
        operationCount += 1
        counts[kind, default: 0] += 1
        let operation = DiskOperation(
            number: operationCount, kind: kind, path: path, offset: offset, length: length)
        trace.record("disk", UInt64(operationCount), offset &+ UInt64(length))
        underWay[operationCount] = operation
        var effect: DiskFault.Effect?
        for position in faults.indices where faults[position].fits(operation) {
            if faults[position].skip > 0 {
                faults[position].skip -= 1
                continue
            }
            if faults[position].times != .max { faults[position].times -= 1 }
            effect = faults[position].effect
            faultsShown += 1
            break
        }
        return Verdict(operation: operation, generation: generation, effect: effect)
    }

    /// The time the operation takes. Throws the error of a fault that fails it.
    func pass(_ verdict: Verdict) async throws(IOError) {
        crashPoint(verdict.operation, .submitted)
        var nanoseconds = random.next(in: options.latencyNanoseconds)
        if case .stall(let more)? = verdict.effect { nanoseconds += more }
        await clock.sleep(nanoseconds: nanoseconds)
        if case .hang? = verdict.effect { await hang() }
        if verdict.generation != generation { await hang() }
        if isEnded {
            throw IOError(.closed, operation: verdict.operation.kind.rawValue, subject: verdict.operation.path)
        }
        underWay[verdict.operation.number] = nil
        trace.record("disk done", UInt64(verdict.operation.number))
        if case .fail(let reason, let errorNumber)? = verdict.effect {
            throw IOError(
                reason, operation: verdict.operation.kind.rawValue, subject: verdict.operation.path,
                errorNumber: errorNumber)
        }
    }

    /// An operation has taken effect.
    func completed(_ verdict: Verdict) { crashPoint(verdict.operation, .completed) }

    private func crashPoint(_ operation: DiskOperation, _ side: CrashPoint.Side) {
        guard let onCrashPoint, operation.kind.changesDisk || operation.kind == .open else { return }
        onCrashPoint(CrashPoint(operation: operation, side: side, image: image))
    }

    func hang() async {
        if isEnded { return }
        await withUnsafeContinuation { hanging.append($0) }
    }

    /// Lets go of everything that waits, with an error.
    func end() {
        isEnded = true
        onCrashPoint = nil
        let waiting = hanging
        hanging = []
        for continuation in waiting { continuation.resume() }
    }

    func failure(_ reason: IOError.Reason, _ verdict: Verdict, errorNumber: Int32) -> IOError {
        IOError(
            reason, operation: verdict.operation.kind.rawValue, subject: verdict.operation.path,
            errorNumber: errorNumber)
    }

    func chance(_ numerator: UInt64, in denominator: UInt64) -> Bool { random.chance(numerator, in: denominator) }

    func closeFile(of generation: Int) {
        if generation == self.generation { openFiles -= 1 }
    }

    // MARK: Files and directories

    func open(_ path: String, _ mode: FileMode) async throws(IOError) -> any File {
        let verdict = begin(.open, path)
        try await pass(verdict)
        if openFiles >= options.maxOpenFiles { throw failure(.tooManyFiles, verdict, errorNumber: 24) }
        let node: UInt64
        switch image.find(path) {
        case .directory?: throw failure(.other, verdict, errorNumber: 21)
        case .file(let found)?:
            if mode.existence == .mustCreate { throw failure(.exists, verdict, errorNumber: 17) }
            node = found
        case nil:
            if mode.existence == .mustExist { throw failure(.notFound, verdict, errorNumber: 2) }
            guard let place = image.place(path) else { throw failure(.notFound, verdict, errorNumber: 2) }
            node = image.makeFile(at: place)
        }
        openFiles += 1
        completed(verdict)
        return FaultyFile(disk: self, path: path, node: node, mode: mode)
    }

    func list(_ directory: String) async throws(IOError) -> [DirectoryEntry] {
        let verdict = begin(.list, directory)
        try await pass(verdict)
        guard case .directory(let node)? = image.find(directory) else {
            throw failure(.notFound, verdict, errorNumber: 2)
        }
        let names = (image.directories[node] ?? [:]).sorted { $0.key < $1.key }
        var entries = names.map { DirectoryEntry(name: $0.key, isDirectory: image.directories[$0.value] != nil) }
        var generator = random
        entries.shuffle(using: &generator)
        return entries
    }

    func makeDirectory(_ path: String) async throws(IOError) {
        let verdict = begin(.makeDirectory, path)
        try await pass(verdict)
        switch image.find(path) {
        case .directory?: return
        case .file?: throw failure(.exists, verdict, errorNumber: 17)
        case nil:
            guard let place = image.place(path) else { throw failure(.notFound, verdict, errorNumber: 2) }
            image.makeDirectory(at: place)
        }
        completed(verdict)
    }

    func rename(_ source: String, to target: String) async throws(IOError) {
        let verdict = begin(.rename, source)
        try await pass(verdict)
        guard let from = image.place(source), let moved = image.node(at: from), let to = image.place(target) else {
            throw failure(.notFound, verdict, errorNumber: 2)
        }
        if let replaced = image.node(at: to), image.directories[replaced] != nil || image.directories[moved] != nil {
            throw failure(.exists, verdict, errorNumber: 39)
        }
        image.change(.rename(from, to))
        completed(verdict)
    }

    func remove(_ path: String) async throws(IOError) {
        let verdict = begin(.remove, path)
        try await pass(verdict)
        guard let place = image.place(path), let node = image.node(at: place) else {
            throw failure(.notFound, verdict, errorNumber: 2)
        }
        if let names = image.directories[node], !names.isEmpty { throw failure(.other, verdict, errorNumber: 39) }
        image.change(.unlink(place))
        completed(verdict)
    }

    func syncDirectory(_ path: String) async throws(IOError) {
        let verdict = begin(.syncDirectory, path)
        guard case .directory(let node)? = image.find(path) else {
            throw failure(.notFound, verdict, errorNumber: 2)
        }
        let limit = image.drawSequence()
        try await pass(verdict)
        if !verdict.lies { image.syncDirectory(node, before: limit) }
        completed(verdict)
    }

    func freeBytes(_ path: String) async throws(IOError) -> UInt64 {
        let verdict = begin(.freeBytes, path)
        try await pass(verdict)
        return freeBytesNow
    }

    /// Bytes that the files take.
    public var usedBytes: UInt64 { image.usedBytes }

    var freeBytesNow: UInt64 {
        let used = image.usedBytes
        return options.capacityBytes > used ? options.capacityBytes - used : 0
    }

    func lock(_ path: String) async throws(IOError) -> any FileLock {
        let verdict = begin(.lock, path)
        try await pass(verdict)
        guard let place = image.place(path) else { throw failure(.notFound, verdict, errorNumber: 2) }
        if image.node(at: place) == nil { _ = image.makeFile(at: place) }
        guard lockedPaths.insert(path).inserted else { throw failure(.locked, verdict, errorNumber: 11) }
        completed(verdict)
        return VirtualLock { [weak self, generation] in
            if let self, self.generation == generation { self.lockedPaths.remove(path) }
        }
    }
}

private final class VirtualLock: FileLock {
    private var onRelease: (() -> Void)?

    init(_ onRelease: @escaping () -> Void) { self.onRelease = onRelease }

    func release() {
        onRelease?()
        onRelease = nil
    }

    deinit { release() }
}
