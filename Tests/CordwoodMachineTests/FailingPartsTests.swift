import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodVirtual
import Synchronization
import Testing

/// Adds up like `Adder`, beside the loop.
private final class RemoteAdder: AsyncPartitionStateMachine {
    struct State {
        var sum: UInt64 = 0
        var count: UInt64 = 0
        var restored = 0
    }

    struct Refusal: Error {}

    let state = Mutex(State())
    let objectsTo: UInt64?

    init(objectsTo: UInt64? = nil) { self.objectsTo = objectsTo }

    func apply(_ command: PartitionCommand) async throws -> ApplyOutcome {
        state.withLock {
            $0.sum += number(command.payload)
            $0.count += 1
            return ApplyOutcome(answer: bytes(of: $0.sum), eventCount: 1)
        }
    }

    func objection(to command: PartitionCommand) async throws -> ApplyOutcome? {
        number(command.payload) == objectsTo ? ApplyOutcome(answer: [1], refused: true) : nil
    }

    func snapshot() async throws -> [UInt8] { state.withLock { bytes(of: $0.sum) + bytes(of: $0.count) } }

    func restore(_ snapshot: [UInt8]) async throws {
        guard snapshot.count == 16 else { throw Refusal() }
        state.withLock {
            $0.sum = number(snapshot[0..<8])
            $0.count = number(snapshot[8..<16])
            $0.restored += 1
        }
    }
}

/// Adds up, and does not take its own snapshots back.
private final class Forgetful: PartitionStateMachine {
    struct Refusal: Error {}

    private(set) var count = 0

    func apply(_ command: PartitionCommand) -> ApplyOutcome {
        count += 1
        return ApplyOutcome(eventCount: 1)
    }

    func snapshot() -> [UInt8] { [1] }
    func restore(_ snapshot: [UInt8]) throws { throw Refusal() }
}

/// A partition of which a part fails: it goes on without that part, or stands still and says why; the others go on.
@Suite struct FailingPartsTests {
    @Test func aMachineBesideTheLoopIsAskedSnapshottedAndRestored() throws {
        let world = VirtualWorld(seed: 1)
        let machines = (0..<3).map { RemoteAdder(objectsTo: $0 == 1 ? 13 : nil) }
        let (entries, checkpoint) = try world.run { seams in
            let bench = Bench(
                seams, partitions: 3, factory: { .asynchronous(machines[Int($0.partition.rawValue)]) })
            for value in 1...10 as ClosedRange<UInt64> { try bench.propose([PartitionID(value % 3): value]) }
            try bench.propose([0: 100, 1: 13])
            try bench.propose([0: 100, 1: 14])
            let settled = await bench.settle()
            #expect(settled == .applied)
            #expect(bench.completions.filter { $0.refusal == .objection }.count == 2)
            let index = await bench.machine.snapshot(0)
            #expect(index == 5)
            try await bench.pool.persistAll()
            return (bench.entries, bench.checkpoint)
        }
        #expect(machines[0].state.withLock { $0.sum } == 118)
        let again = RemoteAdder()
        try VirtualWorld(seed: 2, disk: world.disk.image.flushed()).run { seams in
            let bench = Bench(
                seams, partitions: 3, log: entries, checkpoint: checkpoint,
                factory: { .asynchronous($0.partition == 0 ? again : RemoteAdder()) })
            _ = try await bench.recover(checkpoint: checkpoint, from: RaftIndex(UInt64(entries.count) + 1))
            _ = await bench.machine.machine(of: 0)
            let state = again.state.withLock { $0 }
            #expect(state.sum == 118)
            #expect(state.restored == 1)
        }
    }

    @Test func aSnapshotThatTheMachineDoesNotTakeIsPassedOverForTheLog() throws {
        let world = VirtualWorld(seed: 3)
        let (entries, checkpoint) = try world.run { seams in
            let bench = Bench(seams, factory: { _ in .synchronous(Forgetful()) })
            for value in 1...8 as ClosedRange<UInt64> { try bench.propose([0: value]) }
            _ = await bench.settle()
            let index = await bench.machine.snapshot(0)
            #expect(index == 8)
            return (bench.entries, bench.checkpoint)
        }
        try VirtualWorld(seed: 4, disk: world.disk.image.flushed()).run { seams in
            var made: [Forgetful] = []
            let bench = Bench(
                seams, log: entries, checkpoint: checkpoint,
                factory: { _ in
                    made.append(Forgetful())
                    return .synchronous(made[made.count - 1])
                })
            _ = try await bench.recover(checkpoint: checkpoint)
            _ = await bench.machine.machine(of: 0)
            #expect(made.last?.count == 8)
            #expect(bench.dispatcher.watermark(of: 0) == 8)
        }
    }

    /// A partition whose log begins behind a snapshot, and what its directory holds.
    private func compacted(_ world: VirtualWorld) throws -> (entries: [Entry], checkpoint: SystemCheckpoint) {
        try world.run { seams in
            let bench = Bench(
                seams, pool: { $0.segmentBytes = 16 << 10 }, machine: .init(keptSnapshots: 1, compactsLogs: true))
            for _ in 1...40 {
                for value in 1...10 as ClosedRange<UInt64> { try bench.propose([0: value]) }
                try await bench.pool.persist(0)
            }
            _ = await bench.settle()
            let index = await bench.machine.snapshot(0)
            #expect(index == 400)
            #expect(bench.pool.store(of: 0).startIndex > 1)
            return (bench.entries, bench.checkpoint)
        }
    }

    @Test func aPartitionWhoseSnapshotsAreGoneStandsStillBehindACompactedLog() throws {
        let world = VirtualWorld(seed: 5)
        let (entries, checkpoint) = try compacted(world)
        var image = world.disk.image.flushed()
        for path in image.paths where path.hasSuffix(".snapshot") { image.remove(path) }
        try VirtualWorld(seed: 6, disk: image).run { seams in
            let bench = Bench(seams, pool: { $0.segmentBytes = 16 << 10 }, log: entries, checkpoint: checkpoint)
            _ = try await bench.recover(checkpoint: checkpoint, from: RaftIndex(UInt64(entries.count) + 1))
            let machine = await bench.machine.machine(of: 0)
            #expect(machine == nil)
            #expect(bench.machine.frozenReason(of: 0)?.contains("needs-snapshot") == true)
            try bench.propose([1: 1])
            _ = await bench.machine.machine(of: 1)
            #expect(bench.dispatcher.watermark(of: 1) == 1)
        }
    }

    @Test func snapshotsThatCannotBeListedJustNowStopAPartitionUntilItIsLetGoOn() throws {
        let world = VirtualWorld(seed: 7)
        let (entries, checkpoint) = try compacted(world)
        let next = VirtualWorld(seed: 8, disk: world.disk.image.flushed())
        next.disk.inject(.inputOutputError(.list, pathContains: "snapshots", times: .max))
        try next.run { seams in
            let bench = Bench(seams, pool: { $0.segmentBytes = 16 << 10 }, log: entries, checkpoint: checkpoint)
            _ = try await bench.recover(checkpoint: checkpoint, from: RaftIndex(UInt64(entries.count) + 1))
            let machine = await bench.machine.machine(of: 0)
            #expect(machine == nil)
            #expect(bench.machine.frozenReason(of: 0)?.hasPrefix("snapshots") == true)
            next.disk.clearFaults()
            #expect(bench.machine.unfreeze(0))
            for _ in 1...100 where bench.adders[0] == nil { await seams.clock.sleep(nanoseconds: 10_000_000) }
            #expect(bench.machine.frozenReason(of: 0) == nil)
            #expect(bench.adders[0]?.count == 400)
            #expect(bench.adders[0]?.sum == 2200)
        }
    }

    @Test func aBacklogThatCannotBeReadStopsItsPartitionAlone() throws {
        let world = VirtualWorld(seed: 9)
        try world.run { seams in
            let bench = Bench(
                seams, pool: { $0.cacheBytes = 0 }, machine: .init(retryNanoseconds: 50_000_000, drainCount: 1))
            bench.configureAdder = { $0.failuresLeft = $0.context.partition == 0 ? 3 : 0 }
            for value in 1...50 as ClosedRange<UInt64> { try bench.propose([0: value]) }
            try await bench.pool.persist(0)
            world.disk.inject(.inputOutputError(.read, pathContains: "partitions/00", times: .max))
            await seams.clock.sleep(nanoseconds: 2_000_000_000)
            #expect(bench.machine.frozenReason(of: 0)?.hasPrefix("partition log") == true)
            try bench.propose([1: 7])
            _ = await bench.machine.machine(of: 1)
            #expect(bench.adders[1]?.sum == 7)
            #expect((bench.adders[0]?.count ?? 0) < 50)
        }
    }

    @Test func aSnapshotThatCannotBeWrittenIsTakenAgainLater() throws {
        let world = VirtualWorld(seed: 10)
        try world.run { seams in
            let bench = Bench(seams)
            for value in 1...5 as ClosedRange<UInt64> { try bench.propose([0: value]) }
            _ = await bench.settle()
            world.disk.inject(.noSpace(.write, pathContains: "snapshots", times: .max))
            var index = await bench.machine.snapshot(0)
            #expect(index == nil)
            world.disk.clearFaults()
            try bench.propose([0: 6])
            _ = await bench.settle()
            index = await bench.machine.snapshot(0)
            #expect(index == 6)
            #expect(bench.machine.frozenPartitions.isEmpty)
        }
    }
}
