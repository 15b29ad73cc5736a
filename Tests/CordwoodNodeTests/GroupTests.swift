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
}
