import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodVirtual
import Testing

@Suite struct ApplyTests {
    @Test func appliesEachPartitionInItsOrderAndAnswersEachSliceOnce() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let bench = Bench(seams)
            for number in 1...100 as ClosedRange<UInt64> { try bench.propose([PartitionID(number % 3): number]) }
            #expect(await bench.settle() == .applied)
            for partition in 0..<3 as Range<UInt64> {
                let of = bench.completions.filter { $0.partition == PartitionID(partition) }
                #expect(of.map(\.partitionIndex.rawValue) == Array(1...UInt64(of.count)))
            }
            #expect(bench.completions.count == 100)
            #expect(bench.adders.values.map(\.sum).reduce(0, +) == 5050)
        }
    }

    @Test func aMachineThatThrowsIsAskedAgainAndTakesEffectOnce() throws {
        let world = VirtualWorld(seed: 2)
        try world.run { seams in
            let bench = Bench(seams)
            bench.configureAdder = { $0.failuresLeft = 5 }
            try bench.propose([0: 7])
            try bench.propose([0: 8])
            #expect(await bench.settle() == .applied)
            #expect(bench.adders[0]?.sum == 15)
            #expect(bench.adders[0]?.count == 2)
            #expect(bench.completions.count == 2)
        }
    }

    @Test func aMachineThatNeverSucceedsIsFrozenWhileOthersGoOnUntilItIsLetGoOn() throws {
        let world = VirtualWorld(seed: 3)
        try world.run { seams in
            let bench = Bench(seams)
            bench.configureAdder = { if $0.context.partition == 0 { $0.failuresLeft = .max } }
            var frozen: [PartitionID] = []
            bench.machine.onFrozen = { partition, _ in frozen.append(partition) }
            for number in 1...10 as ClosedRange<UInt64> { try bench.propose([PartitionID(number % 2): number]) }
            guard case .timedOut(let lags) = await bench.settle(timeoutNanoseconds: 20_000_000_000) else {
                Issue.record("a frozen partition passed a barrier")
                return
            }
            #expect(lags == [BarrierLag(partition: 0, applied: 0, pendingEntries: 5)])
            #expect(frozen == [0])
            #expect(bench.machine.frozenPartitions == [0])
            #expect(bench.applied(1) == 5)
            bench.adders[0]?.failuresLeft = 0
            #expect(bench.machine.unfreeze(0))
            #expect(await bench.settle() == .applied)
            #expect(bench.adders[0]?.sum == 30)
        }
    }
}
