import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

@testable import CordwoodNode

/// A replica whose id the group has removed, there or away when it was.
@Suite("Removed members")
struct RemovalTests {
    private static let names = ["a", "b", "c"]

    /// Has told an operator, in as many lines.
    private static func told(_ log: RecordingLog) -> Int {
        log.events.count { $0.message.contains("was removed from the group for good") }
    }

    private static func wait(_ seams: Seams, seconds: UInt64 = 20, until isDone: () -> Bool) async -> Bool {
        let deadline = seams.clock.monotonicNanoseconds + seconds * 1_000_000_000
        while !isDone() {
            if seams.clock.monotonicNanoseconds > deadline { return false }
            await seams.clock.sleep(nanoseconds: 10_000_000)
        }
        return true
    }

    @Test func aReplicaThatWasRemovedWhileItWasAwayLearnsItAndKeepsQuiet() throws {
        let world = VirtualWorld(seed: 21)
        try world.run { seams in
            let nodes = try await GroupTests.found(Self.names, seams)
            let leader = await GroupTests.leader(of: nodes, seams)
            #expect(try await leader.tally("before", in: 0) == "1")
            let away = try #require(nodes.first { !$0.isLeader })
            try await away.close()
            _ = try await leader.operate(.remove(name: away.configuration.name))
            #expect(try await leader.tally("after", in: 0) == "2")
            let term = leader.status.term

            let log = RecordingLog()
            let returned = try await Node.open(
                away.configuration, machine: TallyMachine.make, log: log, seams: seams)
            var sent = 0
            returned.onSend = { _ in sent += 1 }
            #expect(await Self.wait(seams) { returned.isRemoved }, "it does not hear that it was removed")
            #expect(returned.status.isRemoved)
            sent = 0
            await seams.clock.sleep(nanoseconds: 60_000_000_000)
            #expect(Self.told(log) == 1)
            #expect(sent == 0 && returned.status.role == .follower && returned.status.term <= term)
            #expect(!returned.core.isElectable)
            #expect(returned.peers?.status.isEmpty == true, "it still dials those who refuse it")
            await #expect(throws: MemberOperationError.self) {
                _ = try await returned.operate(.remove(name: leader.configuration.name))
            }
            #expect(leader.isLeader && leader.status.term == term)
            // It ends as any other, and hears the same the next time.
            try await returned.close()
            let again = try await Node.open(away.configuration, machine: TallyMachine.make, log: log, seams: seams)
            #expect(await Self.wait(seams) { again.isRemoved })
            #expect(Self.told(log) == 2)
            try await again.close()
            for node in nodes where node !== away { try await node.close() }
        }
    }

    /// A member that came back with the configuration of before would ask for the vote of one that is gone for good.
    @Test func whoIsInTheGroupIsRecordedByEveryMemberAsSoonAsItIsDecided() throws {
        let world = VirtualWorld(seed: 23)
        try world.run { seams in
            let nodes = try await GroupTests.found(Self.names, seams)
            let leader = await GroupTests.leader(of: nodes, seams)
            let gone = try #require(nodes.first { !$0.isLeader })
            _ = try await leader.operate(.remove(name: gone.configuration.name))
            for node in nodes where node !== gone {
                let isTold = await Self.wait(seams, seconds: 1) {
                    node.membership.member(gone.replica) == nil && node.isConfigurationRecorded
                }
                #expect(isTold)
                let salvage = try await LogSalvage.read(
                    node.configuration.directory + "/log", files: seams.files)
                let recorded = try #require(salvage?.checkpoint).value.configuration
                #expect(try Membership(decoding: recorded) == node.membership)
            }
            for node in nodes { try await node.close() }
        }
    }

    @Test(arguments: [true, false])
    func aReplicaThatIsRemovedWhileItRunsSaysSo(leads: Bool) throws {
        let world = VirtualWorld(seed: 22)
        try world.run { seams in
            let nodes = try await GroupTests.found(Self.names, seams)
            let leader = await GroupTests.leader(of: nodes, seams)
            let removed = try #require(nodes.first { $0.isLeader == leads })
            _ = try await leader.operate(.remove(name: removed.configuration.name))
            #expect(await Self.wait(seams) { removed.isRemoved })
            let others = nodes.filter { $0 !== removed }
            let next = await GroupTests.leader(of: others, seams)
            #expect(try await next.tally("goes on", in: 0) == "1")
            #expect(others.allSatisfy { !$0.isRemoved })
            #expect(await Self.wait(seams) { removed.peers?.status.isEmpty == true })
            #expect(!removed.isLeader)
            for node in nodes { try await node.close() }
        }
    }

    /// Nor is it turned away for good by one that was removed and that it asks first.
    @Test func aReplicaThatJoinsLateDoesNotTakeItselfForRemoved() throws {
        let world = VirtualWorld(seed: 23)
        try world.run { seams in
            let nodes = try await GroupTests.found(Self.names, seams)
            let leader = await GroupTests.leader(of: nodes, seams)
            func joining(_ contacts: String...) -> GroupStart {
                .joining(contacts.map { SocketAddress(host: $0, port: 7001) })
            }
            let former = try await Node.open(
                GroupTests.configuration("d", joining("a")), machine: TallyMachine.make, seams: seams)
            _ = try await leader.operate(.remove(name: "d"))
            #expect(await Self.wait(seams) { former.isRemoved })
            let latecomer = try await Node.open(
                GroupTests.configuration("e", joining("d", "a")), machine: TallyMachine.make, seams: seams)
            #expect(try await leader.tally("goes on", in: 0) == "1")
            let commit = leader.status.commit
            #expect(await Self.wait(seams) { latecomer.status.dispatched >= commit })
            #expect(await latecomer.tallied(0) == ["goes on"])
            #expect(!latecomer.isRemoved && latecomer.membership.member(latecomer.replica) != nil)
            for node in nodes + [former, latecomer] { try await node.close() }
        }
    }
}
