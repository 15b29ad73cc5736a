import CordwoodBase
import CordwoodIO
import CordwoodRaft
import CordwoodVirtual
import Testing

@testable import CordwoodNode

@Suite("What proves a read")
struct ReadProofTests {
    private static func withLeases(_ seed: UInt64, _ body: @escaping (RepairGroup, Node, Seams) async throws -> Void)
        throws
    {
        let world = VirtualWorld(seed: seed)
        try world.run { seams in
            let group = try await RepairGroup(world, seams) {
                $0.raft.readMode = .lease
                $0.raft.clockDriftPermille = 100
            }
            try await group.write(8)
            let leader = await group.leader
            try await body(group, leader, seams)
            try await group.closeAll()
        }
    }

    @Test func aLeaseAnswersAtOnceAndAQuorumTakesARound() throws {
        try Self.withLeases(71) { _, leader, seams in
            await seams.clock.sleep(nanoseconds: 500_000_000)
            let began = seams.clock.monotonicNanoseconds
            let leased = try await leader.readIndex(by: .lease)
            #expect(leased == leader.status.commit)
            #expect(seams.clock.monotonicNanoseconds == began)
            let confirmed = try await leader.readIndex(by: .quorum)
            #expect(confirmed == leader.status.commit)
            #expect(seams.clock.monotonicNanoseconds > began)
        }
    }

    @Test func theLeaseCountsForNothingAfterAPauseThatTicksDidNotSee() throws {
        try Self.withLeases(72) { _, leader, seams in
            await seams.clock.sleep(nanoseconds: 15_000_000_000)
            // As if the last tick had been long ago.
            leader.reads.tickedNanoseconds -= 5_000_000_000
            #expect(!leader.isLeaseTrusted)
            let began = seams.clock.monotonicNanoseconds
            _ = try await leader.readIndex(by: .lease)
            #expect(seams.clock.monotonicNanoseconds > began)
            // The next tick sees it, and until old leases are over the quorum is asked.
            leader.reads.tickedNanoseconds -= 5_000_000_000
            await seams.clock.sleep(nanoseconds: 300_000_000)
            #expect(!leader.isLeaseTrusted)
            await seams.clock.sleep(nanoseconds: 1_500_000_000)
            #expect(leader.isLeaseTrusted)
        }
    }

    @Test func readersThatComeTogetherShareARound() throws {
        try Self.withLeases(73) { group, leader, seams in
            let follower = try group[try await group.follower]
            await follower.untilReady()
            let asked = follower.reads.lastContext
            var answered = 0
            for _ in 0..<100 {
                seams.scheduler.spawn("reader") {
                    if (try? await follower.readIndex()) != nil { answered += 1 }
                }
            }
            #expect(try await group.wait { answered == 100 })
            #expect(follower.reads.lastContext - asked <= 2)
            #expect(leader.isLeader)
        }
    }
}
