import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual

/// Small stores on a virtual machine.
enum LogWorld {
    static let identity = StoreIdentity(
        cluster: UniqueID(high: 1, low: 2), node: UniqueID(high: 3, low: 4), replica: 5)

    static var options: LogStoreOptions {
        var options = LogStoreOptions()
        options.segmentBytes = 64 << 10
        options.maximumEntryBytes = 16 << 10
        options.batchBytes = 32 << 10
        options.cacheBytes = 4 << 10
        return options
    }

    static func open(
        _ seams: Seams, _ options: LogStoreOptions = LogWorld.options
    ) async throws -> SegmentedLogStore {
        try await SegmentedLogStore.open(directory: "/log", identity: identity, options: options, seams: seams)
    }

    /// Runs `body` with a store that is closed behind it. Gives the disk as it is then.
    @discardableResult
    static func run(
        on image: DiskImage = DiskImage(), seed: UInt64 = 1, options: LogStoreOptions = LogWorld.options,
        _ body: @escaping (SegmentedLogStore, Seams) async throws -> Void
    ) throws -> DiskImage {
        let world = VirtualWorld(seed: seed, disk: image)
        try world.run { seams in
            let store = try await open(seams, options)
            try await body(store, seams)
            try await store.close()
        }
        return world.disk.image.flushed()
    }

    /// An entry without slices.
    static func entry(_ index: RaftIndex, term: Term = 1, payloadBytes: Int = 100) -> Entry {
        Entry(
            index: index, term: term, type: .noOperation,
            timestampMicroseconds: 1_700_000_000_000_000 + Int64(index.rawValue),
            payload: (0..<payloadBytes).map {
                UInt8(truncatingIfNeeded: $0 &* 7 &+ Int(index.rawValue) &+ Int(term.rawValue) &* 31)
            })
    }

    static func entries(_ range: ClosedRange<UInt64>, term: Term = 1, payloadBytes: Int = 100) -> [Entry] {
        range.map { entry(RaftIndex($0), term: term, payloadBytes: payloadBytes) }
    }
}

extension SegmentedLogStore {
    /// Appends and waits until it is durable.
    func write(_ entries: [Entry]) async throws {
        let ticket = try append(entries)
        endBatch()
        try await waitUntilDurable(ticket)
    }

    /// Everything from the start to the end.
    func all() async throws -> [Entry] { try await entries(in: startIndex..<nextIndex, maxBytes: nil) }
}

extension Array where Element == Entry {
    /// The entries without their chain values: as they were given.
    var asGiven: [Entry] {
        map {
            var entry = $0
            entry.chain = .zero
            return entry
        }
    }
}
