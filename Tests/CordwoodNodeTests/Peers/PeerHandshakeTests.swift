import CordwoodBase
import CordwoodIO
import CordwoodRaft
import CordwoodVirtual
import Testing

@testable import CordwoodNode

@Suite("Peers that meet")
struct PeerHandshakeTests {
    @Test func ofDifferentClustersRefuseEachOtherAndBothSaySo() throws {
        try VirtualWorld(seed: 1).run { seams in
            let here = PeerUnderTest(1, seams: seams)
            try await here.listen(host: "here", port: 7000)
            let foreign = PeerUnderTest(2, cluster: UniqueID(high: 9, low: 9), seams: seams)
            try await foreign.listen(host: "foreign", port: 7000)
            introduce([here, foreign])
            here.send(.vote, to: 2)
            foreign.send(.vote, to: 1)
            await seams.clock.sleep(nanoseconds: 1_000_000_000)
            for peer in [here, foreign] {
                #expect(peer.messages.isEmpty)
                #expect(peer.refusals == [.cluster])
                #expect(peer.log.said("cannot connect: another cluster"))
                #expect(peer.log.said("refused node-"))
                let text = peer.log.events.map(\.message).joined()
                #expect(text.contains(testCluster.description) && text.contains("\(UniqueID(high: 9, low: 9))"))
            }
            await #expect(throws: PeerError.self) {
                try await here.transport.call(2, .operate, [], timeoutNanoseconds: 1_000_000_000)
            }
            await close([here, foreign])
        }
    }

    @Test func refuseAnIdThatHasBeenRemoved() throws {
        try VirtualWorld(seed: 2).run { seams in
            let peer = PeerUnderTest(1, seams: seams)
            try await peer.listen(host: "node-1", port: 7000)
            peer.transport.isRetired = { $0 == 5 }
            let removed = PeerUnderTest(5, seams: seams)
            removed.transport.updateMembers([peer.address])
            removed.send(.vote, to: 1)
            let error = await #expect(throws: PeerError.self) {
                try await removed.transport.call(1, .operate, [], timeoutNanoseconds: 1_000_000_000)
            }
            guard case .retired? = error else { throw PeerTestError.unexpected }
            #expect(removed.refusals.allSatisfy { $0 == .retired })
            #expect(peer.messages.isEmpty)
            await close([peer, removed])
        }
    }

    @Test func dropWhatAnIdSaysThatIsRemovedWhileItIsConnected() throws {
        try VirtualWorld(seed: 3).run { seams in
            let peers = try await peerGroup(2, seams)
            peers[0].send(.heartbeat, to: 2, context: 1)
            try await until("it arrives", seams) { peers[1].messages.count == 1 }
            peers[1].transport.isRetired = { $0 == 1 }
            peers[0].send(.heartbeat, to: 2, context: 2)
            try await until("it is refused", seams) { peers[0].refusals.contains(.retired) }
            #expect(peers[1].contexts(.heartbeat) == [1])
            await close(peers)
        }
    }

    @Test func refuseOneThatMeansAnotherReplicaOrBearsTheirOwnId() throws {
        try VirtualWorld(seed: 4).run { seams in
            let peer = PeerUnderTest(7, seams: seams)
            try await peer.listen(host: "node", port: 7000)
            let caller = PeerUnderTest(1, seams: seams)
            // The disk behind the address has been replaced, and the caller does not know yet.
            caller.transport.updateMembers([PeerAddress(replica: 3, name: "node", address: peer.address.address)])
            caller.send(.append, to: 3)
            let twin = PeerUnderTest(7, seams: seams)
            twin.transport.updateMembers([PeerAddress(replica: 8, name: "node", address: peer.address.address)])
            await seams.clock.sleep(nanoseconds: 1_000_000_000)
            #expect(caller.refusals == [.replica])
            #expect(caller.log.said("this is replica 7, not 3"))
            #expect(twin.refusals == [.replica])
            #expect(peer.messages.isEmpty)
            await close([peer, caller, twin])
        }
    }

    @Test func tellANodeThatIsNotReadyFromOneThatIs() throws {
        try VirtualWorld(seed: 5).run { seams in
            let joining = PeerUnderTest(.none, cluster: .none, seams: seams)
            try await joining.listen(host: "joining", port: 7000)
            let other = PeerUnderTest(1, seams: seams)
            let error = await #expect(throws: PeerError.self) {
                try await other.transport.call(
                    address: joining.address.address, .operate, [], timeoutNanoseconds: 1_000_000_000)
            }
            guard case .rejected(.notReady, _)? = error else { throw PeerTestError.unexpected }
            await close([joining, other])
        }
    }

    @Test func areGoneForOneThatSpeaksOnlyVersionsOfTheFuture() throws {
        try VirtualWorld(seed: 6).run { seams in
            let peer = PeerUnderTest(1, seams: seams)
            try await peer.listen(host: "node", port: 7000)
            let raw = RawPeer(try await seams.network.connect(peer.address.address))
            var hello = PeerHello(
                connection: .consensus, identity: PeerIdentity(cluster: testCluster, name: "new", replica: 2),
                target: 1, nonce: 0, maxBodyBytes: 1000)
            hello.versions = 2...9
            try await raw.say(.hello(hello))
            guard case .refusal(let parting) = try await raw.hear() else { throw PeerTestError.unexpected }
            #expect(parting.reason == .version)
            #expect(parting.cluster == testCluster)
            await peer.transport.close()
        }
    }

    // MARK: Strangers

    @Test func closeOnWhoeverDoesNotSpeakTheirProtocol() throws {
        try VirtualWorld(seed: 7).run { seams in
            let peer = PeerUnderTest(1, seams: seams)
            try await peer.listen(host: "node", port: 7000)
            let lines = [
                "GET / HTTP/1.1\r\nHost: node-1.example\r\n\r\n", String(repeating: "*1\r\n$4\r\nPING\r\n", count: 9),
            ]
            for line in lines {
                let raw = RawPeer(try await seams.network.connect(peer.address.address))
                try await raw.say(bytes: Array(line.utf8))
                let start = seams.clock.monotonicNanoseconds
                await raw.hearEnd()
                #expect(seams.clock.monotonicNanoseconds - start < 100_000_000)
            }
            await peer.transport.close()
        }
    }

    @Test func doNotWaitForOneThatSaysNothing() throws {
        try VirtualWorld(seed: 8).run { seams in
            let peer = PeerUnderTest(1, seams: seams)
            try await peer.listen(host: "node", port: 7000)
            let raw = RawPeer(try await seams.network.connect(peer.address.address))
            let start = seams.clock.monotonicNanoseconds
            await raw.hearEnd()
            #expect(seams.clock.monotonicNanoseconds - start < 2_100_000_000)
            await peer.transport.close()
        }
    }

    @Test func letMembersInThroughACrowdOfStrangers() throws {
        try VirtualWorld(seed: 9).run { seams in
            let peers = [PeerUnderTest(1, seams: seams) { $0.strangers = 4 }, PeerUnderTest(2, seams: seams)]
            try await peers[0].listen(host: "node-1", port: 7000)
            var crowd: [any Connection] = []
            for _ in 0..<100 { crowd.append(try await seams.network.connect(peers[0].address.address)) }
            #expect(peers[0].transport.strangers.count <= 4)
            introduce(peers)
            peers[1].send(.vote, to: 1)
            try await until("it arrives", seams, seconds: 1) { peers[0].messages.count == 1 }
            await close(peers)
            withExtendedLifetime(crowd) {}
        }
    }

    @Test func takeNoMoreConnectionsThanTheirLimit() throws {
        try VirtualWorld(seed: 10).run { seams in
            let peer = PeerUnderTest(1, seams: seams) { $0.sessions = 3 }
            try await peer.listen(host: "node", port: 7000)
            for replica in 2...4 as ClosedRange<UInt64> {
                _ = try await RawPeer.dial(peer, as: ReplicaID(replica), seams)
            }
            await #expect(throws: PeerTestError.self) { _ = try await RawPeer.dial(peer, as: 5, seams) }
            await peer.transport.close()
        }
    }

    @Test func keepTheNewestConnectionOfAPeer() throws {
        try VirtualWorld(seed: 11).run { seams in
            let peer = PeerUnderTest(1, seams: seams)
            try await peer.listen(host: "node", port: 7000)
            let first = try await RawPeer.dial(peer, as: 2, seams)
            let second = try await RawPeer.dial(peer, as: 2, seams)
            await first.hearEnd()
            try await second.say(.message(RaftMessage(.vote, from: 2, to: 1, term: 1), [], attachment: []))
            try await until("it arrives", seams) { peer.messages.count == 1 }
            #expect(peer.transport.accepted.count == 1)
            await peer.transport.close()
        }
    }

    @Test func closeAtOnceWhoeverIsInAHandshake() throws {
        try VirtualWorld(seed: 14).run { seams in
            let peer = PeerUnderTest(1, seams: seams)
            try await peer.listen(host: "node", port: 7000)
            let stranger = RawPeer(try await seams.network.connect(peer.address.address))
            let mute = try await seams.network.listen(SocketAddress(host: "mute", port: 7000))
            peer.transport.updateMembers([PeerAddress(replica: 2, name: "mute", address: mute.address)])
            let dialled = RawPeer(try await mute.accept())
            #expect(peer.transport.status.map(\.isConnected) == [false])
            let start = seams.clock.monotonicNanoseconds
            await peer.transport.close()
            await stranger.hearEnd()
            await dialled.hearEnd()
            #expect(seams.clock.monotonicNanoseconds - start < 10_000_000)
        }
    }

    // MARK: Behind the handshake

    @Test func endAConnectionOnAFrameThatIsNotWhatItWas() throws {
        let vote = PeerFrame.message(RaftMessage(.vote, from: 2, to: 1, term: 1), [], attachment: [])
        let foreign = PeerFrame.message(RaftMessage(.vote, from: 3, to: 1, term: 1), [], attachment: [])
        try VirtualWorld(seed: 12).run { seams in
            let peer = PeerUnderTest(1, seams: seams) { $0.maxFrameBytes = 1 << 20 }
            try await peer.listen(host: "node", port: 7000)
            let misdeeds: [(String, (RawPeer) async throws -> Void)] = [
                ("a frame of the handshake's seal", { try await $0.say(bytes: sealed(vote)) }),
                ("garbage", { try await $0.say(bytes: [UInt8](repeating: 0xee, count: 500)) }),
                ("a message of somebody else", { try await $0.say(foreign) }),
                ("a frame that belongs elsewhere", { try await $0.say(.request(number: 1, service: 1, [])) }),
                ("an answer to nothing", { try await $0.say(.answer(number: 1, .success([]))) }),
                (
                    "a frame beyond the limit",
                    { try await $0.say(.request(number: 1, service: 1, [UInt8](repeating: 0, count: 2 << 20))) }
                ),
            ]
            for (name, misdeed) in misdeeds {
                let raw = try await RawPeer.dial(peer, as: 2, seams)
                try await raw.say(vote)
                try? await misdeed(raw)
                let start = seams.clock.monotonicNanoseconds
                await raw.hearEnd()
                #expect(seams.clock.monotonicNanoseconds - start < 1_000_000_000, "\(name)")
            }
            // What came before each of them has been taken.
            #expect(peer.messages.count == misdeeds.count)
            await peer.transport.close()
        }
    }

    @Test func takeMemoryForWhatHasArrivedAndNotForWhatIsAnnounced() throws {
        try VirtualWorld(seed: 13).run { seams in
            let listener = try await seams.network.listen(SocketAddress(host: "node", port: 7000))
            let client = try await seams.network.connect(listener.address)
            let receiver = FrameReceiver(try await listener.accept())
            receiver.adopt(.handshake, maxBodyBytes: 64 << 20)
            let frame = sealed(.request(number: 1, service: 1, [UInt8](repeating: 7, count: 1 << 20)))
            let buffer = IOBuffer(count: frame.count)
            buffer.bytes.copyBytes(from: frame)
            seams.scheduler.spawn("sender") {
                for start in stride(from: 0, to: frame.count, by: 5000) {
                    try? await client.send(buffer, start..<min(start + 5000, frame.count))
                    await seams.clock.sleep(nanoseconds: 1_000_000)
                }
            }
            var arrived = 0
            while try receiver.take() == nil {
                #expect(try await receiver.fill())
                arrived += 5000
                #expect(receiver.capacityBytes <= max(FrameReceiver.initialBytes, 4 * arrived))
            }
        }
    }
}
