import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft
import CordwoodVirtual
import Testing

@testable import CordwoodNode

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
            for number in 1...40 {
                let event = "\(number) " + String(repeating: "x", count: 7000)
                #expect(try await leader.tally(event, in: 1) == "\(number)")
            }
            try await group.open([away])
            try await group.expectWhole(1, events: 40)
            try await group.closeAll()
        }
    }

    /// The leader trapped: it sent entries that compaction, waiting for the disk, had let go of already.
    @Test func aLeaderSendsNothingThatItsStoreIsJustLettingGo() throws {
        let world = VirtualWorld(seed: 22)
        try world.run { seams in
            let group = try await RepairGroup(world, seams) {
                $0.retentionBytes = 64 << 10
                $0.log.cacheBytes = 32 << 10
            }
            let leader = await group.leader
            let slow = DiskFault(
                .write, pathContains: leader.configuration.name + "/", times: .max, .stall(nanoseconds: 3_000_000))
            world.disk.inject(slow)
            let away = try await group.follower
            var events = 0
            for _ in 1...5 {
                // A little more than the leader keeps for it, every time: it comes back at the edge of the log.
                try await group.close(away)
                for number in 1...70 {
                    _ = try await leader.tally("\(number) " + String(repeating: "x", count: 1000), in: 2)
                }
                events += 70
                let opening = group.begin(away)
                for number in 1...30 {
                    _ = try await leader.tally("\(number) " + String(repeating: "x", count: 1000), in: 2)
                }
                events += 30
                try await opening()
            }
            #expect(leader.status.log.startIndex > 100)
            try await group.expectWhole(2, events: events)
            try await group.closeAll()
        }
    }
}
