import CordwoodBase
import CordwoodIO
import CordwoodNode
import CordwoodPlatform
import CordwoodRaft
import Testing

@Suite("Peers over real sockets")
struct PeerPlatformTests {
    private func onPlatform(
        _ choice: Platform.Choice, _ body: @escaping @Sendable (Seams) async throws -> Void
    ) async throws {
        let platform = try Platform.start(io: choice)
        defer { platform.shutdown() }
        try await platform.run(body)
    }

    @Test(arguments: [Platform.Choice.uring, .posix])
    func exchangeMessagesAndCallsAndComeBackAfterARestart(_ backend: Platform.Choice) async throws {
        try await onPlatform(backend) { seams in
            var peers: [PeerUnderTest] = []
            for replica in 1...3 as ClosedRange<UInt64> {
                let peer = PeerUnderTest(ReplicaID(replica), seams: seams)
                try await peer.listen()
                peer.transport.services[.forward] = { _, body in .success(body.reversed()) }
                peer.transport.services[.piece] = { _, _ in .success([UInt8](repeating: 9, count: 3 << 20)) }
                peers.append(peer)
            }
            introduce(peers)
            for peer in peers {
                for other in peers where other.replica != peer.replica {
                    for number in 0..<50 as Range<UInt64> {
                        peer.sendAppend(
                            to: other.replica, after: RaftIndex(number * 20), count: 20, payloadBytes: 64)
                        peer.send(.heartbeat, to: other.replica, context: number)
                    }
                }
            }
            for peer in peers {
                try await until("all arrive", seams) { peer.messages.count == 200 }
                for other in peers where other.replica != peer.replica {
                    let indexes = peer.messages.filter { $0.from == other.replica && $0.kind == .append }.map(\.index)
                    #expect(indexes == (0..<50).map { RaftIndex($0 * 20) })
                }
                #expect(peer.entries.allSatisfy { $0 == sampleEntry($0.index, payloadBytes: 64) })
            }
            var answers = 0
            for number in 0..<500 as Range<UInt16> {
                seams.scheduler.spawn("caller") {
                    let body = [UInt8(number >> 8), UInt8(truncatingIfNeeded: number)]
                    let answer = try? await peers[0].transport.call(
                        2, .forward, body, timeoutNanoseconds: 10_000_000_000)
                    #expect(answer == body.reversed())
                    answers += 1
                }
            }
            let piece = try await peers[0].transport.call(
                2, .piece, [], lane: .bulk, timeoutNanoseconds: 10_000_000_000)
            #expect(piece == [UInt8](repeating: 9, count: 3 << 20))
            try await until("all are answered", seams) { answers == 500 }

            let port = peers[1].address.address.port
            await peers[1].transport.close()
            try await until("the loss is told", seams) { peers[0].unreachable.contains(2) }
            peers[1] = PeerUnderTest(2, seams: seams)
            try await peers[1].listen(port: port)
            introduce(peers)
            try await until("it is reached", seams) {
                peers[0].send(.heartbeat, to: 2)
                peers[2].send(.heartbeat, to: 2)
                return Set(peers[1].messages.map(\.from)) == [1, 3]
            }
            await close(peers)
        }
    }

    @Test(arguments: [Platform.Choice.uring, .posix])
    func failFastWhereNobodyListens(_ backend: Platform.Choice) async throws {
        try await onPlatform(backend) { seams in
            let listener = try await seams.network.listen(SocketAddress(host: "127.0.0.1", port: 0))
            listener.close()
            let caller = PeerUnderTest(1, seams: seams)
            await #expect(throws: PeerError.self) {
                try await caller.transport.call(
                    address: listener.address, .join, [], timeoutNanoseconds: 60_000_000_000)
            }
            await caller.transport.close()
        }
    }
}
