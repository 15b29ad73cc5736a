internal import CordwoodBase
internal import CordwoodIO
internal import CordwoodLog
internal import CordwoodRaft

/// A segmented log store under writers that each wait for their entry to be durable before they append the next, as the
/// clients of a node do.
final class LogWorkload {
    static let partitionCount = 32

    /// What a round of appends gave.
    struct Figures: Sendable {
        var entries: UInt64 = 0
        var payloadBytes: UInt64 = 0
        var nanoseconds: UInt64 = 0
        var processNanoseconds: UInt64 = 0
        var latency = LatencyHistogram()
        var meter = MeteredFileSystem.Meter()

        var seconds: Double { Double(nanoseconds) / 1e9 }
        var entriesPerSecond: Double { Double(entries) / seconds }
        var megabytesPerSecond: Double { Double(payloadBytes) / seconds / 1e6 }
        /// Durable writes, and syncs beside them.
        var syncsPerSecond: Double { Double(meter.durableWrites + meter.syncs) / seconds }
        var batchesPerSecond: Double { Double(meter.durableWrites) / seconds }
        var batchBytes: Int { meter.durableWrites == 0 ? 0 : Int(meter.durableBytes / meter.durableWrites) }
        var processMicrosecondsEach: Double { Double(processNanoseconds) / 1000 / Double(max(1, entries)) }
        var bytesPerPayloadByte: Double { Double(meter.durableBytes) / Double(max(1, payloadBytes)) }

        static func += (total: inout Figures, part: Figures) {
            total.entries += part.entries
            total.payloadBytes += part.payloadBytes
            total.nanoseconds += part.nanoseconds
            total.processNanoseconds += part.processNanoseconds
            total.latency.add(part.latency)
            total.meter += part.meter
        }
    }

    let directory: String
    private(set) var store: SegmentedLogStore
    private let seams: Seams
    private let files: MeteredFileSystem
    private let identity: StoreIdentity
    private let options: LogStoreOptions

    /// Makes a new store under `parent`.
    init(_ seams: Seams, under parent: String, depth: Int = 1) async throws {
        let files = MeteredFileSystem(seams.files)
        var options = LogStoreOptions()
        options.depth = depth
        self.files = files
        self.options = options
        self.seams = seams.metered(by: files)
        directory = "\(parent)/cordwood-bench-log-\(seams.random.next())"
        identity = StoreIdentity(
            cluster: UniqueID(high: 1, low: 1), node: UniqueID(high: 1, low: 2), replica: ReplicaID(1))
        store = try await SegmentedLogStore.open(
            directory: directory, identity: identity, options: options, seams: self.seams)
    }

    /// Appends entries of `payloadBytes` from so many writers for `nanoseconds`.
    func append(writers: Int, payloadBytes: Int, forNanoseconds nanoseconds: UInt64) async throws -> Figures {
        let before = files.meter
        let processBefore = ProcessTime.nanoseconds
        let start = seams.clock.monotonicNanoseconds
        let round = WriterRound(store, seams, payloadBytes: payloadBytes, deadline: start + nanoseconds)
        try await round.run(writers: writers)
        var figures = Figures()
        figures.nanoseconds = seams.clock.monotonicNanoseconds - start
        figures.processNanoseconds = ProcessTime.nanoseconds - processBefore
        figures.latency = round.latency
        figures.entries = figures.latency.count
        figures.payloadBytes = figures.entries * UInt64(payloadBytes)
        figures.meter = files.meter - before
        return figures
    }

    /// Appends so many entries as fast as the store takes them, without waiting for each. What is durable counts as
    /// committed, as in a group of one.
    func fill(entries count: Int, payloadBytes: Int) async throws {
        let payload = [UInt8](repeating: 0x61, count: payloadBytes)
        var done = 0
        while done < count {
            let next = min(count - done, max(1, (1 << 20) / payloadBytes))
            for _ in 0..<next { _ = try store.append([entry(PartitionID(UInt64(done % 32)), payload)]) }
            done += next
            try await store.flush()
            store.updateCommit(store.durableIndex)
        }
    }

    /// What reading the whole log took.
    struct Reading {
        var nanoseconds: UInt64
        var processNanoseconds: UInt64
        var bytes: UInt64
    }

    /// Closes the store and opens it again; returns how long opening took, and how much of the processors.
    func reopen(droppingCaches: Bool) async throws -> Reading {
        try await store.close()
        if droppingCaches { try await dropCaches() }
        let start = seams.clock.monotonicNanoseconds
        let processBefore = ProcessTime.nanoseconds
        store = try await SegmentedLogStore.open(
            directory: directory, identity: identity, options: options, seams: seams)
        return Reading(
            nanoseconds: seams.clock.monotonicNanoseconds - start,
            processNanoseconds: ProcessTime.nanoseconds - processBefore, bytes: store.recovery.scannedBytes)
    }

    /// Reads and verifies the files as recovery does, but through the page cache, which holds them: what verification
    /// itself can do, whatever the device.
    func scan() async throws -> Reading {
        var options = StreamScanner.Options()
        options.readsPastCaches = false
        options.knownNames = [SegmentedLogStore.lockName]
        var reading = Reading(nanoseconds: 0, processNanoseconds: 0, bytes: 0)
        // The first pass fills the cache.
        for _ in 0..<2 {
            let start = seams.clock.monotonicNanoseconds
            let processBefore = ProcessTime.nanoseconds
            let scanner = StreamScanner(
                directory: directory, kind: .segmented, files: seams.files, options: options,
                scheduler: seams.scheduler)
            let (scan, _) = try await scanner.run { LogReplay() }
            reading = Reading(
                nanoseconds: seams.clock.monotonicNanoseconds - start,
                processNanoseconds: ProcessTime.nanoseconds - processBefore, bytes: scan.acceptedBytes)
        }
        return reading
    }

    /// Closes the store and removes what it made.
    func remove() async throws {
        try await store.close()
        for entry in try await seams.files.list(directory) {
            try await seams.files.remove("\(directory)/\(entry.name)")
        }
        try await seams.files.remove(directory)
    }

    private func dropCaches() async throws(IOError) {
        for entry in try await seams.files.list(directory) where !entry.isDirectory {
            let file = try await seams.files.open(
                "\(directory)/\(entry.name)", FileMode(.mustExist, writable: false))
            try await file.dropCache()
            await file.close()
        }
    }

    private func entry(_ partition: PartitionID, _ payload: [UInt8]) -> Entry {
        let slice = EntrySlice(
            partition: partition, partitionIndex: store.nextPartitionIndex(partition),
            previousRaftIndex: store.lastRaftIndex(of: partition), offset: 0, length: UInt32(payload.count))
        return Entry(
            index: store.nextIndex, term: 1, type: .application, timestampMicroseconds: 1, slices: .one(slice),
            payload: payload)
    }
}
