import CordwoodBase
import CordwoodEvents
import CordwoodMachine

/// An event store without a log behind it, and commands that it takes.
enum EventSamples {
    /// A partition log that holds nothing: an apply never reads.
    private final class NoLog: PartitionLogReading {
        var startIndex: PartitionLogIndex { 1 }
        var nextIndex: PartitionLogIndex { 1 }
        func commands(from: PartitionLogIndex, maxCount: Int, maxBytes: Int) async throws -> [PartitionCommand] { [] }
    }

    private final class NoFiles: DerivedFiles {
        func replace(_ name: String, with bytes: [UInt8]) async throws {}
        func read(_ name: String) async throws -> [UInt8]? { nil }
        func delete(_ name: String) async throws {}
    }

    static func store() -> EventStore {
        EventStore(
            context: MachineContext(
                partition: 7, log: NoLog(), derived: NoFiles(), watermark: { .max }, report: { _ in }))
    }

    static func apply(_ command: [UInt8], to store: EventStore) -> ApplyOutcome {
        let index = store.lastAppliedIndex.next
        return store.apply(
            PartitionCommand(
                partition: 7, partitionIndex: index, raftIndex: RaftIndex(index.rawValue), term: 1,
                timestampMicroseconds: 1_700_000_000_000_000, payload: command[...]))
    }

    private static let key = PartitionKey(UUID(high: 1, low: 2))

    static let commands: [[UInt8]] = [
        command([(1, "a", .any, false)]), command([(2, "a", .exactly(0), true)]),
        command([(2, "a", .exactly(0), true)]),
        command([(3, "b", .empty, true), (4, "a", .exists, false), (5, "long-stream-id", .any, true)]),
        command([(6, "b", .empty, true)]),
    ]

    static let answers: [[UInt8]] = {
        let store = EventSamples.store()
        return commands.map { apply($0, to: store).answer } + [apply([0], to: store).answer]
    }()

    /// A command of events with a number, a stream, an expectation, and an id that the client brought or not.
    private static func command(_ events: [(UInt64, String, ExpectedVersion, Bool)]) -> [UInt8] {
        let payload: [UInt8] = [9, 8, 7]
        let storage = events.flatMap { Array($0.1.utf8) + payload }
        return storage.withUnsafeBytes { bytes in
            var offset = 0
            func take(_ count: Int) -> UnsafeRawBufferPointer {
                defer { offset += count }
                return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
            }
            let drafts = events.map { number, stream, expected, isSupplied in
                EventDraft(
                    streamID: take(stream.utf8.count), name: UnsafeRawBufferPointer(start: nil, count: 0),
                    id: EventID(milliseconds: 1_700_000_000_000 + number, partitionHash: key.hash, random: number),
                    idIsSupplied: isSupplied, expectedVersion: expected, payload: take(payload.count))
            }
            return AppendCommand.encode(key: key, events: drafts)
        }
    }
}
