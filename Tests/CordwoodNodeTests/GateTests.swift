import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodNode
import CordwoodRaft
import CordwoodVirtual
import Testing

/// The acknowledgement gate `.partition` and the recovery policy that rests on it.
@Suite("The partition gate")
struct GateTests {
    private static func gated(_ change: (inout NodeConfiguration) -> Void = { _ in }) -> NodeConfiguration {
        smallNode {
            $0.log.ackGate = .partition
            // Nothing is synced by age: what is persisted is so because of the gate.
            $0.partitionSyncAgeNanoseconds = 3_600_000_000_000
            change(&$0)
        }
    }

    /// Hears how proposals end.
    private final class Answers: ProposalObserver {
        var applied: [UInt64] = []
        var durable: [UInt64] = []

        func proposalEnded(tag: UInt64, outcome: ProposalOutcome) {
            switch outcome {
            case .applied, .appliedByLeader: applied.append(tag)
            case .durable: durable.append(tag)
            case .buffered, .unknown, .aborted, .rejected: break
            }
        }
    }

    /// What a directory's files hold, machines and all: partition, then its commands in order.
    private func contents(_ image: DiskImage, _ configuration: NodeConfiguration) throws -> [[String]] {
        try VirtualWorld(seed: 77, disk: image).run { seams in
            let node = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            var found: [[String]] = []
            for partition in 0..<4 as Range<UInt64> { found.append(await node.tallied(PartitionID(partition))) }
            _ = try await node.tally("after", in: 3)
            try await node.close()
            return found
        }
    }

    @Test func nothingIsAcknowledgedBeforeThePartitionHoldsIt() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let node = try await Node.open(Self.gated(), machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            for number in 1...6 {
                _ = try await node.tally("event \(number)", in: PartitionID(UInt64(number % 3)))
                for partition in 0..<3 as Range<UInt64> {
                    let status = node.partitionStatus(of: PartitionID(partition))
                    #expect(status?.progress.persisted == status?.progress.applied)
                }
            }
            #expect(node.partitionLogStatistics.syncs >= 6)
            // A partition that cannot be written stops all acknowledgements.
            world.disk.inject(.inputOutputError(.sync, pathContains: "node/partitions"))
            guard case .unknown(.storeFailed) = try await node.propose(Array("lost?".utf8), to: 1) else {
                Issue.record("acknowledged what the partition does not hold")
                return
            }
        }
    }

    @Test(arguments: [RecoveryPolicy.forward, .rollbackToPartitionCheckpoint])
    func aCrashAnywhereLosesNothingAcknowledged(policy: RecoveryPolicy) throws {
        struct Moment {
            var image: DiskImage
            var acknowledged: Set<UInt64>
            var label: String
        }
        let world = VirtualWorld(seed: 2)
        let answers = Answers()
        var moments: [Moment] = []
        world.disk.onCrashPoint = { point in
            moments.append(
                Moment(
                    image: point.image, acknowledged: Set(answers.applied + answers.durable),
                    label: "\(point.side) \(point.operation)"))
        }
        let configuration = Self.gated()
        try world.run { seams in
            let node = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            for tag in 0..<24 as Range<UInt64> {
                try node.propose(
                    Array("\(tag)".utf8), to: PartitionID(tag % 4),
                    acknowledgement: tag % 5 == 0 ? .durable : .quorum, tag: tag, observer: answers)
                if tag % 3 == 2 { await seams.clock.sleep(nanoseconds: 3_000_000) }
            }
            await seams.clock.sleep(nanoseconds: 50_000_000)
            try await node.close()
        }
        world.disk.onCrashPoint = nil
        #expect(Set(answers.applied + answers.durable) == Set(0..<24))
        var again = configuration
        again.recoveryPolicy = policy
        var states = 0
        for (number, moment) in moments.enumerated() where number % 3 == 0 {
            for state in moment.image.crashStates(
                limit: 2, exhaustiveUnits: 1, sectorBytes: 512, seed: UInt64(number)
            ).prefix(2) {
                states += 1
                let found = try contents(state, again)
                for partition in 0..<4 as Range<UInt64> {
                    let all = (0..<24 as Range<UInt64>).filter { $0 % 4 == partition }.map { "\($0)" }
                    let kept = moment.acknowledged.filter { $0 % 4 == partition }.count
                    let held = found[Int(partition)]
                    #expect(Array(all.prefix(held.count)) == held, "\(moment.label)")
                    #expect(held.count >= kept, "\(moment.label): \(held.count) of \(kept) acknowledged")
                }
            }
        }
        #expect(states > 50)
    }

    /// A log whose end one partition has not persisted, under the gates named: entries 0 to 5 first, then 6 to 11.
    private func unpersisted(_ first: AckGate, _ second: AckGate) throws -> DiskImage {
        let world = VirtualWorld(seed: 3)
        try world.run { seams in
            var configuration = Self.gated { $0.log.ackGate = first }
            let node = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            for number in 0..<6 { _ = try await node.tally("\(number)", in: PartitionID(UInt64(number % 2))) }
            try await node.close()
            configuration.log.ackGate = second
            let next = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
            await next.lead(seams)
            // Partition 1 is in shard 01: what is written there does not come back any more.
            world.disk.inject(DiskFault(.write, pathContains: "partitions/01", times: .max, .hang))
            let answers = Answers()
            for tag in 6..<12 as Range<UInt64> {
                try next.propose(Array("\(tag)".utf8), to: PartitionID(tag % 2), tag: tag, observer: answers)
            }
            await seams.clock.sleep(nanoseconds: 400_000_000)
            #expect(answers.applied == (second == .partition ? [6] : [6, 7, 8, 9, 10, 11]))
        }
        world.disk.clearFaults()
        // Nothing that was pending is kept.
        return world.disk.image.crashStates(limit: 2).state(0)
    }

    @Test func rollbackDropsWhatNoPartitionGateLetPassAndCutsThePartitionsAhead() throws {
        let image = try unpersisted(.partition, .partition)
        let rollback = Self.gated { $0.recoveryPolicy = .rollbackToPartitionCheckpoint }
        #expect(try contents(image, Self.gated())[1] == ["1", "3", "5", "7", "9", "11"])
        let found = try contents(image, rollback)
        #expect(found[0] == ["0", "2", "4", "6"])
        #expect(found[1] == ["1", "3", "5"])
    }

    @Test func row16_aCrashAnywhereInARollbackGivesTheSameResult() throws {
        let image = try unpersisted(.partition, .partition)
        let rollback = Self.gated { $0.recoveryPolicy = .rollbackToPartitionCheckpoint }
        let world = VirtualWorld(seed: 5, disk: image)
        var moments: [DiskImage] = []
        world.disk.onCrashPoint = { moments.append($0.image) }
        try world.run { seams in
            let node = try await Node.open(rollback, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
        }
        world.disk.onCrashPoint = nil
        for (number, moment) in moments.enumerated() {
            for state in moment.crashStates(limit: 2, exhaustiveUnits: 1, sectorBytes: 512, seed: UInt64(number))
                .prefix(2)
            {
                // Whoever goes on forward after the rollback has begun finds the log or the rolled back one.
                let found = try contents(state, number % 2 == 0 ? rollback : Self.gated())
                #expect(found[0].starts(with: ["0", "2", "4", "6"]), "\(number)")
                #expect(found[1].starts(with: ["1", "3", "5"]), "\(number)")
                if number % 2 == 0 { #expect(found[0].count == 4 && found[1].count == 3, "\(number)") }
            }
        }
    }

    @Test func row23_rollbackIsRefusedWhereTheRunIsBrokenAndNamesTheIndex() throws {
        for (first, second) in [(AckGate.segmented, AckGate.segmented), (.partition, .segmented)] {
            let image = try unpersisted(first, second)
            let before = image.paths.filter { $0.hasPrefix("node/partitions") }.map { image.contents($0) }
            let world = VirtualWorld(seed: 6, disk: image)
            try world.run { seams in
                do throws(NodeError) {
                    _ = try await Node.open(
                        Self.gated { $0.recoveryPolicy = .rollbackToPartitionCheckpoint }, machine: TallyMachine.make,
                        seams: seams)
                    Issue.record("rolled back what was acknowledged under the gate \(second)")
                } catch {
                    guard case .rollbackRefused(let index, _) = error else { throw error }
                    #expect(index > 6)
                }
            }
            #expect(
                before == image.paths.filter { $0.hasPrefix("node/partitions") }.map { world.disk.image.contents($0) })
            #expect(try contents(world.disk.image, Self.gated())[1] == ["1", "3", "5", "7", "9", "11"])
        }
    }

    @Test func theGateChangesBetweenRunsAndItsHistoryIsKept() throws {
        let world = VirtualWorld(seed: 7)
        try world.run { seams in
            for round in 1...4 {
                let node = try await Node.open(
                    Self.gated { $0.log.ackGate = round % 2 == 0 ? .partition : .segmented },
                    machine: TallyMachine.make, seams: seams)
                await node.lead(seams)
                let answer = try await node.tally("round", in: 2)
                #expect(answer == "\(round)")
                let status = node.partitionStatus(of: 2)
                if round % 2 == 0 { #expect(status?.progress.persisted == PartitionLogIndex(UInt64(round))) }
                #expect(node.gates.map(\.gate) == (1...round).map { $0 % 2 == 0 ? AckGate.partition : .segmented })
                try await node.close()
            }
        }
    }
}
