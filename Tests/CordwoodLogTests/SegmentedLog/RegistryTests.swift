import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

@Suite("Registries of system checkpoints")
struct RegistryTests {
    /// An entry with one slice.
    private static func entry(
        _ index: UInt64, _ partition: PartitionID, _ partitionIndex: UInt64, after previous: UInt64
    ) -> Entry {
        Entry(
            index: RaftIndex(index), term: 1, type: .application, timestampMicroseconds: Int64(index),
            slices: .one(
                EntrySlice(
                    partition: partition, partitionIndex: PartitionLogIndex(partitionIndex),
                    previousRaftIndex: RaftIndex(previous), offset: 0, length: 900)),
            payload: [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: 900))
    }

    private static func line(_ partition: PartitionID, _ persisted: UInt64, at index: UInt64) -> SystemCheckpoint.Line {
        SystemCheckpoint.Line(
            partition: partition, persisted: PartitionLogIndex(persisted), raftIndex: RaftIndex(index), chain: .zero)
    }

    private static func checkpoint(_ lines: [SystemCheckpoint.Line]) -> SystemCheckpoint {
        SystemCheckpoint(configuration: [1], sessions: [], routingEpoch: 1, partitions: lines)
    }

    /// A checkpoint that is still in the log may be older than what was purged under a later one: between the record
    /// that it names of a partition and the first entry that is left lie entries that nobody can read any more.
    @Test("an older one than what was purged since does not contradict the log")
    func olderThanThePurge() throws {
        let image = try LogWorld.run { store, _ in
            // Forty entries of partition 0, then so many of partition 1 that the second segment begins with them.
            try await store.write((1...40).map { Self.entry($0, 0, $0, after: $0 - 1) })
            try await store.write((41...110).map { Self.entry($0, 1, $0 - 40, after: $0 == 41 ? 0 : $0 - 1) })
            #expect(store.segments.count > 1)
            try await store.writeSystemCheckpoint(Self.checkpoint([Self.line(0, 10, at: 10)]))
            try await store.write([Self.entry(111, 0, 41, after: 40)])
            try await store.writeSystemCheckpoint(
                Self.checkpoint([Self.line(0, 41, at: 111), Self.line(1, 70, at: 110)]))
            store.updateCommit(111)
            try await store.compact(through: 110, boundary: nil)
            try await store.raiseFloor(to: 111)
            #expect(try #require(store.segments.first).segment > 1)
        }
        try LogWorld.run(on: image) { store, _ in
            #expect(store.nextPartitionIndex(0) == 42)
            #expect(store.nextPartitionIndex(1) == 71)
            try await store.write([Self.entry(112, 0, 42, after: 111)])
            // What has been read, or stated by the newest registry, closes the gap: no other entry fits.
            #expect(throws: LogError.self) { try store.append([Self.entry(113, 1, 75, after: 112)]) }
        }
    }
}
