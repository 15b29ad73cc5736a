import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodVirtual
import Testing

@testable import CordwoodNode
@testable import CordwoodRaft

/// Runs that the simulation has found, by seeds that mean other runs now.
@Suite("Groups in what once went wrong")
struct GroupRegressionTests {
    /// The follower waited for ever for a place of the whole append.
    @Test func anAppendLargerThanASegmentHasLeftIsTakenOnceItsFirstPartFindsAPlace() throws {
        let world = VirtualWorld(seed: 21)
        try world.run { seams in
            let group = try await RepairGroup(world, seams)
            let away = try await group.follower
            try await group.close(away)
            let leader = await group.leader
            for number in 1...120 {
                let event = "\(number) " + String(repeating: "x", count: 3900)
                #expect(try await leader.tally(event, in: 1) == "\(number)")
            }
            try await group.open([away])
            try await group.expectWhole(1, events: 120)
            try await group.closeAll()
        }
    }

    /// A leader trapped: it sent entries that compaction, waiting for the disk, had let go of already.
    @Test func theCoreNeverCountsOnEntriesThatItsStoreHasLetGo() throws {
        let world = VirtualWorld(seed: 22)
        var compactions = 0
        try world.run { seams in
            let node = try await Node.open(smallNode(), machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            var start = node.store.startIndex
            world.disk.onCrashPoint = { _ in
                if node.store.startIndex > start { compactions += 1 }
                start = node.store.startIndex
                #expect(node.core.log.firstIndex >= start, "the store has let go of what is before \(start)")
            }
            for number in 1...400 {
                _ = try await node.tally(String(repeating: "x", count: 1000) + "\(number)", in: 1)
            }
            await seams.clock.sleep(nanoseconds: 2_000_000_000)
            world.disk.onCrashPoint = nil
            try await node.close()
        }
        #expect(compactions > 0)
    }
}
