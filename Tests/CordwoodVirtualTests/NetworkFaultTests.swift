import CordwoodIO
import CordwoodVirtual
import Testing

@Suite("Faults of a virtual network")
struct NetworkFaultTests {
    private static let millisecond: UInt64 = 1_000_000
    private static let second: UInt64 = 1_000_000_000

    /// A world with so many machines, `a` and on, on each of which an echo server runs.
    private func world(_ count: Int, seed: UInt64) -> VirtualWorld {
        let world = VirtualWorld(seed: seed)
        for letter in "abcdefg".prefix(count) {
            let host = world.host(String(letter))
            host.spawn("echo") { await echo($0, port: 7) }
        }
        world.advance(nanoseconds: 1)
        return world
    }

    /// Which machines get an answer from which, within a second and a half.
    private func reach(_ world: VirtualWorld) -> Set<String> {
        var reached: Set<String> = []
        for from in world.hosts {
            for to in world.hosts where to !== from {
                from.spawn("caller") { seams in
                    guard
                        let connection = try? await seams.network.connect(
                            to.address(port: 7), timeoutNanoseconds: Self.second)
                    else { return }
                    reached.insert(from.name + to.name)
                    connection.close()
                }
            }
        }
        world.advance(nanoseconds: Self.second * 3 / 2)
        return reached
    }

    // MARK: Who hears whom

    @Test func cutsGroupsFromEachOtherAndOneCallHealsThem() {
        let world = world(5, seed: 1)
        world.network.partition([["a", "b"], ["c", "d", "e"]])
        #expect(reach(world) == ["ab", "ba", "cd", "dc", "ce", "ec", "de", "ed"])
        world.network.heal()
        #expect(reach(world).count == 20)
    }

    @Test func isolatesOneAndLeavesTheClientsOfTheWorldAlone() throws {
        let world = world(3, seed: 2)
        world.network.isolate("a")
        #expect(reach(world) == ["bc", "cb"])
        try world.run { seams in
            #expect(await ask(seams, SocketAddress(host: "a", port: 7), "client") == "client")
        }
        world.network.cut(between: "a", and: VirtualNetwork.home)
        try world.run { seams in
            let error = await #expect(throws: IOError.self) {
                _ = try await seams.network.connect(
                    SocketAddress(host: "a", port: 7), timeoutNanoseconds: Self.second)
            }
            #expect(error?.reason == .timedOut)
        }
    }

    @Test func bridgesTwoGroupsByOneMachineOrClosesARing() {
        let world = world(5, seed: 3)
        world.network.bridge("c", between: ["a", "b"], and: ["d", "e"])
        let reached = reach(world)
        #expect(reached.count == 12)
        #expect(reached.isSuperset(of: ["ac", "ca", "bc", "cb", "dc", "cd", "ec", "ce"]))
        #expect(!reached.contains("ad"))
        world.network.heal()
        world.network.ring(["a", "b", "c", "d", "e"])
        #expect(reach(world) == ["ab", "ba", "bc", "cb", "cd", "dc", "de", "ed", "ea", "ae"])
    }

    @Test func lettingBytesPassOneWayHoldsUpAllThatNeedsAnAnswer() throws {
        let world = world(2, seed: 4)
        world.network.options.windowBytes = 1000
        try world.run { seams in
            let listener = try await listen(on: world.hosts[1], port: 8)
            let connection = try await seams.network.connect(SocketAddress(host: "b", port: 8))
            let server = try await listener()
            world.network.cut(from: "b", to: VirtualNetwork.home)
            // What fits the window arrives; more waits for an acknowledgement, which cannot come.
            var isSent = false
            seams.scheduler.spawn("sender") {
                try? await connection.send(IOBuffer(count: 1500), 0..<1500)
                isSent = true
            }
            let buffer = IOBuffer(count: 4096)
            #expect(try await server.receive(into: buffer, 0..<4096) == 1000)
            await seams.clock.sleep(nanoseconds: 5 * Self.second)
            #expect(!isSent)
            world.network.heal()
            #expect(try await server.receive(into: buffer, 0..<4096) == 500)
            try await until(seams) { isSent }
        }
        // Nobody connects either way.
        world.network.cut(from: "a", to: "b")
        #expect(reach(world).isEmpty)
    }

    // MARK: What happens to connections

    @Test func aConnectionLivesThroughAShortCutAndLosesNothing() throws {
        let world = world(1, seed: 5)
        try world.run { seams in
            let connection = try await seams.network.connect(SocketAddress(host: "a", port: 7))
            world.network.cut(between: "a", and: VirtualNetwork.home)
            for number in 0..<10 {
                try await connection.send(buffer("\(number)"), 0..<1)
                await seams.clock.sleep(nanoseconds: 100 * Self.millisecond)
            }
            world.network.heal()
            let healed = seams.clock.monotonicNanoseconds
            let received = IOBuffer(count: 100)
            var text = ""
            while text.count < 10 {
                let count = try await connection.receive(into: received, 0..<100)
                text += String(decoding: received[0..<count], as: UTF8.self)
            }
            #expect(text == "0123456789")
            // The next attempt was some way off, as it is for TCP.
            #expect(seams.clock.monotonicNanoseconds - healed > 10 * Self.millisecond)
        }
    }

    @Test func aConnectionBreaksUnderItsSenderWhenACutLasts() throws {
        let world = world(1, seed: 6)
        try world.run { seams in
            let connection = try await seams.network.connect(SocketAddress(host: "a", port: 7))
            world.network.cut(between: "a", and: VirtualNetwork.home)
            let start = seams.clock.monotonicNanoseconds
            try await connection.send(buffer("x"), 0..<1)
            #expect(await receiveEnd(connection).contains("errno 110"))
            let passed = seams.clock.monotonicNanoseconds - start
            #expect(passed > 30 * Self.second && passed < 90 * Self.second)
        }
    }

    @Test func brokenConnectionsAreBrokenAtBothEndsAndOthersAreNot() throws {
        let world = world(2, seed: 7)
        try world.run { seams in
            let one = try await seams.network.connect(SocketAddress(host: "a", port: 7))
            let other = try await seams.network.connect(SocketAddress(host: "b", port: 7))
            var ends: [String] = []
            seams.scheduler.spawn("receiver") { ends.append(await receiveEnd(one)) }
            seams.scheduler.spawn("receiver") { ends.append(await receiveEnd(other)) }
            await seams.clock.sleep(nanoseconds: Self.millisecond)
            #expect(world.network.breakConnections(of: "a") == 1)
            #expect(world.network.breakConnections(of: "a") == 0)
            await seams.clock.sleep(nanoseconds: Self.second)
            #expect(ends.count == 1)
            #expect(ends.first?.contains("errno 104") == true)
            await #expect(throws: IOError.self) { try await one.send(buffer("x"), 0..<1) }
            #expect(world.network.breakConnections(between: "b", and: VirtualNetwork.home) == 1)
            try await until(seams) { ends.count == 2 }
        }
    }

    @Test func aLinkThatBreaksConnectionsDoesSoByChance() throws {
        let world = world(1, seed: 8)
        world.network.set(.breaking(permille: 100), from: VirtualNetwork.home, to: "a")
        try world.run { seams in
            var sends = 0
            for _ in 0..<20 {
                let connection = try await seams.network.connect(SocketAddress(host: "a", port: 7))
                while (try? await connection.send(buffer("x"), 0..<1)) != nil { sends += 1 }
            }
            // 9 sends a connection on average.
            #expect(sends > 60 && sends < 500, "\(sends) sends")
        }
    }

    // MARK: How long it takes

    /// How long an echo over an open connection takes, in nanoseconds.
    private func roundTrips(_ count: Int, bytes: Int = 1, _ world: VirtualWorld) throws -> [UInt64] {
        try world.run { seams in
            let connection = try await seams.network.connect(SocketAddress(host: "a", port: 7))
            defer { connection.close() }
            var times: [UInt64] = []
            for _ in 0..<count {
                let start = seams.clock.monotonicNanoseconds
                let buffer = IOBuffer(count: bytes)
                buffer.bytes.initializeMemory(as: UInt8.self, repeating: 1)
                try await connection.send(buffer, 0..<bytes)
                var received = 0
                while received < bytes { received += try await connection.receive(into: buffer, 0..<bytes) }
                times.append(seams.clock.monotonicNanoseconds - start)
            }
            return times
        }
    }

    @Test func aSlowLinkTakesItsTimeWithItsJitter() throws {
        let world = world(1, seed: 9)
        world.network.set(
            .slow(latencyNanoseconds: 50 * Self.millisecond, jitterNanoseconds: 20 * Self.millisecond),
            between: "a", and: VirtualNetwork.home)
        let times = try roundTrips(50, world)
        #expect(times.allSatisfy { (100 * Self.millisecond...140 * Self.millisecond).contains($0) })
        #expect(Set(times).count > 40)
        #expect((times.max() ?? 0) - (times.min() ?? 0) > 15 * Self.millisecond)
    }

    @Test func aNarrowLinkPassesSoManyBytesASecondForAllItsConnectionsTogether() throws {
        let world = world(1, seed: 10)
        world.network.set(.narrow(bytesPerSecond: 1_000_000), from: VirtualNetwork.home, to: "a")
        let time = try #require(try roundTrips(1, bytes: 100_000, world).first)
        #expect(time >= 100 * Self.millisecond && time < 110 * Self.millisecond)
        try world.run { seams in
            var done = 0
            let start = seams.clock.monotonicNanoseconds
            for _ in 0..<4 {
                seams.scheduler.spawn("caller") {
                    let text = String(repeating: "x", count: 50_000)
                    #expect(await ask(seams, SocketAddress(host: "a", port: 7), text) == text)
                    done += 1
                }
            }
            try await until(seams) { done == 4 }
            let passed = seams.clock.monotonicNanoseconds - start
            #expect(passed >= 200 * Self.millisecond && passed < 220 * Self.millisecond)
        }
    }

    @Test func aLossyLinkDelaysWhatIsLostAndAllBehindIt() throws {
        let world = world(1, seed: 11)
        world.network.set(.lossy(permille: 200), from: VirtualNetwork.home, to: "a")
        let times = try roundTrips(200, world)
        let late = times.filter { $0 >= 200 * Self.millisecond }
        #expect(late.count > 15 && late.count < 80, "\(late.count) of 200 late")
        // Lost twice: 200 ms, then 400 ms.
        #expect(times.contains { $0 >= 600 * Self.millisecond })
    }

    @Test func aCloggedLinkDeliversWhenItIsFree() throws {
        let world = world(2, seed: 12)
        try world.run { seams in
            let connection = try await seams.network.connect(SocketAddress(host: "a", port: 7))
            world.network.clog("a", nanoseconds: 3 * Self.second)
            let start = seams.clock.monotonicNanoseconds
            try await connection.send(buffer("x"), 0..<1)
            _ = try await connection.receive(into: IOBuffer(count: 1), 0..<1)
            let passed = seams.clock.monotonicNanoseconds - start
            #expect(passed >= 3 * Self.second && passed < 3 * Self.second + Self.millisecond)
            // Others are not clogged, and a healed clog is none.
            #expect(await ask(seams, SocketAddress(host: "b", port: 7), "b") == "b")
            world.network.clog(from: VirtualNetwork.home, to: "a", nanoseconds: 100 * Self.second)
            world.network.heal()
            try await connection.send(buffer("x"), 0..<1)
            _ = try await connection.receive(into: IOBuffer(count: 1), 0..<1)
            #expect(seams.clock.monotonicNanoseconds - start < 4 * Self.second)
        }
    }

    @Test func conditionsAddUpAndOneLinkCanBeHealedAlone() {
        let world = world(3, seed: 13)
        let network = world.network
        network.set(.narrow(bytesPerSecond: 1000), among: ["a", "b", "c"])
        network.cut(from: "a", to: "b")
        #expect(network.condition(from: "a", to: "b").isCut)
        #expect(network.condition(from: "a", to: "b").bytesPerSecond == 1000)
        #expect(!network.condition(from: "b", to: "a").isCut)
        network.heal(between: "a", and: "b")
        #expect(network.condition(from: "a", to: "b") == LinkCondition())
        #expect(network.condition(from: "b", to: "c").bytesPerSecond == 1000)
    }
}

/// Listens on a machine, and gives what takes the next connection there.
private func listen(on host: VirtualHost, port: UInt16) async throws -> () async throws -> any Connection {
    let listener = try await host.seams.network.listen(host.address(port: port))
    return { try await listener.accept() }
}
