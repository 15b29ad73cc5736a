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

    @Test func aSnapshotWithAnyByteChangedIsNotThere() throws {
        let state: [UInt8] = (0..<300).map { UInt8(truncatingIfNeeded: $0) }
        let world = VirtualWorld(seed: 3)
        try world.run { seams in
            try await SnapshotStore(directory: "snapshots", seams: seams).write(header(7, 10), state, keeping: 2)
        }
        let image = world.disk.image.flushed()
        let path = try #require(image.paths.first { $0.hasSuffix(".snapshot") })
        for offset in 0..<UInt64(image.contents(path)?.count ?? 0) {
            var damaged = image
            damaged.flip(path, at: offset, mask: 1 << UInt8(offset % 8))
            try VirtualWorld(seed: 4, disk: damaged).run { seams in
                let found = try await SnapshotStore(directory: "snapshots", seams: seams).read(7, 10)
                #expect(found == nil, "byte \(offset)")
            }
        }
        try VirtualWorld(seed: 4, disk: image).run { seams in
            let found = try await SnapshotStore(directory: "snapshots", seams: seams).read(7, 10)
            #expect(found?.state == state)
        }
    }

    @Test func aPowerCutAtAnyMomentLeavesWholeSnapshotsAndTheLastOneThatWasWritten() throws {
        let world = VirtualWorld(seed: 5)
        var moments: [(image: DiskImage, written: UInt64)] = []
        var written: UInt64 = 0
        world.disk.onCrashPoint = { moments.append(($0.image, written)) }
        try world.run { seams in
            let store = SnapshotStore(directory: "snapshots", seams: seams)
            for index in 1...4 as ClosedRange<UInt64> {
                try await store.write(
                    header(7, index), [UInt8](repeating: UInt8(index), count: 3000), keeping: Int(index % 2))
                written = index
            }
        }
        moments.append((world.disk.image, written))
        for (number, moment) in moments.enumerated() {
            for state in moment.image.crashStates(limit: 12, exhaustiveUnits: 3, seed: UInt64(number)) {
                try VirtualWorld(seed: 6, disk: state).run { seams in
                    let store = SnapshotStore(directory: "snapshots", seams: seams)
                    let found = try await store.list(7)
                    for header in found {
                        let snapshot = try await store.read(7, header.index)
                        let expected = [UInt8](repeating: UInt8(header.index.rawValue), count: 3000)
                        #expect(snapshot?.state == expected, "moment \(number), snapshot \(header.index)")
                    }
                    #expect((found.first?.index.rawValue ?? 0) >= moment.written, "moment \(number)")
                }
            }
        }
    }

    @Test func aSnapshotThatComesOverIsTheOneThatWasNamedOrIsDropped() throws {
        try VirtualWorld(seed: 9).run { seams in
            let source = SnapshotStore(directory: "source", seams: seams)
            let state = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            try await source.write(header(1, 7), state, keeping: 2)
            try await source.write(header(1, 8), state, keeping: 2)
            let named = try #require(try await source.describe(1, 7)).file
            let whole = try #require(try await source.bytes(of: 1, 7, at: 0, count: 1 << 20))
            let other = try #require(try await source.bytes(of: 1, 8, at: 0, count: 1 << 20))
            #expect(UInt64(whole.count) == named.byteCount)
            #expect(try await source.bytes(of: 1, 7, at: named.byteCount, count: 10) == [])
            #expect(try await source.bytes(of: 1, 9, at: 0, count: 10) == nil)

            let target = SnapshotStore(directory: "target", seams: seams)
            var flipped = whole
            flipped[whole.count / 2] ^= 1
            for wrong in [flipped, Array(whole.dropLast()), other, []] {
                try await target.addPart(of: named, at: 0, wrong)
                let isTaken = try await target.finishPart(of: named)
                #expect(!isTaken, "\(wrong.count) bytes")
                #expect(try await target.partialBytes(of: named) == 0)
                #expect(try await target.read(1, 7) == nil)
            }
            try await target.addPart(of: named, at: 0, Array(whole[..<3000]))
            #expect(try await target.partialBytes(of: named) == 3000)
            try await target.addPart(of: named, at: 3000, Array(whole[3000...]))
            let isTaken = try await target.finishPart(of: named)
            #expect(isTaken)
            #expect(try await target.read(1, 7)?.state == state)

            let last = SnapshotStore(directory: "last", seams: seams)
            for _ in 1...2 { try await last.adopt(1, 7, from: target) }
            #expect(try await last.read(1, 7)?.state == state)
            #expect(try await target.read(1, 7) == nil)
        }
    }
}
