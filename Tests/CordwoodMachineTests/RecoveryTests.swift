import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodVirtual
import Testing

@Suite struct RecoveryTests {
    /// What any restart must show: the sums, counts and watermarks of all entries.
    private func expectState(_ bench: Bench, _ entries: [Entry], _ told: Comment) {
        var sums: [PartitionID: UInt64] = [:]
        var counts: [PartitionID: UInt64] = [:]
        for entry in entries {
            for slice in entry.slices {
                let start = Int(slice.offset)
                sums[slice.partition, default: 0] += number(entry.payload[start..<start + 8])
                counts[slice.partition, default: 0] += 1
            }
        }
        for (partition, sum) in sums {
            #expect(bench.adders[partition]?.sum == sum, told)
            #expect(bench.adders[partition]?.count == counts[partition], told)
            #expect(bench.applied(partition).rawValue == counts[partition], told)
            #expect(bench.dispatcher.watermark(of: partition) == counts[partition], told)
        }
    }

    private func work(_ bench: Bench, _ count: UInt64) throws {
        for number in 1...count { try bench.propose([PartitionID(number % 3): number]) }
    }

    @Test func aRestartGivesTheStateOfTheLogWhateverWasPersisted() throws {
        for seed in 0..<20 as Range<UInt64> {
            let world = VirtualWorld(seed: seed)
            let (entries, checkpoint) = try world.run { seams in
                let bench = Bench(seams)
                try work(bench, 30)
                if seed % 2 == 0 { try await bench.pool.persist(0) }
                if seed % 3 == 0 { _ = await bench.machine.snapshot(1) }
                let checkpoint = bench.checkpoint
                try work(bench, 40)
                if seed % 5 == 0 { _ = await bench.machine.snapshot(0) }
                _ = await bench.settle()
                return (bench.entries, checkpoint)
            }
            let next = VirtualWorld(seed: seed + 100, disk: world.crash())
            try next.run { seams in
                let bench = Bench(seams, log: entries, checkpoint: checkpoint)
                let report = try await bench.recover(checkpoint: checkpoint)
                #expect(report.entries == entries.count)
                let settled = await bench.settle()
                #expect(settled == .applied)
                for partition in 0..<3 as Range<UInt64> {
                    _ = await bench.machine.machine(of: PartitionID(partition))
                }
                expectState(bench, entries, "seed \(seed)")
                try work(bench, 9)
                _ = await bench.settle()
                expectState(bench, bench.entries, "seed \(seed), going on")
            }
        }
    }

    @Test func nothingBehindTheCommitKnownIsAppliedAndNextIndexesCountIt() throws {
        let world = VirtualWorld(seed: 1)
        let entries = try world.run { seams in
            let bench = Bench(seams)
            try work(bench, 30)
            return bench.entries
        }
        try world.run { seams in
            let bench = Bench(seams, log: entries)
            let report = try await bench.recover(commit: 12)
            #expect(report.forwarded == 12)
            #expect(report.uncommitted == 18)
            let barrier = await bench.dispatcher.barrier(through: 12, timeoutNanoseconds: 1_000_000_000)
            #expect(barrier == .applied)
            #expect(bench.applied(0) == 4)
            #expect(bench.dispatcher.status(of: 0, nowNanoseconds: 0)?.nextIndex == 11)
            bench.commit()
            let settled = await bench.settle()
            #expect(settled == .applied)
            expectState(bench, entries, "committed later")
        }
    }

    @Test func aDamagedSnapshotIsPassedOverForTheOlderOne() throws {
        let world = VirtualWorld(seed: 2)
        let (entries, checkpoint) = try world.run { seams in
            let bench = Bench(seams)
            try work(bench, 30)
            let first = await bench.machine.snapshot(0)
            try work(bench, 30)
            let second = await bench.machine.snapshot(0)
            #expect([first, second] == [10, 20])
            try work(bench, 30)
            _ = await bench.settle()
            try await bench.pool.persistAll()
            return (bench.entries, bench.checkpoint)
        }
        let newest = "snapshots/00/0-20.snapshot"
        let size = try #require(world.disk.image.contents(newest)).count
        for offset in stride(from: 0, to: size, by: 3) {
            var image = world.disk.image
            image.flip(newest, at: UInt64(offset), mask: 4)
            try VirtualWorld(seed: 3, disk: image).run { seams in
                let bench = Bench(seams, log: entries, checkpoint: checkpoint)
                _ = try await bench.recover(checkpoint: checkpoint, from: RaftIndex(UInt64(entries.count) + 1))
                _ = await bench.machine.machine(of: 0)
                #expect(bench.adders[0]?.count == 30, "offset \(offset)")
                #expect(bench.dispatcher.watermark(of: 0) == 30, "offset \(offset)")
            }
        }
    }

    @Test func theStateIsTheSameWithoutAnySnapshotOrDerivedFile() throws {
        let world = VirtualWorld(seed: 4)
        let (entries, checkpoint) = try world.run { seams in
            let bench = Bench(seams)
            try work(bench, 60)
            _ = await bench.machine.snapshot(0)
            _ = await bench.machine.snapshot(1)
            _ = await bench.settle()
            try await bench.adders[0]?.context.derived.replace("index", with: [1, 2, 3])
            let kept = try await bench.adders[0]?.context.derived.read("index")
            #expect(kept == [1, 2, 3])
            try await bench.pool.persistAll()
            return (bench.entries, bench.checkpoint)
        }
        var image = world.disk.image
        for path in image.paths where path.hasSuffix(".snapshot") || path.hasSuffix(".derived") { image.remove(path) }
        try VirtualWorld(seed: 5, disk: image).run { seams in
            let bench = Bench(seams, log: entries, checkpoint: checkpoint)
            _ = try await bench.recover(checkpoint: checkpoint)
            for partition in 0..<3 as Range<UInt64> { _ = await bench.machine.machine(of: PartitionID(partition)) }
            expectState(bench, entries, "without derived files")
            let derived = try await bench.adders[0]?.context.derived.read("index")
            #expect(derived == nil)
        }
    }

    @Test func aSnapshotOfAnotherLogIsPassedOver() throws {
        let world = VirtualWorld(seed: 6)
        let (entries, checkpoint) = try world.run { seams in
            let bench = Bench(seams)
            try work(bench, 30)
            _ = await bench.settle()
            try await bench.pool.persistAll()
            // Sound in itself, for an index that this log has, with another history before it.
            let line = try #require(bench.pool.lines.first { $0.partition == 0 })
            try await bench.snapshots.write(
                SnapshotHeader(
                    partition: 0, index: line.persisted, raftIndex: line.raftIndex, term: 1,
                    chain: ChainValue(high: 1, low: 1), eventCount: 10),
                bytes(of: 999) + bytes(of: 10), keeping: 2)
            return (bench.entries, bench.checkpoint)
        }
        try VirtualWorld(seed: 7, disk: world.disk.image).run { seams in
            let bench = Bench(seams, log: entries, checkpoint: checkpoint)
            _ = try await bench.recover(checkpoint: checkpoint)
            for partition in 0..<3 as Range<UInt64> { _ = await bench.machine.machine(of: PartitionID(partition)) }
            expectState(bench, entries, "beside a snapshot of another log")
        }
    }
}
