import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodVirtual
import Synchronization
import Testing

/// Counts how many applies run at one time, and waits in each until it is let go.
private final class Gate: AsyncPartitionStateMachine {
    struct State {
        var running = 0
        var peak = 0
        var applied: [UInt64] = []
        var blocked = false
    }

    let state = Mutex(State())

    func apply(_ command: PartitionCommand) async throws -> ApplyOutcome {
        state.withLock {
            $0.running += 1
            $0.peak = max($0.peak, $0.running)
        }
        while state.withLock({ $0.blocked }) { await Task.yield() }
        state.withLock {
            $0.running -= 1
            $0.applied.append(command.partitionIndex.rawValue)
        }
        return ApplyOutcome(eventCount: 1)
    }

    func snapshot() async throws -> [UInt8] { [] }
    func restore(_ snapshot: [UInt8]) async throws {}
}

/// Takes its time for each command, and counts how many it is at.
private final class Slow: AsyncPartitionStateMachine {
    private nonisolated(unsafe) let clock: any Clock
    let state = Mutex(Gate.State())

    init(_ clock: any Clock) { self.clock = clock }

    func apply(_ command: PartitionCommand) async throws -> ApplyOutcome {
        state.withLock {
            $0.running += 1
            $0.peak = max($0.peak, $0.running)
        }
        await clock.sleep(nanoseconds: 1_000_000)
        state.withLock {
            $0.running -= 1
            $0.applied.append(command.partitionIndex.rawValue)
        }
        return ApplyOutcome(eventCount: 1)
    }

    func snapshot() async throws -> [UInt8] { [] }
    func restore(_ snapshot: [UInt8]) async throws {}
}

@Suite struct AsyncMachineTests {
    @Test func whatComesWhileAMachineIsAtWorkWaitsItsTurn() throws {
        try VirtualWorld(seed: 3).run { seams in
            let machine = Slow(seams.clock)
            let bench = Bench(seams, partitions: 1, factory: { _ in .asynchronous(machine) })
            try bench.propose([0: 1])
            for number in 2...9 as ClosedRange<UInt64> {
                await seams.clock.sleep(nanoseconds: 300_000)
                try bench.propose([0: number])
            }
            let settled = await bench.settle()
            #expect(settled == .applied)
            let state = machine.state.withLock { $0 }
            #expect(state.peak == 1)
            #expect(state.applied == Array(1...9))
        }
    }

    @Test func oneApplyIsInFlightInAPartitionAndAllAreInOrder() throws {
        let gates = (0..<3).map { _ in Gate() }
        try VirtualWorld(seed: 1).run { seams in
            let bench = Bench(
                seams, partitions: 3,
                factory: { context in .asynchronous(gates[Int(context.partition.rawValue)]) })
            for number in 0..<90 as Range<UInt64> { try bench.propose([PartitionID(number % 3): number]) }
            let settled = await bench.settle()
            #expect(settled == .applied)
            for gate in gates {
                let state = gate.state.withLock { $0 }
                #expect(state.peak == 1)
                #expect(state.applied == Array(1...30))
            }
            #expect(bench.dispatcher.watermark(of: 0) == 30)
        }
    }

    @Test func aSlowMachineIsFedFromItsLogWhenItsBacklogHasLeftMemory() throws {
        let world = VirtualWorld(seed: 2)
        let gate = Gate()
        try world.run { seams in
            let bench = Bench(
                seams, partitions: 1, pool: { $0.persistAgeNanoseconds = 1_000_000_000 },
                factory: { _ in .asynchronous(gate) })
            bench.pool.start()
            for number in 0..<500 as Range<UInt64> { try bench.propose([0: number]) }
            try await bench.pool.persistAll()
            #expect(bench.pool.statistics.bufferedBytes == 0)
            let settled = await bench.settle()
            #expect(settled == .applied)
            #expect(gate.state.withLock { $0.applied } == Array(1...500))
            #expect(bench.dispatcher.floor == 501)
        }
    }
}
