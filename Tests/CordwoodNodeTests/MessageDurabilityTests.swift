import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

@testable import CordwoodNode

/// What a node says to others rests on what its disk holds.
@Suite("What a node says")
struct MessageDurabilityTests {
    @Test func aCandidateAsksForVotesOnceItsOwnIsDurable() throws {
        let world = VirtualWorld(seed: 41)
        try world.run { seams in
            let group = try await RepairGroup(world, seams)
            let leader = await group.leader
            let name = try await group.follower
            let candidate = try group[name]
            let others = group.nodes.values.filter { $0.replica != candidate.replica }
            let term = leader.core.term
            world.disk.inject(
                DiskFault(.write, pathContains: name + "/log", times: .max, .stall(nanoseconds: 1_000_000_000)))
            seams.scheduler.spawn("transfer") { _ = try? await leader.operate(.transfer(name: name)) }
            #expect(try await group.wait { candidate.core.term > term })
            await seams.clock.sleep(nanoseconds: 800_000_000)
            #expect(others.map(\.core.term) == [term, term], "they were asked before the vote was durable")
            #expect(try await group.wait { others.allSatisfy { $0.core.term > term } })
            world.disk.clearFaults()
            _ = await group.leader
            try await group.closeAll()
        }
    }

    @Test func aFollowerThatCannotWriteAcknowledgesNothing() throws {
        let world = VirtualWorld(seed: 42)
        try world.run { seams in
            let group = try await RepairGroup(world, seams)
            try await group.write(10)
            let leader = await group.leader
            let followers = RepairGroup.names.filter { $0 != leader.configuration.name }
            try await group.close(followers[0])
            let commit = leader.status.commit
            world.disk.inject(.inputOutputError(.write, pathContains: followers[1] + "/log", times: .max))
            var isAnswered = false
            seams.scheduler.spawn("propose") {
                _ = try? await leader.tally("alone", in: 1)
                isAnswered = true
            }
            let failed = try group[followers[1]]
            #expect(try await group.wait { failed.storeFailure != nil })
            await seams.clock.sleep(nanoseconds: 300_000_000)
            #expect(leader.core.commitIndex == commit, "acknowledged by a node that could not write it")
            world.disk.clearFaults()
            try? await group.close(followers[1])
            try await group.open(followers)
            #expect(try await group.wait { isAnswered })
            try await group.expectWhole(2, events: 3)
            try await group.closeAll()
        }
    }

    @Test func aLeaderThatCannotWriteLeadsNoMore() throws {
        let world = VirtualWorld(seed: 43)
        try world.run { seams in
            let group = try await RepairGroup(world, seams)
            try await group.write(8)
            let first = await group.leader
            let name = first.configuration.name
            world.disk.inject(.inputOutputError(.write, pathContains: name + "/log", times: .max))
            guard case .unknown(.storeFailed) = try await first.propose(Array("lost?".utf8), to: 1) else {
                Issue.record("an entry that could not be written has an outcome")
                return
            }
            #expect(first.raftStatus.role != .leader, "it steps down at once, and not for want of answers")
            let others = try RepairGroup.names.filter { $0 != name }.map { try group[$0] }
            #expect(try await group.wait(10) { others.contains { $0.isLeader } })
            let second = try #require(others.first { $0.isLeader })
            #expect(try await second.tally("goes on", in: 3) == "3")
            world.disk.clearFaults()
            try? await group.close(name)
            try await group.open([name])
            try await group.expectWhole(3, events: 3)
            try await group.closeAll()
        }
    }

    /// A write takes long; before it is done a leader of a later term replaces its entry.
    @Test(arguments: [AckGate.segmented, .partition])
    func aFollowerAcknowledgesNothingThatWasReplacedMeanwhile(_ gate: AckGate) throws {
        let world = VirtualWorld(seed: 44)
        try world.run { seams in
            let group = try await RepairGroup(world, seams) { $0.log.ackGate = gate }
            try await group.write(4)
            let leader = await group.leader
            let name = try await group.follower
            let follower = try group[name]
            let other = try #require(group.nodes.values.first { $0 !== leader && $0 !== follower })
            #expect(try await group.wait { follower.durableIndex == leader.durableIndex })
            let last = follower.durableIndex
            let term = leader.core.term
            var acknowledged: [Term] = []
            follower.onSend = { message in
                guard message.kind == .appendResponse, !message.isRejected else { return }
                #expect(message.index <= follower.durableIndex && message.term == follower.core.term)
                if message.index > last { acknowledged.append(message.term) }
            }
            world.disk.inject(
                DiskFault(.write, pathContains: name + "/log", times: .max, .stall(nanoseconds: 300_000_000)))
            func offer(from sender: Node, in term: Term) {
                var message = RaftMessage(.append, from: sender.replica, to: follower.replica, term: term)
                (message.index, message.logTerm, message.entryCount) = (last, leader.core.term, 1)
                let entry = Entry(
                    index: last.next, term: term, type: .noOperation,
                    timestampMicroseconds: follower.lastTimestampMicroseconds)
                follower.peers?.onMessage(message, [entry], [])
            }
            offer(from: leader, in: term)
            await seams.clock.sleep(nanoseconds: 10_000_000)
            offer(from: other, in: term.next)
            #expect(follower.store.nextIndex == last.next.next)
            #expect(try await group.wait { !acknowledged.isEmpty })
            #expect(acknowledged.first == term.next)
            world.disk.clearFaults()
            _ = await group.leader
            try await group.closeAll()
        }
    }
}
