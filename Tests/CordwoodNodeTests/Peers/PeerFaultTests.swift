import CordwoodBase
import CordwoodIO
import CordwoodNode
import CordwoodRaft
import CordwoodVirtual
import Testing

/// Transports on machines of their own, whose network and power fail.
@Suite("Peers in the midst of faults")
struct PeerFaultTests {
    private static let millisecond: UInt64 = 1_000_000
    private static let second: UInt64 = 1_000_000_000

    /// So many machines, each with a transport that knows the others and answers heartbeats.
    private final class Group {
        let world: VirtualWorld
        private(set) var peers: [PeerUnderTest] = []

        init(_ count: Int, seed: UInt64, _ change: @escaping (inout PeerConfiguration) -> Void = { _ in }) {
            world = VirtualWorld(seed: seed)
            let members = (1...count).map { number in
                PeerAddress(
                    replica: ReplicaID(UInt64(number)), name: "node-\(number)",
                    address: SocketAddress(host: "node-\(number)", port: 7000))
            }
            for member in members {
                let host = world.host(member.name)
                peers.append(start(host, member, members, change))
            }
        }

        private func start(
            _ host: VirtualHost, _ member: PeerAddress, _ members: [PeerAddress],
            _ change: @escaping (inout PeerConfiguration) -> Void = { _ in }
        ) -> PeerUnderTest {
            let peer = PeerUnderTest(member.replica, seams: host.seams, change)
            peer.onMessage = { [unowned peer] message in
                if message.kind == .heartbeat {
                    peer.send(.heartbeatResponse, to: message.from, context: message.context)
                }
            }
            host.spawn("transport") { _ in
                try? await peer.listen(host: member.name, port: member.address.port)
                peer.transport.updateMembers(members)
            }
            host.atEnd { await peer.transport.close() }
            return peer
        }

        /// The machine of a peer loses its power, and lives again.
        func restart(_ number: Int) {
            let host = world.hosts[number]
            host.crash()
            host.start()
            let members = peers.map { peer in
                PeerAddress(
                    replica: peer.replica, name: "node-\(peer.replica)",
                    address: SocketAddress(host: "node-\(peer.replica)", port: 7000))
            }
            peers[number] = start(host, members[number], members)
        }

        func advance(_ nanoseconds: UInt64) { world.advance(nanoseconds: nanoseconds) }

        /// How long the first peer beats, ten times a second, until the other has answered a beat of now.
        func timeUntilHeard(_ number: Int) -> UInt64? {
            let start = world.clock.monotonicNanoseconds
            for beat in 1...100 as ClosedRange<UInt64> {
                peers[0].send(.heartbeat, to: peers[number].replica, context: start + beat)
                advance(100 * PeerFaultTests.millisecond)
                if peers[0].contexts(.heartbeatResponse).contains(where: { $0 > start && $0 <= start + beat }) {
                    return world.clock.monotonicNanoseconds - start
                }
            }
            return nil
        }
    }

    @Test func hearEachOtherWithinTwoSecondsOfTheEndOfAnyPartition() throws {
        for seed in 1...10 as ClosedRange<UInt64> {
            let group = Group(3, seed: seed)
            group.advance(Self.second)
            let random = group.world.random("partition")
            switch seed % 3 {
            case 0: group.world.network.isolate("node-2")
            case 1: group.world.network.cut(from: "node-1", to: "node-2")
            default: group.world.network.cut(from: "node-2", to: "node-1")
            }
            let end = group.world.clock.monotonicNanoseconds + random.next(below: 40 * Self.second)
            while group.world.clock.monotonicNanoseconds < end {
                group.peers[0].send(.heartbeat, to: 2)
                group.advance(100 * Self.millisecond)
            }
            group.world.network.heal()
            let time = group.timeUntilHeard(1)
            #expect(time.map { $0 <= 2 * Self.second } == true, "seed \(seed): \(time ?? 0) ns")
        }
    }

    @Test func giveUpAConnectionThatBringsNothingAnyMoreWhicheverWayIsCut() {
        for isOutgoing in [true, false] {
            let group = Group(2, seed: 20)
            group.advance(Self.second)
            #expect(group.peers[0].transport.isConnected(to: 2))
            group.world.network.cut(
                from: isOutgoing ? "node-1" : "node-2", to: isOutgoing ? "node-2" : "node-1")
            group.advance(5 * Self.second)
            #expect(!group.peers[0].transport.isConnected(to: 2))
            #expect(!group.peers[1].transport.isConnected(to: 1))
            #expect(group.peers[0].unreachable.contains(2))
        }
    }

    @Test func keepTheirConnectionsWhenTheyHaveStoodStillForAMoment() {
        let group = Group(3, seed: 25)
        group.advance(Self.second)
        group.world.hosts[0].pause()
        group.advance(1500 * Self.millisecond)
        group.world.hosts[0].resume()
        group.advance(Self.second)
        #expect(group.peers.allSatisfy { $0.unreachable.isEmpty })
        // For longer than the others' patience: they have given it up, and hear it again as soon as it goes on.
        group.world.hosts[0].pause()
        group.advance(10 * Self.second)
        #expect(group.peers[1].unreachable == [1])
        group.world.hosts[0].resume()
        let time = group.timeUntilHeard(1)
        #expect(time.map { $0 <= Self.second } == true, "\(time ?? 0) ns")
    }

    @Test func hearOneThatLostItsPowerSoonAfterItIsBack() {
        for seed in 30...35 as ClosedRange<UInt64> {
            let group = Group(3, seed: seed)
            group.advance(Self.second)
            group.restart(1)
            let time = group.timeUntilHeard(1)
            #expect(time.map { $0 <= Self.second } == true, "seed \(seed): \(time ?? 0) ns")
        }
    }

    @Test func hearHeartbeatsOverANarrowLinkThatIsFullOfAppends() {
        let group = Group(2, seed: 40)
        group.world.network.options.windowBytes = 64 << 10
        group.advance(Self.second)
        group.world.network.set(.narrow(bytesPerSecond: 1_000_000), from: "node-1", to: "node-2")
        // Eight seconds of appends, in pieces as the consensus window sends them.
        for number in 0..<32 as Range<UInt64> {
            group.peers[0].sendAppend(to: 2, after: RaftIndex(number * 25), count: 25, payloadBytes: 10_000)
        }
        var worst: UInt64 = 0
        for _ in 0..<8 {
            guard let time = group.timeUntilHeard(1) else {
                Issue.record("a heartbeat waits behind all appends")
                return
            }
            worst = max(worst, time)
        }
        // One append is on its way, and what TCP holds.
        #expect(worst <= 700 * Self.millisecond, "\(worst) ns")
        #expect(group.peers[1].messages.count { $0.kind == .append } < 32)
    }

    @Test func loseMessagesOverALinkThatBreaksAndNeverTakeOneForAnother() {
        let group = Group(3, seed: 50)
        group.advance(Self.second)
        group.world.network.set(.breaking(permille: 50), among: group.peers.map { "node-\($0.replica)" })
        for context in 1...500 as ClosedRange<UInt64> {
            group.peers[0].sendAppend(to: 2, after: RaftIndex(context), count: 3)
            group.peers[0].send(.readIndex, to: 2, context: context)
            group.advance(20 * Self.millisecond)
        }
        let contexts = group.peers[1].contexts(.readIndex)
        #expect(contexts == contexts.sorted() && Set(contexts).count == contexts.count)
        #expect(contexts.count > 250 && contexts.count < 500, "\(contexts.count) of 500")
        #expect(group.peers[1].entries.allSatisfy { $0 == sampleEntry($0.index) })
        #expect(group.peers[0].unreachable.contains(2))
    }

    @Test func goThroughTheSameRunAgainUnderOneSeed() {
        func hash(_ seed: UInt64) -> UInt64 {
            let group = Group(3, seed: seed)
            let random = group.world.random("faults")
            for _ in 0..<30 {
                switch random.next(below: 5) {
                case 0: group.restart(Int(random.next(below: 3)))
                case 1: group.world.network.isolate("node-\(1 + random.next(below: 3))")
                case 2: group.world.network.breakConnections(of: "node-\(1 + random.next(below: 3))")
                default: group.world.network.heal()
                }
                for peer in group.peers {
                    for other in group.peers where other.replica != peer.replica {
                        peer.send(.heartbeat, to: other.replica)
                    }
                }
                group.advance(random.next(below: Self.second))
            }
            return group.world.trace.hash
        }
        for seed in 60...63 as ClosedRange<UInt64> { #expect(hash(seed) == hash(seed), "seed \(seed)") }
    }
}
