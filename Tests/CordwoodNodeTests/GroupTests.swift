import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodNode
import CordwoodRaft
import CordwoodVirtual
import Testing

/// Nodes of one group in one world, each in a directory of its own.
@Suite("Several nodes")
struct GroupTests {
    static func founders(_ names: [String]) -> [GroupStart.Founder] {
        names.enumerated().map { place, name in
            GroupStart.Founder(name: name, address: SocketAddress(host: name, port: 7001))
        }
    }

    static func configuration(_ name: String, _ group: GroupStart) -> NodeConfiguration {
        smallNode {
            $0.directory = name
            $0.name = name
            $0.group = group
            $0.peerAddress = SocketAddress(host: name, port: 7001)
        }
    }

    /// Opens all founders at once: each needs the others.
    static func found(_ names: [String], _ seams: Seams) async throws -> [Node] {
        let group = GroupStart.founding(founders(names))
        var nodes: [String: Node] = [:]
        var failure: (any Error)?
        for name in names {
            seams.scheduler.spawn("open \(name)") {
                do {
                    nodes[name] = try await Node.open(
                        configuration(name, group), machine: TallyMachine.make, seams: seams)
                } catch { failure = error }
            }
        }
        while nodes.count < names.count {
            if let failure { throw failure }
            if seams.clock.monotonicNanoseconds > 20_000_000_000 { throw TallyError.notApplied }
            await seams.clock.sleep(nanoseconds: 10_000_000)
        }
        return names.compactMap { nodes[$0] }
    }

    static func leader(of nodes: [Node], _ seams: Seams) async -> Node {
        while true {
            if let leader = nodes.first(where: \.isLeader) { return leader }
            await seams.clock.sleep(nanoseconds: 10_000_000)
        }
    }

    @Test func threeFoundersElectALeaderAndApplyTheSameEntries() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let nodes = try await Self.found(["a", "b", "c"], seams)
            let leader = await Self.leader(of: nodes, seams)
            for number in 1...20 {
                #expect(try await leader.tally("event \(number)", in: 3) == "\(number)")
            }
            await seams.clock.sleep(nanoseconds: 500_000_000)
            for node in nodes {
                #expect(await node.tallied(3) == (1...20).map { "event \($0)" })
                #expect(node.watermark(of: 3) == 20)
            }
            for node in nodes { try await node.close() }
        }
    }

    @Test func aCommandThatReachesAFollowerIsAnsweredWithWhatTheLeaderMadeOfIt() throws {
        let world = VirtualWorld(seed: 2)
        try world.run { seams in
            let nodes = try await Self.found(["a", "b", "c"], seams)
            let leader = await Self.leader(of: nodes, seams)
            let follower = try #require(nodes.first { !$0.isLeader })
            for number in 1...20 {
                guard
                    case .appliedByLeader(_, _, let outcome) = try await follower.propose(
                        Array("event \(number)".utf8), to: 1)
                else {
                    Issue.record("event \(number) was not applied")
                    continue
                }
                #expect(String(decoding: outcome.answer, as: UTF8.self) == "\(number)")
                // The client reads its own write where it wrote it.
                #expect(follower.watermark(of: 1) == UInt64(number))
            }
            #expect(await leader.tallied(1).count == 20)
            for node in nodes { try await node.close() }
        }
    }

    @Test func aCommitIsToldWithinMomentsThoughNothingFollowsIt() throws {
        let world = VirtualWorld(seed: 12)
        try world.run { seams in
            let nodes = try await Self.found(["a", "b", "c"], seams)
            let leader = await Self.leader(of: nodes, seams)
            _ = try await leader.tally("event", in: 1)
            let began = seams.clock.monotonicNanoseconds
            while nodes.contains(where: { $0.watermark(of: 1) < 1 }) {
                await seams.clock.sleep(nanoseconds: 100_000)
            }
            // The next heartbeat would say it, too, up to 100 ms later.
            #expect(seams.clock.monotonicNanoseconds - began < 5_000_000)
            for node in nodes { try await node.close() }
        }
    }

    @Test func aFollowerThatWasAwayCatchesUpFromTheLog() throws {
        let world = VirtualWorld(seed: 3)
        try world.run { seams in
            var nodes = try await Self.found(["a", "b", "c"], seams)
            let leader = await Self.leader(of: nodes, seams)
            let away = try #require(nodes.firstIndex { !$0.isLeader })
            let name = nodes[away].configuration.name
            _ = try await leader.tally("before", in: 0)
            try await nodes[away].close()
            for number in 1...30 { _ = try await leader.tally("meanwhile \(number)", in: 0) }
            nodes[away] = try await Node.open(
                Self.configuration(name, .founding(Self.founders(["a", "b", "c"]))), machine: TallyMachine.make,
                seams: seams)
            #expect(nodes[away].replica == ReplicaID(UInt64(away + 1)))
            let index = try await nodes[away].linearizableIndex(seams)
            _ = await nodes[away].barrier(through: index, partitions: [0], timeoutNanoseconds: 5_000_000_000)
            #expect(await nodes[away].tallied(0).count == 31)
            for node in nodes { try await node.close() }
        }
    }

    /// Found by seed 75 of the simulation: both were made of the group as it was before either, under the same id.
    @Test func nodesThatAreAddedAtTheSameTimeGetDifferentIds() throws {
        let world = VirtualWorld(seed: 13)
        try world.run { seams in
            let nodes = try await Self.found(["a", "b", "c"], seams)
            let leader = await Self.leader(of: nodes, seams)
            var added: [String: ReplicaID] = [:]
            for name in ["d", "e", "f"] {
                seams.scheduler.spawn("add \(name)") {
                    let result = try? await leader.operate(
                        .add(name: name, address: "\(name):7001", node: UniqueID(high: 1, low: 1)))
                    added[name] = result?.replica ?? ReplicaID.none
                }
            }
            while added.count < 3 { await seams.clock.sleep(nanoseconds: 10_000_000) }
            #expect(Set(added.values) == [4, 5, 6])
            #expect(leader.membership.members.map(\.name).sorted() == ["a", "b", "c", "d", "e", "f"])
            for node in nodes { try await node.close() }
        }
    }

    /// Found by seed 1676 of the simulation: it is told which ids were given out, and maybe not yet to whom.
    @Test func whoeverHasNoConfigurationTakesNobodyForRemoved() {
        var membership = Membership(
            configuration: GroupConfiguration(), members: [Membership.Member(replica: 5, name: "e")], nextReplica: 6,
            partitionCount: 1)
        #expect(!membership.isRetired(4))
        membership.configurationIndex = 9
        #expect(membership.isRetired(4))
        #expect(!membership.isRetired(5))
        #expect(!membership.isRetired(6))
    }

    @Test func aLeaderThatIsToStopHandsOverFirst() throws {
        let world = VirtualWorld(seed: 4)
        try world.run { seams in
            let nodes = try await Self.found(["a", "b", "c"], seams)
            let leader = await Self.leader(of: nodes, seams)
            _ = try await leader.tally("one", in: 0)
            let term = leader.status.term
            try await leader.close()
            let rest = nodes.filter { $0 !== leader }
            let successor = try #require(rest.first { $0.isLeader })
            #expect(successor.status.term == term.next)
            #expect(try await successor.tally("two", in: 0) == "2")
            for node in rest { try await node.close() }
        }
    }

    @Test func aFounderWhoseDirectoryIsNewIsToldToJoin() throws {
        let world = VirtualWorld(seed: 5)
        try world.run { seams in
            let nodes = try await Self.found(["a", "b", "c"], seams)
            _ = try await (await Self.leader(of: nodes, seams)).tally("one", in: 0)
            try await nodes[2].close()
            // The same name and address, another directory: what it had promised is gone.
            var wiped = Self.configuration("c", .founding(Self.founders(["a", "b", "c"])))
            wiped.directory = "c-wiped"
            await #expect(throws: NodeError.self) {
                _ = try await Node.open(wiped, machine: TallyMachine.make, seams: seams)
            }
            for node in nodes.prefix(2) { try await node.close() }
        }
    }

    @Test func whatALeaderCouldNotCommitIsUnknownToItsClientInTime() throws {
        let world = VirtualWorld(seed: 6)
        try world.run { seams in
            let nodes = try await Self.found(["a", "b", "c"], seams)
            let leader = await Self.leader(of: nodes, seams)
            _ = try await leader.tally("one", in: 0)
            for node in nodes where node !== leader { try await node.close() }
            let began = seams.clock.monotonicNanoseconds
            let outcome = try await leader.propose(Array("two".utf8), to: 0)
            #expect(outcome == .unknown(.timedOut))
            #expect(seams.clock.monotonicNanoseconds - began < 12_000_000_000)
            try await leader.close()
        }
    }

    @Test func membersAreRemovedAndRenamedAddressesAreKeptKnown() throws {
        let world = VirtualWorld(seed: 7)
        try world.run { seams in
            var nodes = try await Self.found(["a", "b", "c"], seams)
            let leader = await Self.leader(of: nodes, seams)
            let other = try #require(nodes.firstIndex { !$0.isLeader })
            let name = nodes[other].configuration.name
            try await nodes[other].close()
            var moved = Self.configuration(name, .founding(Self.founders(["a", "b", "c"])))
            moved.peerAddress = SocketAddress(host: "elsewhere", port: 7009)
            nodes[other] = try await Node.open(moved, machine: TallyMachine.make, seams: seams)
            while leader.membership.member(named: name)?.address != "elsewhere:7009" {
                await seams.clock.sleep(nanoseconds: 50_000_000)
            }
            // Asked of a follower, done by the leader.
            let follower = try #require(nodes.first { !$0.isLeader && $0 !== nodes[other] })
            let result = try await follower.operate(.remove(name: name))
            #expect(result.replica == nodes[other].replica)
            #expect(leader.membership.isRetired(result.replica))
            #expect(leader.membership.configuration.voters.count == 2)
            await #expect(throws: MemberOperationError.self) { _ = try await leader.operate(.remove(name: "nobody")) }
            #expect(try await leader.tally("still here", in: 0) == "1")
            for node in nodes { try await node.close() }
        }
    }
}

extension Node {
    /// A read index, asked for until there is a leader to give one.
    func linearizableIndex(_ seams: Seams) async throws -> RaftIndex {
        while true {
            do throws(ProposalRejection) { return try await readIndex() } catch {
                guard case .notLeader = error else { throw error }
                await seams.clock.sleep(nanoseconds: 50_000_000)
            }
        }
    }
}
