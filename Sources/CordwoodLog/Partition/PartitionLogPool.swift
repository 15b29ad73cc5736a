public import CordwoodBase
public import CordwoodIO
public import CordwoodRaft

/// The partition logs of a directory and what they share: descriptors, buffer memory, read cache, and the rounds in
/// which they are written and synced.
///
/// Files lie in 256 shard directories, `<shard>/<partition>-<segment>.log`, a shard being the partition's low eight
/// bits. A record waits in memory until its partition's turn: when its oldest unpersisted record is
/// `persistAgeNanoseconds` old, when the floor waits for it, or when the buffers are full, which writes without
/// syncing. A few partitions are synced at a time, and no more than `maxSyncsPerSecond`, so that the segmented log
/// keeps the device. However many partitions are active, descriptors, buffered bytes and syncs stay within these
/// bounds; only the floor waits longer.
public final class PartitionLogPool {
    public struct Configuration: Sendable {
        public var directory: String
        /// Cluster, node, replica and store of the directory; each partition log draws an id of its own.
        public var identity: LogIdentity
        public var segmentBytes: UInt64
        public var maxOpenFiles: Int
        /// Records that are not written yet, in bytes of memory.
        public var bufferBytes: Int
        /// Verified batches kept for reading, in bytes of memory.
        public var cacheBytes: Int
        /// Records of one batch, in bytes on disk.
        public var batchBytes: Int
        public var persistAgeNanoseconds: UInt64
        public var maxConcurrentSyncs: Int
        public var maxSyncsPerSecond: Int
        /// Past the page cache: for much that is written at once and not read soon.
        public var isDirect = false

        public init(
            directory: String, identity: LogIdentity, segmentBytes: UInt64 = 64 << 20, maxOpenFiles: Int = 4096,
            bufferBytes: Int = 64 << 20, cacheBytes: Int = 16 << 20, batchBytes: Int = 128 << 10,
            persistAgeNanoseconds: UInt64 = 5_000_000_000, maxConcurrentSyncs: Int = 4, maxSyncsPerSecond: Int = 500
        ) {
            self.directory = directory
            self.identity = identity
            self.segmentBytes = segmentBytes
            self.maxOpenFiles = maxOpenFiles
            self.bufferBytes = bufferBytes
            self.cacheBytes = cacheBytes
            self.batchBytes = batchBytes
            self.persistAgeNanoseconds = persistAgeNanoseconds
            self.maxConcurrentSyncs = maxConcurrentSyncs
            self.maxSyncsPerSecond = maxSyncsPerSecond
        }
    }

    /// What became durable in one partition log: everything up to an index, and how much that added.
    public struct Persisted: Sendable, Hashable {
        public var partition: PartitionID
        public var through: PartitionLogIndex
        public var entryCount: Int
        public var byteCount: Int
    }

    public struct Statistics: Sendable, Hashable {
        public var writtenBatches: UInt64 = 0
        public var writtenBytes: UInt64 = 0
        public var syncs: UInt64 = 0
        public var directorySyncs: UInt64 = 0
        public var bufferedBytes = 0
        public var peakBufferedBytes = 0
        public var openFiles = 0
        public var peakOpenFiles = 0
        public var dirtyPartitions = 0
    }

    public let configuration: Configuration
    /// Called whenever records of a partition have become durable.
    public var onPersisted: ((Persisted) -> Void)?
    /// Called when a partition log cannot be trusted or written any more.
    public var onFailure: ((PartitionID, LogError) -> Void)?
    /// Called when a log that is in use was found damaged by reading it; perhaps more than once for the same damage.
    public var onDamage: ((PartitionID, Damage) -> Void)?
    public var log: any LogSink = SilentLog()
    /// What the segmented log knows as a partition's last entry; `nil` when it cannot tell. A file that holds more is
    /// refused when it is opened.
    public var tailInLog: (PartitionID) -> (partitionIndex: PartitionLogIndex, raftIndex: RaftIndex)? = { _ in nil }

    /// Asked before records are written where the segmented log may lose what it has taken: returns true once no power
    /// cut takes its entries up to the one given. A file must not hold what the segmented log has lost. After a refusal
    /// nothing is written any more; what was taken stays readable.
    public var hardenLog: ((RaftIndex) async -> Bool)?

    /// Partitions synced at a time when nothing else is to have the device.
    private static let syncsAtOnce = 32

    let seams: Seams
    let descriptors: DescriptorCache
    let cache: BatchCache
    var stores: [PartitionLogStore?]
    var shards: [PartitionShard?] = Array(repeating: nil, count: 256)
    var statisticsNow = Statistics()
    let buffered: BufferedBytes
    /// Records that the segmented log has dropped and that files may hold, until they have been looked at.
    var dropped: [PartitionID: [DroppedRecord]] = [:]
    private var registry: [PartitionID: SystemCheckpoint.Line]
    private var builders: [BatchBuilder] = []
    /// Partitions with something to persist, in the order in which their oldest record was taken.
    private var queue: [PartitionID] = []
    private var queueHead = 0
    private var isRunning = false
    private var isClosed = false
    /// The segmented log cannot be made durable: nothing is written any more.
    private var isHeld = false
    /// Closed, and everything has been given back: no log is opened any more.
    private(set) var hasEnded = false
    private var timer: TimerToken?
    private var wakeUp: UnsafeContinuation<Void, Never>?
    private var idlers: [UnsafeContinuation<Void, Never>] = []
    private var isPressed = false
    /// What was taken up to here is due, however young.
    private var hastenedThrough: UInt64 = 0

    /// - Parameter registry: what the newest complete system checkpoint says of each non-empty partition.
    public init(
        configuration: Configuration, seams: Seams, partitionCount: Int, registry: [SystemCheckpoint.Line] = []
    ) {
        self.configuration = configuration
        self.seams = seams
        buffered = BufferedBytes(limit: configuration.bufferBytes)
        stores = Array(repeating: nil, count: partitionCount)
        self.registry = Dictionary(registry.map { ($0.partition, $0) }, uniquingKeysWith: { $1 })
        descriptors = DescriptorCache(
            files: seams.files, capacity: configuration.maxOpenFiles, isDirect: configuration.isDirect)
        cache = BatchCache(capacityBytes: configuration.cacheBytes)
    }

    /// The partition's log. Making it touches no file.
    public func store(of partition: PartitionID) -> PartitionLogStore {
        let at = Int(partition.rawValue)
        if let store = stores[at] { return store }
        let store = PartitionLogStore(partition: partition, pool: self, expected: registry[partition])
        stores[at] = store
        return store
    }

    /// One line for each partition that has something persisted, ascending: what a system checkpoint states.
    public var lines: [SystemCheckpoint.Line] {
        stores.indices.compactMap { at in
            if let store = stores[at] { return store.persistedLine }
            return registry[PartitionID(UInt64(at))]
        }
    }

    public var statistics: Statistics {
        var now = statisticsNow
        now.bufferedBytes = buffered.count
        now.peakBufferedBytes = buffered.peak
        now.openFiles = descriptors.count
        now.peakOpenFiles = descriptors.peakCount
        now.dirtyPartitions = queue.count - queueHead
        return now
    }

    /// Number of partitions that there may be.
    public var partitionCount: Int { stores.count }

    /// Partitions whose logs cannot be used, or not be written, ascending, with the reasons.
    public var failures: [(partition: PartitionID, error: LogError)] {
        stores.compactMap { store in
            store.flatMap { store in store.openState.failure.map { (store.partition, $0) } }
        }
    }

    /// True while the buffers hold twice what they should: a leader admits nothing more.
    public var isSaturated: Bool { buffered.count > 2 * buffered.limit }

    // MARK: Rounds

    /// Begins to write and sync in the background. Without it, nothing is written but by `persist`.
    public func start() {
        guard !isRunning, !isClosed else { return }
        isRunning = true
        seams.scheduler.spawn("partition log rounds") { await self.runRounds() }
    }

    /// Everything taken so far will be persisted in the next rounds, whatever its age: the floor has fallen behind.
    public func hastenAll() {
        guard queueHead < queue.count else { return }
        hastenedThrough = seams.clock.monotonicNanoseconds
        wake()
    }

    /// Makes everything durable that a partition has taken.
    public func persist(_ partition: PartitionID) async throws(LogError) {
        guard let store = stores[Int(partition.rawValue)] else { return }
        do throws(LogError) {
            try await open(store)
            if let failure = store.openState.failure { throw failure }
            try await store.writeOut()
            try await store.sync()
        } catch {
            fail(store, error)
            throw error
        }
    }

    /// Makes everything durable that was taken, as fast as the device allows: somebody waits for it.
    public func persistAll() async throws(LogError) {
        let dirty = stores.compactMap { $0 }.filter { $0.isQueued }.map(\.partition)
        await persistSeveral(dirty, atOnce: Self.syncsAtOnce, isPaced: false)
        for partition in dirty {
            if case .failed(let error)? = stores[Int(partition.rawValue)]?.openState { throw error }
        }
    }

    /// Makes everything durable that some partitions have taken, as fast as the device allows. What the disk has no
    /// room for stays queued; a log that failed is in `openState`.
    public func persist(_ partitions: [PartitionID]) async {
        await persistSeveral(partitions, atOnce: Self.syncsAtOnce, isPaced: false)
    }

    /// Persists what was taken and closes every file.
    public func close() async throws(LogError) {
        guard !isClosed else { return }
        isClosed = true
        wake()
        if isRunning { await withUnsafeContinuation { idlers.append($0) } }
        defer {
            hasEnded = true
            stores = Array(repeating: nil, count: stores.count)
        }
        try await persistAll()
        await descriptors.closeAll()
    }

    /// A log holds a record again that is not persisted, or there are more than are to be held.
    func took(_ store: PartitionLogStore) {
        if !store.isQueued {
            store.isQueued = true
            store.dirtySince = seams.clock.monotonicNanoseconds
            queue.append(store.partition)
            if queue.count - queueHead == 1 { wake() }
        }
        if buffered.isOverLimit, !isPressed {
            isPressed = true
            wake()
        }
    }

    private func wake() {
        wakeUp?.resume()
        wakeUp = nil
    }

    private func runRounds() async {
        while !isClosed, !isHeld {
            await pause()
            if isClosed { break }
            if buffered.isOverLimit { await relieve() }
            isPressed = buffered.isOverLimit
            let due = takeDue()
            if !due.isEmpty { await persistSeveral(due, atOnce: configuration.maxConcurrentSyncs, isPaced: true) }
        }
        isRunning = false
        for idler in idlers { idler.resume() }
        idlers.removeAll()
    }

    /// Waits until a partition is due, the floor waits or the buffers are full.
    private func pause() async {
        if isPressed, buffered.isOverLimit { return }
        let now = seams.clock.monotonicNanoseconds
        var deadline: UInt64?
        if queueHead < queue.count, let oldest = stores[Int(queue[queueHead].rawValue)] {
            if isDue(oldest, now) { return }
            deadline = oldest.dirtySince + configuration.persistAgeNanoseconds
        }
        await withUnsafeContinuation { continuation in
            wakeUp = continuation
            if let deadline {
                timer = seams.clock.schedule(atNanoseconds: deadline) { [self] in wake() }
            }
        }
        if let timer { seams.clock.cancel(timer) }
        timer = nil
    }

    private func isDue(_ store: PartitionLogStore, _ now: UInt64) -> Bool {
        store.dirtySince + configuration.persistAgeNanoseconds <= now || store.dirtySince <= hastenedThrough
    }

    /// The partitions to be persisted now: those whose oldest record is old enough or was there when the floor asked,
    /// and no more than may be synced in a second.
    private func takeDue() -> [PartitionID] {
        let now = seams.clock.monotonicNanoseconds
        var due: [PartitionID] = []
        while queueHead < queue.count, due.count < configuration.maxSyncsPerSecond {
            let partition = queue[queueHead]
            if let store = stores[Int(partition.rawValue)], store.isQueued {
                guard isDue(store, now) else { break }
                due.append(partition)
            }
            queueHead += 1
        }
        if queueHead > 1024, queueHead * 2 > queue.count {
            queue.removeFirst(queueHead)
            queueHead = 0
        }
        return due
    }

    /// Writes the oldest records without syncing them until the buffers are half empty.
    private func relieve() async {
        var at = queueHead
        while buffered.count > buffered.limit / 2, at < queue.count {
            if let store = stores[Int(queue[at].rawValue)], !store.buffer.isEmpty {
                do throws(LogError) {
                    try await open(store)
                    try await store.writeOut()
                } catch { fail(store, error) }
            }
            at += 1
            if at < queueHead { at = queueHead }
        }
    }

    /// Persists partitions in the order of their shards, so that one directory sync serves the files made in it, a
    /// few at a time and, when paced, no faster than the bound on syncs.
    private func persistSeveral(_ partitions: [PartitionID], atOnce: Int, isPaced: Bool) async {
        let ordered = partitions.sorted { ($0.rawValue & 255, $0.rawValue) < ($1.rawValue & 255, $1.rawValue) }
        let began = seams.clock.monotonicNanoseconds
        var next = 0
        while next < ordered.count {
            let group = ordered[next..<min(next + atOnce, ordered.count)]
            next += group.count
            await persistTogether(group)
            let earliest = began + UInt64(next) * (1_000_000_000 / UInt64(max(1, configuration.maxSyncsPerSecond)))
            let now = seams.clock.monotonicNanoseconds
            if isPaced, !isClosed, now < earliest, ordered.count > atOnce {
                await seams.clock.sleep(nanoseconds: earliest - now)
            }
        }
    }

    private func persistTogether(_ group: ArraySlice<PartitionID>) async {
        if group.count == 1, let only = group.first {
            await persistOne(only)
            return
        }
        var remaining = group.count
        await withUnsafeContinuation { (done: UnsafeContinuation<Void, Never>) in
            for partition in group {
                seams.scheduler.spawn("persist partition \(partition)") {
                    await self.persistOne(partition)
                    remaining -= 1
                    if remaining == 0 { done.resume() }
                }
            }
        }
    }

    private func persistOne(_ partition: PartitionID) async {
        guard let store = stores[Int(partition.rawValue)] else { return }
        do throws(LogError) {
            try await open(store)
            try await store.writeOut()
            try await store.sync()
        } catch { fail(store, error) }
    }

    /// The last of a log's records that may be written now; `nil` when none may.
    func writableEnd(of store: PartitionLogStore) async -> PartitionLogIndex? {
        guard let hardenLog, !store.buffer.isEmpty else { return PartitionLogIndex(.max) }
        let last = store.buffer.position(store.buffer.count - 1)
        if await hardenLog(last.raftIndex) { return last.partitionIndex }
        isHeld = true
        return nil
    }

    /// Everything that a partition had taken is durable, or will never be.
    func settled(_ store: PartitionLogStore) {
        store.isQueued = false
        if !store.buffer.isEmpty || store.unsyncedEntries > 0 {
            store.isQueued = true
            store.dirtySince = seams.clock.monotonicNanoseconds
            queue.append(store.partition)
        }
    }

    /// A partition's log is gone or another takes its place, which ends with `line`.
    func forget(_ store: PartitionLogStore, for line: SystemCheckpoint.Line? = nil) {
        store.dropUnwritten()
        // Whoever still holds it must not write into files that are not its own any more.
        store.openState = .failed(.closed)
        store.isQueued = false
        cache.removeAll(of: store.partition)
        registry[store.partition] = line
        stores[Int(store.partition.rawValue)] = nil
    }

    /// A log that cannot be opened or written. A full disk is no such thing: the records stay and wait for their next
    /// round.
    func fail(_ store: PartitionLogStore, _ error: LogError) {
        if store.openState.failure != nil { return }
        if case .noSpace = error, store.openState == .open {
            settled(store)
            log.write(
                LogEvent(
                    .warn, "log", "no space for a partition log",
                    fields: [.init("partition", "\(store.partition)"), .init("reason", "\(error)")]))
            return
        }
        store.openState = store.openState == .open ? .readOnly(error) : .failed(error)
        store.isQueued = false
        buffered.remove(store.buffer.byteCount)
        store.buffer = RecordQueue()
        log.write(
            LogEvent(
                .error, "log", "partition log unusable",
                fields: [.init("partition", "\(store.partition)"), .init("reason", "\(error)")]))
        onFailure?(store.partition, error)
    }

    // MARK: Shared memory

    func borrowBuilder() -> BatchBuilder {
        builders.popLast()
            ?? BatchBuilder(
                capacityBytes: configuration.batchBytes, alignmentBytes: 1 << Int(LogFormat.defaultAlignmentLog2))
    }

    func giveBack(_ builder: BatchBuilder) {
        builder.reset()
        if builders.count < configuration.maxConcurrentSyncs, builder.buffer.count <= 4 * configuration.batchBytes {
            builders.append(builder)
        }
    }
}
