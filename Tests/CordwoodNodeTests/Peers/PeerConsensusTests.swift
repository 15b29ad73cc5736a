import CordwoodBase
import CordwoodIO
import CordwoodRaft
import CordwoodVirtual
import Testing

@testable import CordwoodNode

@Suite("Peers that exchange messages of consensus")
struct PeerConsensusTests {
    @Test func everyMessageArrivesAtItsPeerInItsOrder() throws {
        try VirtualWorld(seed: 1).run { seams in
            let peers = try await peerGroup(3, seams)
            for context in 1...100 as ClosedRange<UInt64> {
                for peer in peers.dropFirst() { peers[0].send(.heartbeat, to: peer.replica, context: context) }
            }
            for peer in peers.dropFirst() {
                try await until("all arrive", seams) { peer.messages.count == 100 }
                #expect(peer.contexts(.heartbeat) == [UInt64](1...100))
                #expect(peer.messages.allSatisfy { $0.from == 1 && $0.to == peer.replica })
            }
            await close(peers)
        }
    }

    @Test func anAppendBringsItsEntriesAndASnapshotItsAttachment() throws {
        try VirtualWorld(seed: 2).run { seams in
            let peers = try await peerGroup(2, seams)
            peers[0].sendAppend(to: 2, after: 41, count: 30, payloadBytes: 5000)
            var snapshot = RaftMessage(.snapshot, from: 1, to: 2, term: 3)
            snapshot.index = 9
            peers[0].transport.send(snapshot, attachment: [1, 2, 3])
            try await until("both arrive", seams) { peers[1].messages.count == 2 }
            #expect(peers[1].entries == (42...71).map { sampleEntry(RaftIndex($0), payloadBytes: 5000) })
            #expect(peers[1].attachments == [[1, 2, 3]])
            await close(peers)
        }
    }

    @Test func heartbeatsOvertakeAppendsThatWaitAndAppendsKeepTheirOrder() throws {
        let world = VirtualWorld(seed: 3)
        world.network.options.windowBytes = 4 << 10
        try world.run { seams in
            let peers = try await peerGroup(2, seams) { $0.sendBytes = 16 << 10 }
            try await until("connected", seams) { peers[0].transport.isConnected(to: 2) }
            for number in 0..<20 as Range<UInt64> {
                peers[0].sendAppend(to: 2, after: RaftIndex(number), count: 1, payloadBytes: 10_000)
            }
            peers[0].send(.heartbeat, to: 2)
            await seams.clock.sleep(nanoseconds: 300_000)
            peers[0].send(.vote, to: 2)
            try await until("all arrive", seams) { peers[1].messages.count == 22 }
            let kinds = peers[1].messages.map(\.kind)
            #expect(kinds.first == .heartbeat)
            #expect(kinds.firstIndex(of: .vote).map { $0 < 8 } == true)
            #expect(peers[1].messages.filter { $0.kind == .append }.map(\.index) == (0..<20).map { RaftIndex($0) })
            await close(peers)
        }
    }

    @Test func consecutiveAcknowledgementsOfATermTravelAsTheLastOfThem() throws {
        try VirtualWorld(seed: 4).run { seams in
            let peers = try await peerGroup(2, seams)
            try await until("connected", seams) { peers[0].transport.isConnected(to: 2) }
            func acknowledge(_ index: RaftIndex, term: Term = 3, rejected: Bool = false) {
                var message = RaftMessage(.appendResponse, from: 1, to: 2, term: term)
                message.index = index
                message.isRejected = rejected
                peers[0].transport.send(message)
            }
            for index in 1...50 { acknowledge(RaftIndex(UInt64(index))) }
            acknowledge(20, rejected: true)
            acknowledge(60)
            acknowledge(70, term: 4)
            acknowledge(80, term: 4)
            peers[0].send(.heartbeatResponse, to: 2)
            acknowledge(90, term: 4)
            try await until("all arrive", seams) { peers[1].messages.count >= 6 }
            #expect(peers[1].messages.map(\.index) == [50, 20, 60, 80, 0, 90])
            #expect(peers[1].messages.map(\.isRejected) == [false, true, false, false, false, false])
            await close(peers)
        }
    }

    @Test func aPeerThatDoesNotReadCostsBoundedMemoryAndItsSenderHearsOfWhatWasDropped() throws {
        let world = VirtualWorld(seed: 5)
        world.network.options.windowBytes = 4 << 10
        try world.run { seams in
            let listener = try await seams.network.listen(SocketAddress(host: "mute", port: 7000))
            let sender = PeerUnderTest(1, seams: seams) {
                $0.queueBytes = 100 << 10
                $0.urgentMessages = 50
            }
            sender.transport.updateMembers([PeerAddress(replica: 2, name: "mute", address: listener.address)])
            let (mute, _) = try await RawPeer.accept(listener, as: 2)
            for number in 0..<100 as Range<UInt64> {
                sender.sendAppend(to: 2, after: RaftIndex(number), count: 1, payloadBytes: 10_000)
            }
            #expect(sender.unreachable.isEmpty, "nobody is told from within send")
            await seams.clock.sleep(nanoseconds: 1_000_000)
            #expect(sender.unreachable == [2])
            for context in 1...60 as ClosedRange<UInt64> { sender.send(.heartbeat, to: 2, context: context) }
            // It begins to read: the newest heartbeats are there, and the appends from the first on.
            var appends: [RaftIndex] = []
            var heartbeats: [UInt64] = []
            while heartbeats.last != 60 || appends.count < 9 {
                guard case .message(let message, _, _) = try await mute.hear() else { break }
                if message.kind == .append { appends.append(message.index) } else { heartbeats.append(message.context) }
            }
            #expect(heartbeats == [UInt64](11...60))
            #expect(appends == (0..<9).map { RaftIndex($0) } || appends == (0..<10).map { RaftIndex($0) })
            await sender.transport.close()
        }
    }

    @Test func aPeerThatComesBackIsReachedAgainAndItsLossWasTold() throws {
        try VirtualWorld(seed: 6).run { seams in
            let peers = try await peerGroup(2, seams)
            peers[0].send(.heartbeat, to: 2, context: 1)
            try await until("it arrives", seams) { peers[1].messages.count == 1 }
            await peers[1].transport.close()
            try await until("the loss is told", seams) { peers[0].unreachable == [2] }
            #expect(!peers[0].transport.isConnected(to: 2))
            let reborn = PeerUnderTest(2, seams: seams)
            try await reborn.listen(host: "node-2", port: 7000)
            try await until("it is reached", seams, seconds: 1) {
                peers[0].send(.heartbeat, to: 2, context: 2)
                return !reborn.messages.isEmpty
            }
            await close([peers[0], reborn])
        }
    }

    @Test func whatWaitsForAPeerThatCannotBeReachedIsDroppedAndTold() throws {
        try VirtualWorld(seed: 7).run { seams in
            let peer = PeerUnderTest(1, seams: seams)
            let gone = PeerAddress(replica: 2, name: "gone", address: SocketAddress(host: "gone", port: 7000))
            peer.transport.updateMembers([gone])
            peer.send(.vote, to: 2)
            try await until("the loss is told", seams) { peer.unreachable == [2] }
            // A vote of long ago does not arrive at one that begins to listen now.
            let late = PeerUnderTest(2, seams: seams)
            try await late.listen(host: "gone", port: 7000)
            try await until("it is connected", seams) { peer.transport.isConnected(to: 2) }
            await seams.clock.sleep(nanoseconds: 10_000_000)
            #expect(late.messages.isEmpty)
            peer.send(.vote, to: 3)
            await seams.clock.sleep(nanoseconds: 1_000_000)
            #expect(peer.unreachable == [2, 3])
            #expect(peer.log.events.count { $0.message.contains("cannot connect") } == 1)
            await close([peer, late])
        }
    }

    @Test func aMessageThatThePeerDoesNotTakeIsDroppedAndTold() throws {
        try VirtualWorld(seed: 8).run { seams in
            let listener = try await seams.network.listen(SocketAddress(host: "small", port: 7000))
            let sender = PeerUnderTest(1, seams: seams)
            sender.transport.updateMembers([PeerAddress(replica: 2, name: "small", address: listener.address)])
            let (small, _) = try await RawPeer.accept(listener, as: 2, maxBodyBytes: 1000)
            sender.sendAppend(to: 2, count: 1, payloadBytes: 2000)
            sender.sendAppend(to: 2, count: 1, payloadBytes: 100)
            guard case .message(_, let entries, _) = try await small.hear() else { throw PeerTestError.unexpected }
            #expect(entries.first?.payload.count == 100)
            #expect(sender.unreachable == [2])
            #expect(sender.log.said("where the peer takes 1000"))
            await sender.transport.close()
        }
    }

    @Test func anEntryLargerThanAnySendAndAnyQueuePasses() throws {
        try VirtualWorld(seed: 9).run { seams in
            let peers = try await peerGroup(2, seams) { $0.queueBytes = 1 << 20 }
            peers[0].sendAppend(to: 2, count: 1, payloadBytes: 1200 << 10)
            try await until("it arrives", seams) { peers[1].messages.count == 1 }
            peers[0].sendAppend(to: 2, after: 1, count: 1)
            try await until("both arrive", seams) { peers[1].messages.count == 2 }
            #expect(peers[1].entries == [sampleEntry(1, payloadBytes: 1200 << 10), sampleEntry(2)])
            await close(peers)
        }
    }

    @Test func aSilentPeerIsGivenUpAndDialledAgain() throws {
        try VirtualWorld(seed: 10).run { seams in
            let listener = try await seams.network.listen(SocketAddress(host: "mute", port: 7000))
            let sender = PeerUnderTest(1, seams: seams)
            sender.transport.updateMembers([PeerAddress(replica: 2, name: "mute", address: listener.address)])
            let (mute, _) = try await RawPeer.accept(listener, as: 2)
            let start = seams.clock.monotonicNanoseconds
            await mute.hearEnd()
            let silence = seams.clock.monotonicNanoseconds - start
            #expect((2_000_000_000...2_500_000_000).contains(silence), "\(silence) ns")
            #expect(sender.unreachable == [2])
            #expect(sender.log.said("silent"))
            _ = try await RawPeer.accept(listener, as: 2)
            await sender.transport.close()
        }
    }

    @Test func anIdleConnectionLivesOn() throws {
        try VirtualWorld(seed: 11).run { seams in
            let peers = try await peerGroup(2, seams)
            await seams.clock.sleep(nanoseconds: 60_000_000_000)
            #expect(peers.allSatisfy { $0.unreachable.isEmpty && $0.log.events.count == 1 })
            peers[0].send(.heartbeat, to: 2)
            try await until("it arrives", seams) { peers[1].messages.count == 1 }
            await close(peers)
        }
    }

    // MARK: Members

    @Test func aNewMemberAnswersItsLeaderBeforeItKnowsTheGroup() throws {
        try VirtualWorld(seed: 12).run { seams in
            let leader = PeerUnderTest(1, seams: seams)
            try await leader.listen(host: "node-1", port: 7000)
            let new = PeerUnderTest(2, seams: seams)
            try await new.listen(host: "node-2", port: 7000)
            new.onMessage = { [unowned new] _ in new.send(.appendResponse, to: 1) }
            leader.transport.updateMembers([leader.address, new.address])
            leader.send(.append, to: 2)
            try await until("it answers", seams) { !leader.messages.isEmpty }
            #expect(leader.messages.map(\.kind) == [.appendResponse])
            // It goes as its leader goes.
            await leader.transport.close()
            try await until("it forgets", seams) { !new.transport.isConnected(to: 1) }
            await new.transport.close()
        }
    }

    @Test func aMemberThatMovedIsReachedAtItsNewAddress() throws {
        try VirtualWorld(seed: 13).run { seams in
            let peers = try await peerGroup(2, seams)
            peers[0].send(.heartbeat, to: 2)
            try await until("it arrives", seams) { peers[1].messages.count == 1 }
            await peers[1].transport.close()
            // It dials the others, and so they know.
            let moved = PeerUnderTest(2, seams: seams)
            try await moved.listen(host: "elsewhere", port: 7100)
            moved.transport.services[.forward] = { _, _ in .success([1]) }
            moved.transport.updateMembers([peers[0].address, moved.address])
            try await until("it is reached", seams, seconds: 2) {
                peers[0].send(.heartbeat, to: 2)
                return !moved.messages.isEmpty
            }
            #expect(try await peers[0].transport.call(2, .forward, [], timeoutNanoseconds: 1_000_000_000) == [1])
            await moved.transport.close()
            // It does not, and the group says so.
            let again = PeerUnderTest(2, seams: seams)
            try await again.listen(host: "third", port: 7200)
            peers[0].transport.updateMembers([peers[0].address, again.address])
            try await until("it is reached", seams, seconds: 2) {
                peers[0].send(.heartbeat, to: 2)
                return !again.messages.isEmpty
            }
            await close([peers[0], again])
        }
    }

    @Test func aMemberThatIsGoneIsNotSentToAnyMore() throws {
        try VirtualWorld(seed: 14).run { seams in
            let peers = try await peerGroup(3, seams)
            try await until("connected", seams) { peers[0].transport.isConnected(to: 3) }
            for peer in peers.dropLast() {
                peer.transport.isRetired = { $0 == 3 }
                peer.transport.updateMembers([peers[0].address, peers[1].address])
            }
            peers[0].send(.heartbeat, to: 3)
            peers[2].send(.vote, to: 1)
            await seams.clock.sleep(nanoseconds: 5_000_000_000)
            #expect(peers[0].messages.isEmpty)
            #expect(peers[2].messages.isEmpty)
            #expect(peers[0].unreachable == [3])
            // It has been told why.
            #expect(peers[2].refusals.contains(.retired))
            #expect(peers[2].log.said("has been removed from the group"))
            await close(peers)
        }
    }
}
