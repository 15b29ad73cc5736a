import CordwoodBase
import CordwoodIO
import CordwoodMachine
import CordwoodVirtual
import Testing

@Suite struct SnapshotStoreTests {
    private func header(_ partition: PartitionID, _ index: UInt64) -> SnapshotHeader {
        SnapshotHeader(
            partition: partition, index: PartitionLogIndex(index), raftIndex: RaftIndex(index), term: 1, chain: .zero,
            eventCount: index)
    }

    @Test func listsADirectoryOnceHoweverManyPartitionsAreAskedFor() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let store = SnapshotStore(directory: "snapshots", seams: seams)
            for partition in 0..<600 as Range<UInt64> {
                for index in 1...3 as ClosedRange<UInt64> {
                    try await store.write(header(PartitionID(partition), index), [1, 2, 3], keeping: 2)
                }
            }
            let again = SnapshotStore(directory: "snapshots", seams: seams)
            let before = world.disk.counts[.list] ?? 0
            for partition in 0..<600 as Range<UInt64> {
                let found = try await again.list(PartitionID(partition))
                #expect(found.map(\.index) == [3, 2])
                #expect(found.allSatisfy { $0.partition == PartitionID(partition) })
            }
            // One for each of the 256 shards, beside those that make the directories.
            #expect((world.disk.counts[.list] ?? 0) - before <= 256)
        }
    }

    @Test func knowsWhatItWritesAndRemovesAndWhatOthersPutThereWhenAskedAfresh() throws {
        try VirtualWorld(seed: 2).run { seams in
            let store = SnapshotStore(directory: "snapshots", seams: seams)
            let indexes = { try await store.list(7, isFresh: $0).map(\.index) }
            var found = try await indexes(false)
            #expect(found.isEmpty)
            try await store.write(header(7, 10), [], keeping: 2)
            found = try await indexes(false)
            #expect(found == [10])
            let other = SnapshotStore(directory: "snapshots", seams: seams)
            try await other.write(header(7, 20), [], keeping: 2)
            found = try await indexes(false)
            #expect(found == [10])
            found = try await indexes(true)
            #expect(found == [20, 10])
            try await other.removeAll(7)
            found = try await indexes(false)
            #expect(found.isEmpty)
        }
    }
}
