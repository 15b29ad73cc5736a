import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodVirtual
import Testing

/// Partitions that stand still because somebody wants them to, and what goes on beside them.
@Suite struct StandstillTests {
    private struct Refusal: Error {}

    /// Takes every command, and cannot tell its state.
    private final class Mute: PartitionStateMachine {
        func apply(_ command: PartitionCommand) -> ApplyOutcome { ApplyOutcome(eventCount: 1) }
        func snapshot() throws -> [UInt8] { throw Refusal() }
        func restore(_ snapshot: [UInt8]) throws { throw Refusal() }
    }

    @Test func aPartitionThatAnOperatorStopsAppliesNothingUntilItIsLetGoOn() throws {
        try VirtualWorld(seed: 1).run { seams in
            let bench = Bench(seams)
            for number in 1...5 as ClosedRange<UInt64> { try bench.propose([0: number]) }
            var isFrozen = await bench.machine.freeze(0)
            #expect(isFrozen)
            isFrozen = await bench.machine.freeze(0)
            #expect(isFrozen, "again")
            let isKnown = await bench.machine.freeze(99)
            #expect(!isKnown)
            try bench.propose([0: 6])
            try bench.propose([1: 7])
            _ = await bench.machine.machine(of: 1)
            #expect(bench.adders[0]?.count == 5)
            #expect(bench.adders[1]?.count == 1)
            #expect(bench.machine.frozenPartitions == [0])
            #expect(bench.machine.unfreeze(0))
            #expect(!bench.machine.unfreeze(0))
            #expect(!bench.machine.unfreeze(99))
            let settled = await bench.settle()
            #expect(settled == .applied)
            #expect(bench.adders[0]?.sum == 21)
        }
    }

    @Test func aPartitionIsStoppedBetweenTwoRecordsOfABacklog() throws {
        try VirtualWorld(seed: 2).run { seams in
            let bench = Bench(seams)
            bench.configureAdder = { $0.failuresLeft = $0.context.partition == 0 ? 2 : 0 }
            for number in 1...9 as ClosedRange<UInt64> { try bench.propose([0: number]) }
            let isFrozen = await bench.machine.freeze(0)
            #expect(isFrozen)
            let count = bench.adders[0]?.count ?? 0
            try bench.propose([0: 10])
            await seams.clock.sleep(nanoseconds: 1_000_000_000)
            #expect(bench.adders[0]?.count == count)
            #expect(bench.machine.unfreeze(0))
            let settled = await bench.settle()
            #expect(settled == .applied)
            #expect(bench.adders[0]?.sum == 55)
        }
    }

    @Test func whatIsSuspendedAppliesNothingAndGoesOnAsIfNothingHadBeen() throws {
        try VirtualWorld(seed: 3).run { seams in
            let bench = Bench(seams)
            bench.configureAdder = { $0.failuresLeft = 3 }
            for number in 1...4 as ClosedRange<UInt64> { try bench.propose([0: number]) }
            await bench.machine.suspend()
            let before = bench.adders[0]?.count ?? 0
            #expect(before < 4)
            var isHandedOut = false
            seams.scheduler.spawn("somebody who reads") {
                _ = await bench.machine.machine(of: 0)
                isHandedOut = true
            }
            await seams.clock.sleep(nanoseconds: 1_000_000_000)
            #expect(!isHandedOut)
            #expect(bench.adders[0]?.count == before)
            bench.machine.resume()
            let settled = await bench.settle()
            #expect(settled == .applied)
            #expect(bench.adders[0]?.sum == 10)
            await seams.clock.sleep(nanoseconds: 1_000_000)
            #expect(isHandedOut)
        }
    }

    @Test func aMachineReadsItsOwnLogAndItsFilesAndNobodyElses() throws {
        try VirtualWorld(seed: 4).run { seams in
            let bench = Bench(seams)
            for number in 1...6 as ClosedRange<UInt64> { try bench.propose([PartitionID(number % 2): number]) }
            _ = await bench.settle()
            let context = try #require(bench.adders[0]?.context)
            #expect(context.log.startIndex == 1)
            #expect(context.log.nextIndex == 4)
            let commands = try await context.log.commands(from: 2, maxCount: 10, maxBytes: 1 << 10)
            #expect(commands.map { number($0.payload) } == [4, 6])
            #expect(commands.map(\.partitionIndex) == [2, 3])
            let one = try await context.log.commands(from: 1, maxCount: 10, maxBytes: 1)
            #expect(one.map { number($0.payload) } == [2])

            try await context.derived.replace("names", with: [1])
            try await context.derived.replace("names", with: [2, 3])
            var found = try await context.derived.read("names")
            #expect(found == [2, 3])
            let foreign = try await bench.adders[1]?.context.derived.read("names")
            #expect(foreign == .some(nil))
            try await context.derived.delete("names")
            try await context.derived.delete("names")
            found = try await context.derived.read("names")
            #expect(found == nil)
        }
    }

    @Test func aMachineThatCannotTellItsStateGoesOnWithoutSnapshots() throws {
        let world = VirtualWorld(seed: 5)
        let (entries, checkpoint) = try world.run { seams in
            let bench = Bench(seams, factory: { _ in .synchronous(Mute()) })
            var index = await bench.machine.snapshot(0)
            #expect(index == nil, "nothing to show")
            for number in 1...6 as ClosedRange<UInt64> { try bench.propose([0: number]) }
            _ = await bench.settle()
            index = await bench.machine.snapshot(0)
            #expect(index == nil)
            #expect(bench.dispatcher.watermark(of: 0) == 6)
            try await bench.pool.persistAll()
            return (bench.entries, bench.checkpoint)
        }
        try VirtualWorld(seed: 6, disk: world.disk.image).run { seams in
            let bench = Bench(seams, log: entries, checkpoint: checkpoint, factory: { _ in .synchronous(Mute()) })
            _ = try await bench.recover(checkpoint: checkpoint)
            _ = await bench.machine.machine(of: 0)
            #expect(bench.dispatcher.watermark(of: 0) == 6)
        }
    }

    @Test func aMachineThatCannotBeMadeStopsItsPartitionAlone() throws {
        try VirtualWorld(seed: 7).run { seams in
            let bench = Bench(
                seams,
                factory: { context in
                    if context.partition == 0 { throw Refusal() }
                    return .synchronous(Mute())
                })
            try bench.propose([0: 1])
            try bench.propose([1: 2])
            _ = await bench.machine.machine(of: 1)
            let machine = await bench.machine.machine(of: 0)
            #expect(machine == nil)
            #expect(bench.machine.frozenReason(of: 0)?.contains("machine cannot be made") == true)
            #expect(bench.dispatcher.watermark(of: 1) == 1)
        }
    }
}
