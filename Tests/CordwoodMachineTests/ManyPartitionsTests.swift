import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodVirtual
import Testing

@Suite struct ManyPartitionsTests {
    /// The largest directory, with sixteen partitions touched for each descriptor allowed, as 65,536 are for 4,096.
    @Test func sixteenPartitionsADescriptorStayWithinDescriptorsMemoryAndSyncsAndOpenLazily() throws {
        let partitions = 65_536
        let touched: UInt64 = 2_048
        let descriptors = 128
        let world = VirtualWorld(seed: 1)
        let (entries, checkpoint) = try world.run { seams in
            let bench = Bench(
                seams, partitions: partitions,
                pool: {
                    $0.bufferBytes = 128 << 10
                    $0.maxOpenFiles = descriptors
                })
            bench.pool.start()
            let began = seams.clock.monotonicNanoseconds
            bench.commits = false
            for number in 0..<touched {
                try bench.propose([PartitionID(number * 32 + 1): number])
                if number % 256 == 255 {
                    bench.commit()
                    await seams.clock.sleep(nanoseconds: 50_000_000)
                }
            }
            let settled = await bench.settle()
            #expect(settled == .applied)
            for _ in 0..<60 where bench.dispatcher.floor.rawValue <= touched {
                await seams.clock.sleep(nanoseconds: 1_000_000_000)
            }
            let seconds = (seams.clock.monotonicNanoseconds - began) / 1_000_000_000 + 1
            let statistics = bench.pool.statistics
            #expect(statistics.peakOpenFiles <= descriptors)
            #expect(statistics.peakBufferedBytes < 512 << 10)
            #expect(statistics.syncs / seconds <= 510)
            #expect(bench.dispatcher.floor.rawValue == touched + 1)
            return (bench.entries, bench.checkpoint)
        }
        #expect(checkpoint.partitions.count == Int(touched))
        try VirtualWorld(seed: 2, disk: world.crash()).run { seams in
            let bench = Bench(seams, partitions: partitions, log: entries, checkpoint: checkpoint)
            let report = try await bench.recover(
                checkpoint: checkpoint, from: RaftIndex(UInt64(entries.count)))
            #expect(report.openedPartitions == 0)
            #expect(bench.pool.statistics.peakOpenFiles == 0)
            _ = await bench.machine.machine(of: 3201)
            #expect(bench.adders[3201]?.sum == 100)
            #expect(bench.dispatcher.watermark(of: 3201) == 1)
        }
    }

    /// After a restart with everything persisted no lane is open. A barrier opens what it names, and no more.
    @Test func aBarrierOpensThePartitionsThatItWaitsFor() throws {
        let world = VirtualWorld(seed: 3)
        let (entries, checkpoint) = try world.run { seams in
            let bench = Bench(seams, partitions: 64)
            for number in 0..<96 as Range<UInt64> { try bench.propose([PartitionID(number % 48): number]) }
            _ = await bench.settle()
            try await bench.pool.persistAll()
            return (bench.entries, bench.checkpoint)
        }
        try VirtualWorld(seed: 4, disk: world.crash()).run { seams in
            let bench = Bench(seams, partitions: 64, log: entries, checkpoint: checkpoint)
            let last = RaftIndex(UInt64(entries.count))
            let report = try await bench.recover(checkpoint: checkpoint, from: last)
            #expect(report.openedPartitions == 0)
            let named = await bench.machine.barrier(on: [5, 7, 60], through: last, timeoutNanoseconds: 1_000_000_000)
            #expect(named == .applied)
            #expect(bench.adders.keys.sorted() == [5, 7])
            let all = await bench.machine.barrier(through: last, timeoutNanoseconds: 1_000_000_000)
            #expect(all == .applied)
            #expect(bench.adders.count == 48)
        }
    }

    @Test func aBarrierThatRanOutOfTimeOpensNothingMore() throws {
        let world = VirtualWorld(seed: 5)
        let (entries, checkpoint) = try world.run { seams in
            let bench = Bench(seams, partitions: 64)
            for number in 0..<64 as Range<UInt64> { try bench.propose([PartitionID(number): number]) }
            _ = await bench.settle()
            try await bench.pool.persistAll()
            return (bench.entries, bench.checkpoint)
        }
        try VirtualWorld(seed: 6, disk: world.crash()).run { seams in
            let bench = Bench(seams, partitions: 64, log: entries, checkpoint: checkpoint)
            let last = RaftIndex(UInt64(entries.count))
            _ = try await bench.recover(checkpoint: checkpoint, from: last)
            let result = await bench.machine.barrier(through: last, timeoutNanoseconds: 0)
            guard case .timedOut(let lags) = result else {
                Issue.record("nothing is open, and the barrier says \(result)")
                return
            }
            #expect(lags.count == 64)
            await seams.clock.sleep(nanoseconds: 1_000_000_000)
            #expect(bench.adders.count <= 8)
        }
    }
}
