import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft
import CordwoodVirtual
import Testing

@testable import CordwoodNode

@Suite("Full and failing disks in a group")
struct GroupDiskTests {
    /// No file of a member's directory can grow or be made.
    private static func fill(_ world: VirtualWorld, _ name: String) {
        world.disk.inject(.noSpace(.resize, pathContains: "\(name)/", times: .max))
    }

    @Test func aFullFollowerDropsAppendsAndKeepsItsPlaceAndCatchesUpWhenThereIsRoom() throws {
        let world = VirtualWorld(seed: 61)
        try world.run { seams in
            let group = try await RepairGroup(world, seams)
            try await group.write(8)
            let name = try await group.follower
            let full = try group[name]
            Self.fill(world, name)
            try await group.write(400)
            #expect(full.storeFailure == nil)
            let leader = await group.leader
            #expect(full.status.log.nextIndex < leader.status.log.nextIndex)
            let term = leader.status.term
            await seams.clock.sleep(nanoseconds: 5_000_000_000)
            #expect(full.status.role == .follower)
            #expect(full.status.term == term)
            world.disk.clearFaults()
            for partition in 0..<4 as Range<UInt64> { try await group.expectWhole(partition, events: 102) }
            try await group.closeAll()
        }
    }

    @Test func aFullLeaderRefusesBeforeTheProposalAndGoesOnWhenThereIsRoom() throws {
        let world = VirtualWorld(seed: 62)
        try world.run { seams in
            let group = try await RepairGroup(world, seams)
            try await group.write(8)
            let leader = await group.leader
            Self.fill(world, leader.configuration.name)
            var refusal: ProposalRejection?
            var accepted = 8
            while refusal == nil, accepted < 1000 {
                do {
                    _ = try await leader.tally(String(repeating: "x", count: 1000), in: 0)
                    accepted += 1
                } catch { refusal = error as? ProposalRejection }
            }
            guard case .admission(.noSpace)? = refusal else {
                Issue.record("refused with \(String(describing: refusal)) after \(accepted)")
                return
            }
            #expect(leader.isLeader && leader.storeFailure == nil)
            world.disk.clearFaults()
            #expect(
                try await group.wait { (try? await leader.tally("there is room", in: 0)) != nil })
            try await group.expectWhole(0, atLeast: accepted - 6 + 1)
            try await group.closeAll()
        }
    }

    @Test func aLeaderWhoseWriteFailsStepsDownReadsOnAndComesBackWhenItIsOpenedAnew() throws {
        let world = VirtualWorld(seed: 63)
        try world.run { seams in
            let group = try await RepairGroup(world, seams)
            try await group.write(40)
            let failed = await group.leader
            let name = failed.configuration.name
            world.disk.inject(.inputOutputError(.write, pathContains: "\(name)/log/"))
            _ = try? await failed.tally("lost or not", in: 0)
            #expect(try await group.wait { failed.storeFailure != nil && !failed.isLeader })
            #expect(await failed.tallied(1).count == 10)
            let durable = failed.status.log.durableIndex
            let others = RepairGroup.names.filter { $0 != name }
            #expect(try await group.wait { try others.contains { try group[$0].isLeader } })
            try await group.write(40)
            #expect(failed.status.log.durableIndex == durable)
            #expect(!failed.isLeader)
            // It says at closing why it wrote nothing any more.
            try? await group.close(name)
            try await group.open([name])
            for partition in 1..<4 as Range<UInt64> { try await group.expectWhole(partition, events: 20) }
            try await group.closeAll()
        }
    }
}
