import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodNode
import CordwoodRaft
import CordwoodVirtual
import Testing

/// A node that fits a test: small segments, short ages.
func smallNode(_ change: (inout NodeConfiguration) -> Void = { _ in }) -> NodeConfiguration {
    var configuration = NodeConfiguration(directory: "node")
    configuration.log.segmentBytes = 64 << 10
    configuration.log.batchBytes = 16 << 10
    configuration.maxEntryBytes = 8 << 10
    configuration.partitionSegmentBytes = 64 << 10
    configuration.partitionSyncAgeNanoseconds = 200_000_000
    change(&configuration)
    return configuration
}

extension Node {
    /// Proposes and returns the machine's answer as text.
    func tally(_ text: String, in partition: PartitionID) async throws -> String {
        guard case .applied(_, let outcome) = try await propose(Array(text.utf8), to: partition) else {
            throw TallyError.notApplied
        }
        return outcome.refused ? "refused" : String(decoding: outcome.answer, as: UTF8.self)
    }

    func tallied(_ partition: PartitionID) async -> [String] {
        (await machine(of: partition) as? TallyMachine)?.applied ?? []
    }

    /// Waits until this node leads.
    func lead(_ seams: Seams) async {
        while !isLeader { await seams.clock.sleep(nanoseconds: 1_000_000) }
    }
}

enum TallyError: Error { case notApplied }

@Suite("A node on one machine")
struct NodeTests {
    @Test func answersAProposalOnceItIsAppliedAndKeepsItAcrossAPowerCut() throws {
        let world = VirtualWorld(seed: 1)
        let configuration = smallNode()
        try world.run { seams in
            let node = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            for number in 1...20 {
                let answer = try await node.tally("event \(number)", in: PartitionID(UInt64(number % 3)))
                #expect(answer == "\((number + 2) / 3)" || answer == "\(number / 3)" || answer == "\((number + 1) / 3)")
            }
        }
        let reborn = VirtualWorld(seed: 2, disk: world.crash())
        try reborn.run { seams in
            let node = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            _ = try await node.tally("after", in: 0)
            for partition in 0..<3 {
                let expected = (1...20).filter { $0 % 3 == partition }.map { "event \($0)" }
                let found = await node.tallied(PartitionID(UInt64(partition)))
                #expect(Array(found.prefix(expected.count)) == expected)
                #expect(node.watermark(of: PartitionID(UInt64(partition))) == UInt64(found.count))
            }
            try await node.close()
        }
    }

    @Test func goesOnAfterACleanEndWithoutDoingAnythingAgain() throws {
        let world = VirtualWorld(seed: 3)
        let configuration = smallNode()
        try world.run { seams in
            for round in 1...3 {
                let node = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
                await node.lead(seams)
                #expect(try await node.tally("round", in: 5) == "\(round)")
                try await node.close()
            }
        }
    }

    @Test func truncatesSegmentsThatNobodyNeedsAndStillStarts() throws {
        let world = VirtualWorld(seed: 4)
        let configuration = smallNode()
        try world.run { seams in
            let node = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            for number in 0..<600 {
                _ = try await node.tally(
                    String(repeating: "x", count: 1000) + "\(number)", in: PartitionID(UInt64(number % 4)))
            }
            await seams.clock.sleep(nanoseconds: 3_000_000_000)
            #expect(node.status.log.startIndex > 1)
            #expect(node.segments.count < 6)
        }
        let reborn = VirtualWorld(seed: 5, disk: world.crash())
        try reborn.run { seams in
            let node = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            var found = 0
            for partition in 0..<4 { found += await node.tallied(PartitionID(UInt64(partition))).count }
            #expect(found == 600)
            try await node.close()
        }
    }

    @Test func showsWhatEveryPartitionHoldsOnceItIsWarm() throws {
        let world = VirtualWorld(seed: 8)
        let configuration = smallNode()
        try world.run { seams in
            let node = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            for number in 0..<30 { _ = try await node.tally("event \(number)", in: PartitionID(UInt64(number % 10))) }
            try await node.close()
            let again = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
            await again.untilWarm()
            let shown = (0..<10).reduce(0) { $0 + again.watermark(of: PartitionID(UInt64($1))) }
            #expect(shown == 30)
            try await again.close()
        }
    }

    @Test func servesBeforeEveryPartitionIsOpenAndABarrierOpensThem() throws {
        let world = VirtualWorld(seed: 9)
        let configuration = smallNode { $0.partitionCount = 1024 }
        try world.run { seams in
            let node = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            for partition in 0..<512 as Range<UInt64> { _ = try await node.tally("event", in: PartitionID(partition)) }
            try await node.close()
            let again = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
            #expect(!again.isWarm)
            #expect(await again.tallied(511) == ["event"])
            let result = await again.barrier(
                through: again.status.commit, partitions: nil, timeoutNanoseconds: 60_000_000_000)
            #expect(result == .applied)
            #expect((0..<512).allSatisfy { again.watermark(of: PartitionID(UInt64($0))) == 1 })
            try await again.close()
        }
    }

    @Test func refusesAnotherPartitionCountThanTheDirectoryWasMadeWith() throws {
        let world = VirtualWorld(seed: 6)
        try world.run { seams in
            let node = try await Node.open(
                smallNode { $0.partitionCount = 8 }, machine: TallyMachine.make, seams: seams)
            try await node.close()
            do throws(NodeError) {
                _ = try await Node.open(
                    smallNode { $0.partitionCount = 16 }, machine: TallyMachine.make, seams: seams)
                Issue.record("16 partitions were accepted where there are 8")
            } catch {
                guard case .configuration(let reason) = error else { throw error }
                #expect(reason.contains("16 partitions") && reason.contains("made with 8"))
            }
            let again = try await Node.open(smallNode(), machine: TallyMachine.make, seams: seams)
            #expect(again.membership.partitionCount == 8)
            try await again.close()
        }
    }

    @Test func saysOfAFailedWriteThatTheOutcomeIsUnknownAndTakesNothingMore() throws {
        let world = VirtualWorld(seed: 7)
        try world.run { seams in
            let node = try await Node.open(smallNode(), machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            _ = try await node.tally("good", in: 1)
            world.disk.inject(.inputOutputError(.write, pathContains: "node/log"))
            let outcome = try await node.propose(Array("lost?".utf8), to: 1)
            guard case .unknown(.storeFailed) = outcome else {
                Issue.record("a failed write ended as \(outcome)")
                return
            }
            await #expect(throws: ProposalRejection.self) { _ = try await node.tally("next", in: 1) }
            #expect(await node.tallied(1) == ["good"])
        }
    }

    @Test func aNodeThatCanOpenNoMoreFilesRefusesOrWaitsAndLosesNothing() throws {
        let world = VirtualWorld(seed: 10)
        let configuration = smallNode { $0.partitionCount = 8 }
        var acknowledged: [PartitionID: [String]] = [:]
        try world.run { seams in
            let node = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            _ = try await node.tally("before", in: 0)
            acknowledged[0] = ["before"]
            let allowed = world.disk.options.maxOpenFiles
            world.disk.options.maxOpenFiles = 0
            var writers = 4
            for writer in 0..<4 as Range<UInt64> {
                let partition = PartitionID(writer)
                seams.scheduler.spawn("writer \(writer)") {
                    for number in 0..<25 {
                        let event = String(repeating: "x", count: 1500) + " \(writer) \(number)"
                        do {
                            _ = try await node.tally(event, in: partition)
                            acknowledged[partition, default: []].append(event)
                        } catch {
                            await seams.clock.sleep(nanoseconds: 100_000_000)
                        }
                    }
                    writers -= 1
                }
            }
            await seams.clock.sleep(nanoseconds: 3_000_000_000)
            // The first segment and its spare, which are open or ready, take a part of it.
            #expect(writers > 0)
            world.disk.options.maxOpenFiles = allowed
            while writers > 0 { await seams.clock.sleep(nanoseconds: 10_000_000) }
            #expect(try await node.tally("after", in: 7) == "1")
            try await node.close()
        }
        let reborn = VirtualWorld(seed: 11, disk: world.crash())
        try reborn.run { seams in
            let node = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            for (partition, events) in acknowledged {
                // One whose outcome stayed open may be there, too.
                #expect(await node.tallied(partition).filter(Set(events).contains) == events)
            }
            try await node.close()
        }
    }
}
