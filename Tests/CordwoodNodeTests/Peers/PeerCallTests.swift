import CordwoodBase
import CordwoodIO
import CordwoodRaft
import CordwoodVirtual
import Testing

@testable import CordwoodNode

@Suite("Peers that call each other")
struct PeerCallTests {
    private static let second: UInt64 = 1_000_000_000

    /// The error of a call that must fail.
    private func failure(_ call: () async throws(PeerError) -> [UInt8]) async throws -> PeerError {
        do throws(PeerError) {
            _ = try await call()
        } catch {
            return error
        }
        throw PeerTestError.unexpected
    }

    @Test func getTheAnswerToTheirOwnCall() throws {
        try VirtualWorld(seed: 1).run { seams in
            let peers = try await peerGroup(2, seams)
            peers[1].transport.services[.forward] = { caller, body in
                #expect(caller.replica == 1)
                #expect(caller.name == "node-1")
                // Later calls are answered earlier.
                await seams.clock.sleep(nanoseconds: UInt64(200 - Int(body[0])) * 1_000_000)
                return .success(body + [0])
            }
            var answers = 0
            for number in 0..<200 as Range<UInt8> {
                seams.scheduler.spawn("caller") {
                    let answer = try? await peers[0].transport.call(
                        2, .forward, [number], timeoutNanoseconds: Self.second)
                    #expect(answer == [number, 0])
                    answers += 1
                }
            }
            try await until("all are answered", seams) { answers == 200 }
            await close(peers)
        }
    }

    @Test func hearWhyAServiceDeclines() throws {
        try VirtualWorld(seed: 2).run { seams in
            let peers = try await peerGroup(2, seams) { $0.maxFrameBytes = 10_000 }
            peers[1].transport.services[.operate] = { _, _ in .refused(code: 42, "not today") }
            peers[1].transport.services[.piece] = { _, body in .success(body + body) }
            let transport = peers[0].transport
            let declined = try await failure { () throws(PeerError) in
                try await transport.call(2, .operate, [], timeoutNanoseconds: Self.second)
            }
            #expect(declined == .refused(code: 42, "not today"))
            guard
                case .refused(PeerRefusalCode.unavailable, _) = try await failure({ () throws(PeerError) in
                    try await transport.call(2, .repair, [], timeoutNanoseconds: Self.second)
                })
            else { throw PeerTestError.unexpected }
            guard
                case .refused(PeerRefusalCode.answerTooLarge, _) = try await failure({ () throws(PeerError) in
                    try await transport.call(
                        2, .piece, [UInt8](repeating: 1, count: 6000), timeoutNanoseconds: Self.second)
                })
            else { throw PeerTestError.unexpected }
            let tooLarge = try await failure { () throws(PeerError) in
                try await transport.call(
                    2, .piece, [UInt8](repeating: 1, count: 10_000), timeoutNanoseconds: Self.second)
            }
            #expect(tooLarge == .tooLarge(bytes: 10_016, limit: 10_000))
            await close(peers)
        }
    }

    @Test func knowWhetherThePeerMayHaveActed() throws {
        try VirtualWorld(seed: 3).run { seams in
            let peers = try await peerGroup(2, seams)
            var acted = 0
            peers[1].transport.services[.forward] = { _, _ in
                acted += 1
                await seams.clock.sleep(nanoseconds: 10 * Self.second)
                return .success([])
            }
            let transport = peers[0].transport
            let late = try await failure { () throws(PeerError) in
                try await transport.call(2, .forward, [], timeoutNanoseconds: Self.second)
            }
            #expect(late == .timedOut)
            #expect(late.mayHaveActed)
            seams.scheduler.spawn("the peer's end") {
                await seams.clock.sleep(nanoseconds: Self.second)
                await peers[1].transport.close()
            }
            let lost = try await failure { () throws(PeerError) in
                try await transport.call(2, .forward, [], timeoutNanoseconds: 5 * Self.second)
            }
            guard case .lost = lost else { throw PeerTestError.unexpected }
            #expect(lost.mayHaveActed)
            #expect(acted == 2)
            let gone = try await failure { () throws(PeerError) in
                try await transport.call(2, .forward, [], timeoutNanoseconds: Self.second)
            }
            guard case .unreachable = gone else { throw PeerTestError.unexpected }
            #expect(!gone.mayHaveActed)
            await peers[0].transport.close()
        }
    }

    @Test func failAtOnceWhileAPeerIsDownAndReachItSoonAfterItIsUp() throws {
        let world = VirtualWorld(seed: 4)
        try world.run { seams in
            let caller = PeerUnderTest(1, seams: seams)
            let down = PeerAddress(replica: 2, name: "down", address: SocketAddress(host: "down", port: 7000))
            caller.transport.updateMembers([down])
            var failures = 0
            let start = seams.clock.monotonicNanoseconds
            while seams.clock.monotonicNanoseconds - start < 20_000_000 {
                _ = try await failure { () throws(PeerError) in
                    try await caller.transport.call(2, .forward, [], timeoutNanoseconds: Self.second)
                }
                failures += 1
                await seams.clock.sleep(nanoseconds: 10_000)
            }
            // Two attempts at most, and all other calls cost nothing.
            #expect(failures > 1000)
            let up = PeerUnderTest(2, seams: seams)
            up.transport.services[.forward] = { _, _ in .success([1]) }
            try await up.listen(host: "down", port: 7000)
            let upAt = seams.clock.monotonicNanoseconds
            var answer: [UInt8]?
            while answer == nil {
                answer = try? await caller.transport.call(2, .forward, [], timeoutNanoseconds: Self.second)
                await seams.clock.sleep(nanoseconds: 100_000)
            }
            #expect(seams.clock.monotonicNanoseconds - upAt < 600_000_000)
            await close([caller, up])
        }
    }

    @Test func onTheBulkLaneDoNotDelayThoseOnTheOther() throws {
        let world = VirtualWorld(seed: 5)
        world.network.options.windowBytes = 4 << 10
        try world.run { seams in
            let peers = try await peerGroup(2, seams)
            peers[1].transport.services[.piece] = { _, _ in .success([UInt8](repeating: 1, count: 2 << 20)) }
            peers[1].transport.services[.forward] = { _, _ in .success([]) }
            var isDone = false
            seams.scheduler.spawn("bulk") {
                _ = try? await peers[0].transport.call(
                    2, .piece, [], lane: .bulk, timeoutNanoseconds: 60 * Self.second)
                isDone = true
            }
            await seams.clock.sleep(nanoseconds: 5_000_000)
            for _ in 0..<5 {
                let start = seams.clock.monotonicNanoseconds
                _ = try await peers[0].transport.call(2, .forward, [], timeoutNanoseconds: Self.second)
                #expect(seams.clock.monotonicNanoseconds - start < 5_000_000)
            }
            #expect(!isDone)
            await close(peers)
        }
    }

    @Test func moreThanThePeerAnswersAtATimeWaitOnTheWire() throws {
        try VirtualWorld(seed: 6).run { seams in
            let peers = try await peerGroup(2, seams) { $0.callsInProgress = 4 }
            var inProgress = 0
            var most = 0
            peers[1].transport.services[.forward] = { _, _ in
                inProgress += 1
                most = max(most, inProgress)
                await seams.clock.sleep(nanoseconds: 10_000_000)
                inProgress -= 1
                return .success([])
            }
            var answers = 0
            for _ in 0..<40 {
                seams.scheduler.spawn("caller") {
                    // Larger than what a connection's buffer takes in at once.
                    let body = [UInt8](repeating: 1, count: 10_000)
                    if (try? await peers[0].transport.call(2, .forward, body, timeoutNanoseconds: 9 * Self.second))
                        != nil
                    {
                        answers += 1
                    }
                }
            }
            try await until("all are answered", seams) { answers == 40 }
            #expect(most >= 4 && most <= 8)
            await close(peers)
        }
    }

    @Test func moreThanMayWaitHereFail() throws {
        let world = VirtualWorld(seed: 7)
        world.network.options.windowBytes = 4 << 10
        try world.run { seams in
            let listener = try await seams.network.listen(SocketAddress(host: "mute", port: 7000))
            let caller = PeerUnderTest(1, seams: seams) { $0.queueBytes = 100 << 10 }
            caller.transport.updateMembers([PeerAddress(replica: 2, name: "mute", address: listener.address)])
            var outcomes: [PeerError] = []
            for _ in 0..<30 {
                seams.scheduler.spawn("caller") {
                    do throws(PeerError) {
                        _ = try await caller.transport.call(
                            2, .forward, [UInt8](repeating: 0, count: 10_000), timeoutNanoseconds: Self.second)
                    } catch {
                        outcomes.append(error)
                    }
                }
            }
            try await until("those without room fail", seams) { outcomes.count == 20 }
            #expect(outcomes.allSatisfy { $0 == .busy })
            await caller.transport.close()
            #expect(outcomes.dropFirst(20).allSatisfy { $0 == .closed })
        }
    }

    @Test func failWhenTheirTransportIsClosed() throws {
        try VirtualWorld(seed: 8).run { seams in
            let peers = try await peerGroup(2, seams)
            peers[1].transport.services[.forward] = { _, _ in
                await seams.clock.sleep(nanoseconds: 100 * Self.second)
                return .success([])
            }
            seams.scheduler.spawn("closer") {
                await seams.clock.sleep(nanoseconds: Self.second)
                await peers[0].transport.close()
            }
            let transport = peers[0].transport
            let during = try await failure { () throws(PeerError) in
                try await transport.call(2, .forward, [], timeoutNanoseconds: 9 * Self.second)
            }
            // It has been sent, and the peer is at it.
            #expect(during.mayHaveActed)
            let after = try await failure { () throws(PeerError) in
                try await transport.call(2, .forward, [], timeoutNanoseconds: 9 * Self.second)
            }
            #expect(after == .closed)
            await peers[1].transport.close()
        }
    }

    @Test func fromOutsideTheGroupMayAskToJoinAndNothingElse() throws {
        try VirtualWorld(seed: 9).run { seams in
            let member = PeerUnderTest(1, seams: seams)
            try await member.listen(host: "node-1", port: 7000)
            member.transport.services[.join] = { caller, body in
                #expect(caller.replica == .none)
                #expect(caller.name == "node-0")
                return .success(body)
            }
            member.transport.services[.operate] = { _, _ in .success([]) }
            let joining = PeerUnderTest(.none, cluster: .none, seams: seams)
            let answer = try await joining.transport.call(
                address: member.address.address, .join, [7], timeoutNanoseconds: Self.second)
            #expect(answer == [7])
            let refused = try await failure { () throws(PeerError) in
                try await joining.transport.call(
                    address: member.address.address, .operate, [], timeoutNanoseconds: Self.second)
            }
            guard case .refused(PeerRefusalCode.unavailable, _) = refused else { throw PeerTestError.unexpected }
            // Guests leave when they have their answer.
            await seams.clock.sleep(nanoseconds: 10_000_000)
            #expect(member.transport.accepted.isEmpty)
            await close([member, joining])
        }
    }

    @Test func closeAConnectionThatNobodyUses() throws {
        try VirtualWorld(seed: 10).run { seams in
            let peers = try await peerGroup(2, seams) { $0.idleNanoseconds = 5 * Self.second }
            peers[1].transport.services[.forward] = { _, _ in .success([]) }
            func calls() -> Int { peers[1].transport.accepted.count { $0.kind == .control } }
            _ = try await peers[0].transport.call(2, .forward, [], timeoutNanoseconds: Self.second)
            #expect(calls() == 1)
            await seams.clock.sleep(nanoseconds: 6 * Self.second)
            #expect(calls() == 0)
            _ = try await peers[0].transport.call(2, .forward, [], timeoutNanoseconds: Self.second)
            #expect(calls() == 1)
            await close(peers)
        }
    }
}
