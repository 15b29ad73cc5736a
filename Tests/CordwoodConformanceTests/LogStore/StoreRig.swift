import CordwoodBase
import CordwoodConformance
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

/// A segmented store on the faulty disk of a world, with what was appended to it.
final class StoreRig {
    let world: VirtualWorld
    var options = SegmentedLogStoreFactory.smallSegments
    private(set) var payloads: [[UInt8]] = []

    init(seed: UInt64 = 1, disk: DiskImage = DiskImage(), diskOptions: FaultyDisk.Options = .init()) {
        world = VirtualWorld(seed: seed, disk: disk, options: diskOptions)
    }

    func open() async throws -> SegmentedLogStore {
        try await SegmentedLogStore.open(
            directory: "/log", identity: SegmentedLogStoreFactory.identity, options: options, seams: world.seams)
    }

    /// The next entries, which are expected from here on.
    func entries(_ count: Int, bytes: Int = 1000, term: Term = 1) -> [Entry] {
        (0..<count).map { _ in
            let index = UInt64(payloads.count + 1)
            let payload = (0..<bytes).map { UInt8(truncatingIfNeeded: UInt64($0) &* 7 &+ index &* 13 &+ term.rawValue) }
            payloads.append(payload)
            return Entry(
                index: RaftIndex(index), term: term, type: .application, timestampMicroseconds: Int64(index),
                payload: payload)
        }
    }

    func append(_ store: SegmentedLogStore, _ count: Int, bytes: Int = 1000, term: Term = 1) async throws {
        let ticket = try store.append(entries(count, bytes: bytes, term: term))
        store.endBatch()
        try await store.waitUntilDurable(ticket)
    }

    /// One entry a batch, so that segments fill soon.
    func appendSingly(_ store: SegmentedLogStore, _ count: Int, bytes: Int = 1000) async throws {
        for _ in 0..<count { try await append(store, 1, bytes: bytes) }
    }

    /// What was appended after `index` does not count any more.
    func forget(after index: Int) { payloads.removeSubrange(index...) }

    /// Compares what the store reads with what was appended.
    func check(_ store: SegmentedLogStore, count: Int? = nil) async throws {
        let expected = payloads.prefix(count ?? payloads.count)
        #expect(store.nextIndex.rawValue == UInt64(expected.count + 1))
        let first = store.startIndex
        let read = try await store.entries(in: first..<store.nextIndex, maxBytes: nil)
        #expect(read.map { Array($0.payload) } == Array(expected.dropFirst(Int(first.rawValue - 1))))
    }

    /// Segment files, the oldest first.
    var segmentPaths: [String] { world.disk.image.paths.filter { $0.hasSuffix(".seg") } }

    /// Where the data of a segment end.
    func usedBytes(_ path: String) -> Int {
        let bytes = world.disk.image.contents(path) ?? []
        return (bytes.lastIndex { $0 != 0 } ?? -1) + 1
    }
}

/// The error that `body` throws, if it is one of a log.
func logError<Value>(_ body: () async throws -> Value) async -> LogError? {
    do {
        _ = try await body()
        return nil
    } catch { return error as? LogError }
}

extension LogError {
    var damage: Damage? {
        if case .corrupt(let damage) = self { damage } else { nil }
    }

    var isNoSpace: Bool {
        if case .noSpace = self { true } else { false }
    }

    var isPoisoned: Bool {
        switch self {
        case .poisoned: true
        default: false
        }
    }
}
