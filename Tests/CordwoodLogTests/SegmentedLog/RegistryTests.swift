import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

@Suite("Registries of system checkpoints")
struct RegistryTests {
    /// An entry with one slice of partition 0, whose partition index is its Raft index.
    private static func entry(_ index: UInt64) -> Entry {
        Entry(
            index: RaftIndex(index), term: 1, type: .application, timestampMicroseconds: Int64(index),
            slices: .one(
                EntrySlice(
                    partition: 0, partitionIndex: PartitionLogIndex(index), previousRaftIndex: RaftIndex(index - 1),
                    offset: 0, length: 900)),
            payload: [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: 900))
    }

    private static func checkpoint(through index: UInt64) -> SystemCheckpoint {
        SystemCheckpoint(
            configuration: [1], sessions: [], routingEpoch: 1,
            partitions: [
                SystemCheckpoint.Line(
                    partition: 0, persisted: PartitionLogIndex(index), raftIndex: RaftIndex(index), chain: .zero)
            ])
    }

    /// A checkpoint that is still in the log may be older than what was purged under a later one: between the record
    /// that it names of a partition and the first entry that is left lie entries that nobody can read any more.
    @Test("an older one than what was purged since does not contradict the log")
    func olderThanThePurge() throws {
        let image = try LogWorld.run { store, _ in
            try await store.write((1...100).map(Self.entry))
            try await store.writeSystemCheckpoint(Self.checkpoint(through: 10))
            try await store.write((101...105).map(Self.entry))
            try await store.writeSystemCheckpoint(Self.checkpoint(through: 105))
            store.updateCommit(105)
            try await store.compact(through: 100, boundary: nil)
            try await store.raiseFloor(to: 101)
            #expect(try #require(store.segments.first).segment > 1)
        }
        try LogWorld.run(on: image) { store, _ in
            #expect(store.nextPartitionIndex(0) == 106)
            try await store.write([Self.entry(106)])
            // What has been read, or stated by the newest registry, closes the gap: no other entry fits.
            #expect(throws: LogError.self) { try store.append([Self.entry(108)]) }
        }
    }
}
