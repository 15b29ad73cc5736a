import CordwoodBase
import CordwoodEvents
import CordwoodMachine

/// A partition log in memory, of which reads may return less than was asked for.
final class MemoryLog: PartitionLogReading {
    var commands: [PartitionCommand] = []
    var startIndex: PartitionLogIndex { 1 }
    var nextIndex: PartitionLogIndex { PartitionLogIndex(UInt64(commands.count) + 1) }
    var readCount = 0

    func commands(from index: PartitionLogIndex, maxCount: Int, maxBytes: Int) async throws -> [PartitionCommand] {
        readCount += 1
        var taken: [PartitionCommand] = []
        var bytes = 0
        for command in commands.dropFirst(Int(index.rawValue) - 1).prefix(maxCount) {
            bytes += command.payload.count
            if !taken.isEmpty, bytes > maxBytes { break }
            taken.append(command)
        }
        return taken
    }
}

/// Derived files of which none ever exists.
final class NoDerivedFiles: DerivedFiles {
    func replace(_ name: String, with bytes: [UInt8]) async throws {}
    func read(_ name: String) async throws -> [UInt8]? { nil }
    func delete(_ name: String) async throws {}
}

/// An event store with a log of its own and a watermark that the test sets: by default all that is applied is visible.
final class Workbench {
    let log = MemoryLog()
    private let limit = Watermark()
    private(set) var store: EventStore
    var clock: Int64 = 1_700_000_000_000_000

    final class Watermark { var value = UInt64.max }

    init() {
        store = Self.makeStore(log, limit)
    }

    var watermark: UInt64 {
        get { limit.value }
        set { limit.value = newValue }
    }

    /// A store over the same log that has applied nothing.
    func freshStore() -> EventStore { Self.makeStore(log, limit) }

    private static func makeStore(_ log: MemoryLog, _ limit: Watermark) -> EventStore {
        EventStore(
            context: MachineContext(
                partition: 7, log: log, derived: NoDerivedFiles(), watermark: { limit.value }, report: { _ in }))
    }

    /// Opens the store anew from a snapshot of it.
    func reopen() throws {
        let snapshot = store.snapshot()
        store = freshStore()
        try store.restore(snapshot)
    }

    /// Puts a command into the log and applies it.
    @discardableResult
    func apply(_ payload: [UInt8]) -> ApplyOutcome {
        clock += 1_000
        let command = PartitionCommand(
            partition: 7, partitionIndex: log.nextIndex, raftIndex: RaftIndex(log.nextIndex.rawValue * 3), term: 1,
            timestampMicroseconds: clock, payload: payload[...])
        log.commands.append(command)
        return store.apply(command)
    }

    /// Applies a command that the log does not keep, for tests of the indexes alone.
    func applyWithoutLog(_ payload: [UInt8]) {
        let index = store.lastAppliedIndex.next
        _ = store.apply(
            PartitionCommand(
                partition: 7, partitionIndex: index, raftIndex: RaftIndex(index.rawValue), term: 1,
                timestampMicroseconds: clock, payload: payload[...]))
    }

    @discardableResult
    func append(_ events: [TestEvent], key: PartitionKey = TestEvent.key) throws -> AppendAnswer {
        try AppendAnswer(decoding: apply(TestEvent.encode(events, key: key)).answer)
    }

    @discardableResult
    func append(_ event: TestEvent, key: PartitionKey = TestEvent.key) throws -> AppendAnswer {
        try append([event], key: key)
    }

    func stream(_ id: String, key: PartitionKey = TestEvent.key) -> StreamNumber? {
        Array(id.utf8).withUnsafeBytes { store.stream($0, under: key) }
    }
}

/// An event as a test writes it down.
struct TestEvent: Hashable {
    static let key = PartitionKey(UUID(high: 0x0102_0304_0506_5708, low: 0x8b0a_0c0d_0e0f_1011))

    var stream = "orders"
    var name = "placed"
    var id: EventID
    var isSupplied = false
    var expected = ExpectedVersion.any
    var timestamp: Int64?
    var metadata: [UInt8] = []
    var payload: [UInt8] = [1, 2, 3]

    init(_ number: UInt64, stream: String = "orders", supplied: Bool = false, expected: ExpectedVersion = .any) {
        self.stream = stream
        self.isSupplied = supplied
        self.expected = expected
        id = Self.id(number)
    }

    /// The event id with this number under `key`.
    static func id(_ number: UInt64, key: PartitionKey = Self.key) -> EventID {
        EventID(milliseconds: 1_700_000_000_000 + number, partitionHash: key.hash, random: number &* 0x9E37_79B9)
    }

    static func encode(_ events: [TestEvent], key: PartitionKey = Self.key) -> [UInt8] {
        var storage: [UInt8] = []
        for event in events {
            storage += Array(event.stream.utf8) + Array(event.name.utf8) + event.metadata + event.payload
        }
        return storage.withUnsafeBytes { bytes in
            var offset = 0
            func take(_ count: Int) -> UnsafeRawBufferPointer {
                defer { offset += count }
                return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
            }
            let drafts = events.map {
                EventDraft(
                    streamID: take($0.stream.utf8.count), name: take($0.name.utf8.count), id: $0.id,
                    idIsSupplied: $0.isSupplied, expectedVersion: $0.expected, timestampMilliseconds: $0.timestamp,
                    metadata: take($0.metadata.count), payload: take($0.payload.count))
            }
            return drafts.count == 1
                ? AppendCommand.encode(key: key, event: drafts[0]) : AppendCommand.encode(key: key, events: drafts)
        }
    }
}

/// A small random source whose seed a failing test prints.
struct Dice: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
