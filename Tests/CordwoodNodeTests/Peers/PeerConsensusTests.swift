import CordwoodBase
import CordwoodIO
import CordwoodNode
import CordwoodRaft
import CordwoodVirtual
import Testing

@Suite("Peers that exchange messages of consensus")
struct PeerConsensusTests {
    /// Nodes that listen and know each other.
    private func group(
        _ count: UInt64, _ seams: Seams, _ change: (inout PeerConfiguration) -> Void = { _ in }
    ) async throws -> [PeerUnderTest] {
        var peers: [PeerUnderTest] = []
        for number in 1...count {
            let peer = PeerUnderTest(ReplicaID(number), seams: seams, change)
            try await peer.listen(host: "node-\(number)", port: 7000)
            peers.append(peer)
        }
        introduce(peers)
        return peers
    }

    @Test func everyMessageArrivesAtItsPeerInItsOrder() throws {
        try VirtualWorld(seed: 1).run { seams in
            let peers = try await group(3, seams)
            for context in 1...100 as ClosedRange<UInt64> {
                for peer in peers.dropFirst() { peers[0].send(.heartbeat, to: peer.replica, context: context) }
            }
            for peer in peers.dropFirst() {
                try await until("all arrive", seams) { peer.messages.count == 100 }
                #expect(peer.contexts(.heartbeat) == [UInt64](1...100))
                #expect(peer.messages.allSatisfy { $0.from == 1 && $0.to == peer.replica })
            }
            for peer in peers { await peer.transport.close() }
        }
    }

    @Test func anAppendBringsItsEntriesAndASnapshotItsAttachment() throws {
        try VirtualWorld(seed: 2).run { seams in
            let peers = try await group(2, seams)
            peers[0].sendAppend(to: 2, after: 41, count: 30, payloadBytes: 5000)
            var snapshot = RaftMessage(.snapshot, from: 1, to: 2, term: 3)
            snapshot.index = 9
            peers[0].transport.send(snapshot, attachment: [1, 2, 3])
            try await until("both arrive", seams) { peers[1].messages.count == 2 }
            #expect(peers[1].entries == (42...71).map { sampleEntry(RaftIndex($0), payloadBytes: 5000) })
            #expect(peers[1].attachments == [[1, 2, 3]])
            for peer in peers { await peer.transport.close() }
        }
    }
}
