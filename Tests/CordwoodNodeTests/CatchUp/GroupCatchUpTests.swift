import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft
import CordwoodVirtual
import Testing

@testable import CordwoodNode

@Suite("Members that are behind the log")
struct GroupCatchUpTests {
    private static func configuration(_ name: String) -> NodeConfiguration {
        var configuration = GroupTests.configuration(name, .founding(GroupTests.founders(["a", "b", "c"])))
        configuration.retentionBytes = 64 << 10
        configuration.catchUp.pieceBytes = 16 << 10
        return configuration
    }

    private static func open(_ configuration: NodeConfiguration, _ seams: Seams) async throws -> Node {
        try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
    }

    private static func found(_ seams: Seams) async throws -> [Node] {
        var nodes: [String: Node] = [:]
        for name in ["a", "b", "c"] {
            seams.scheduler.spawn("open \(name)") { nodes[name] = try? await open(configuration(name), seams) }
        }
        while nodes.count < 3 { await seams.clock.sleep(nanoseconds: 10_000_000) }
        return ["a", "b", "c"].compactMap { nodes[$0] }
    }

    private static func write(_ count: Int, to leader: Node) async throws {
        for number in 1...count {
            _ = try await leader.tally(
                "\(number) " + String(repeating: "x", count: 1000), in: PartitionID(UInt64(number % 4)))
        }
    }

    private static func expectEqual(_ node: Node, _ leader: Node, through index: RaftIndex) async {
        for partition in (0..<4 as Range<UInt64>).map({ PartitionID($0) }) {
            _ = await node.barrier(through: index, partitions: [partition], timeoutNanoseconds: 5_000_000_000)
            #expect(await node.tallied(partition) == leader.tallied(partition))
            #expect(node.watermark(of: partition) == leader.watermark(of: partition))
        }
    }

    @Test func aNewMemberWithAnEmptyDirectoryIsBroughtUpBesideTheLoadAndBecomesAVoter() throws {
        let world = VirtualWorld(seed: 12)
        try world.run { seams in
            var nodes = try await Self.found(seams)
            let leader = await GroupTests.leader(of: nodes, seams)
            try await Self.write(300, to: leader)
            var isLoaded = true
            var hasEnded = false
            seams.scheduler.spawn("load") {
                while isLoaded { _ = try? await leader.tally("beside it", in: 2) }
                hasEnded = true
            }
            var joining = Self.configuration("d")
            joining.group = .joining(GroupTests.founders(["a", "b", "c"]).map(\.address))
            let joined = try await Self.open(joining, seams)
            nodes.append(joined)
            while joined.status.log.boundary.index < 200 { await seams.clock.sleep(nanoseconds: 10_000_000) }
            while true {
                do {
                    _ = try await leader.operate(.promote(name: "d"))
                    break
                } catch { await seams.clock.sleep(nanoseconds: 50_000_000) }
            }
            isLoaded = false
            while !hasEnded { await seams.clock.sleep(nanoseconds: 1_000_000) }
            let index = try await leader.readIndex()
            while joined.status.dispatched < index { await seams.clock.sleep(nanoseconds: 10_000_000) }
            #expect(joined.membership.configuration.voters.contains(joined.replica))
            await Self.expectEqual(joined, leader, through: index)
            for node in nodes { try await node.close() }
        }
    }

    @Test func aFollowerBehindTheTruncatedLogIsBroughtUpByASnapshot() throws {
        let world = VirtualWorld(seed: 11)
        try world.run { seams in
            var nodes = try await Self.found(seams)
            let leader = await GroupTests.leader(of: nodes, seams)
            let away = try #require(nodes.firstIndex { !$0.isLeader })
            try await Self.write(20, to: leader)
            let name = nodes[away].configuration.name
            try await nodes[away].close()
            try await Self.write(400, to: leader)
            await seams.clock.sleep(nanoseconds: 3_000_000_000)
            #expect(leader.status.log.startIndex > 30)
            nodes[away] = try await Self.open(Self.configuration(name), seams)
            try await Self.write(20, to: leader)
            let index = try await leader.readIndex()
            while nodes[away].status.dispatched < index { await seams.clock.sleep(nanoseconds: 10_000_000) }
            #expect(nodes[away].status.log.boundary.index > 30)
            await Self.expectEqual(nodes[away], leader, through: index)
            for node in nodes { try await node.close() }
        }
    }
}
