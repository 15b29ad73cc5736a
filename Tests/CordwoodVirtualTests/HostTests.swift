import CordwoodIO
import CordwoodVirtual
import Testing

@Suite("A machine of a virtual world")
struct HostTests {
    private static let second: UInt64 = 1_000_000_000

    @Test func isReachedByItsNameAndListensUnderNoOther() throws {
        let world = VirtualWorld(seed: 1)
        let server = world.host("server")
        let client = world.host("client")
        server.spawn("echo") { await echo($0, port: 7) }
        server.spawn("thief") { seams in
            let error = await #expect(throws: IOError.self) {
                _ = try await seams.network.listen(SocketAddress(host: "client", port: 7))
            }
            #expect(error?.errorNumber == 99)
        }
        var answer: String?
        client.spawn("caller") { answer = await ask($0, server.address(port: 7), "hello") }
        try world.run { seams in
            try await until(seams) { answer != nil }
            #expect(answer == "hello")
            // The world itself is a client as any other.
            #expect(await ask(seams, server.address(port: 7), "world") == "world")
        }
    }

    @Test func losesEverythingThatRanWhenItsPowerFails() throws {
        let world = VirtualWorld(seed: 2)
        let host = world.host("host")
        var ticks = 0
        var ends: [String] = []
        host.spawn("ticker") { seams in
            while true {
                await seams.clock.sleep(nanoseconds: 1_000_000)
                ticks += 1
            }
        }
        host.spawn("server") { seams in
            guard let listener = try? await seams.network.listen(host.address(port: 7)) else { return }
            do { _ = try await listener.accept() } catch { ends.append("accept") }
        }
        host.spawn("writer") { seams in
            do {
                let file = try await seams.files.open("/a", FileMode(.mustCreate, writable: true))
                while true { try await file.write(IOBuffer(count: 512), 0..<512, at: 0, durable: true) }
            } catch { ends.append("write") }
        }
        host.spawn("offloader") { seams in
            while true { try? await seams.scheduler.offload {}; await seams.clock.sleep(nanoseconds: 1000) }
        }
        host.seams.scheduler.atEndOfTurn {
            host.seams.scheduler.atEndOfTurn { ends.append("end of turn") }; host.crash()
        }
        world.advance(nanoseconds: 0)
        #expect(!host.isUp)
        let ticksThen = ticks
        world.advance(nanoseconds: 10 * Self.second)
        #expect(ticks == ticksThen)
        #expect(ends.isEmpty)
        host.start()
        #expect(host.starts == 2)
        var isListening = false
        host.spawn("next life") { seams in
            isListening = (try? await seams.network.listen(host.address(port: 7))) != nil
        }
        world.advance(nanoseconds: Self.second)
        #expect(isListening)
        #expect(ticks == ticksThen)
        #expect(ends.isEmpty)
    }

    @Test func keepsItsDiskAsTheCrashLeftItAndASynchronousWriteInIt() throws {
        let world = VirtualWorld(seed: 3)
        let host = world.host("host")
        let other = world.host("other")
        func write(_ text: String, _ seams: Seams) async throws {
            let file = try await seams.files.open("/a", FileMode(.createIfMissing, writable: true))
            try await seams.files.syncDirectory("/")
            try await file.write(buffer(text), 0..<text.utf8.count, at: 0, durable: true)
        }
        var written = 0
        for machine in [host, other] {
            machine.spawn("writer") { seams in
                try? await write(machine.name, seams)
                written += 1
            }
        }
        world.advance(nanoseconds: Self.second)
        #expect(written == 2)
        host.crash()
        host.start()
        var found: String?
        host.spawn("reader") { found = await contents($0) }
        world.advance(nanoseconds: Self.second)
        #expect(found == "host")
        #expect(other.isUp)
        // A wiped disk.
        host.kill()
        host.replaceDisk()
        host.start()
        host.spawn("reader") { found = await contents($0) }
        world.advance(nanoseconds: Self.second)
        #expect(found == "nothing")
    }

    @Test func keepsWhatWasWrittenWhenOnlyItsProcessIsKilled() throws {
        let world = VirtualWorld(seed: 4)
        let host = world.host("host")
        host.spawn("writer") { seams in
            let file = try? await seams.files.open("/a", FileMode(.mustCreate, writable: true))
            try? await file?.write(buffer("unsynced"), 0..<8, at: 0, durable: false)
            _ = try? await seams.files.lock("/LOCK")
        }
        world.advance(nanoseconds: Self.second)
        host.kill()
        host.start()
        var found: String?
        var isLocked = false
        host.spawn("reader") { seams in
            found = await contents(seams)
            isLocked = (try? await seams.files.lock("/LOCK")) != nil
        }
        world.advance(nanoseconds: Self.second)
        #expect(found == "unsynced")
        #expect(isLocked)
    }

    @Test func supersedesWhatAKilledProcessWasWritingByWhatTheNextOneSyncs() throws {
        let world = VirtualWorld(seed: 6)
        let host = world.host("host")
        host.disk.inject(DiskFault(.write, .stall(nanoseconds: Self.second)))
        host.spawn("writer") { seams in
            let file = try? await seams.files.open("/a", FileMode(.mustCreate, writable: true))
            try? await seams.files.syncDirectory("/")
            try? await file?.write(buffer("killed"), 0..<6, at: 0, durable: false)
        }
        world.advance(nanoseconds: Self.second / 2)
        host.kill()
        host.start()
        var isSynced = false
        host.spawn("writer") { seams in
            let file = try? await seams.files.open("/a", FileMode(.mustExist, writable: true))
            try? await file?.write(buffer("synced"), 0..<6, at: 0, durable: false)
            isSynced = (try? await file?.sync()) != nil
        }
        world.advance(nanoseconds: Self.second)
        #expect(isSynced)
        let seen = Set(host.disk.image.crashStates().compactMap { $0.contents("/a") })
        #expect(seen == [Array("synced".utf8)])
    }

    @Test func sealsItsConnectionsWhenItsProcessIsKilledAndNotWhenItsPowerFails() throws {
        let world = VirtualWorld(seed: 5)
        let server = world.host("server")
        try world.run { seams in
            for isKilled in [true, false] {
                server.spawn("echo") { await echo($0, port: 7) }
                await seams.clock.sleep(nanoseconds: 1_000_000)
                let connection = try await seams.network.connect(server.address(port: 7))
                var end: String?
                seams.scheduler.spawn("receiver") { end = await receiveEnd(connection) }
                await seams.clock.sleep(nanoseconds: 1_000_000)
                if isKilled { server.kill() } else { server.crash() }
                await seams.clock.sleep(nanoseconds: 10 * Self.second)
                #expect(end == (isKilled ? "finished" : nil))
                server.start()
                await seams.clock.sleep(nanoseconds: Self.second)
                #expect(end == (isKilled ? "finished" : nil))
                if isKilled { continue }
                // The machine is back, and knows nothing of the connection.
                try await connection.send(buffer("x"), 0..<1)
                try await until(seams) { end != nil }
                #expect(end?.contains("errno 104") == true)
            }
        }
    }

    @Test func withoutPowerIsSilentToThoseWhoDial() throws {
        let world = VirtualWorld(seed: 6)
        let server = world.host("server")
        try world.run { seams in
            let refused = await #expect(throws: IOError.self) {
                _ = try await seams.network.connect(server.address(port: 7))
            }
            #expect(refused?.reason == .refused)
            server.crash()
            let start = seams.clock.monotonicNanoseconds
            let late = await #expect(throws: IOError.self) {
                _ = try await seams.network.connect(server.address(port: 7), timeoutNanoseconds: 3 * Self.second)
            }
            #expect(late?.reason == .timedOut)
            #expect(seams.clock.monotonicNanoseconds - start == 3 * Self.second)
            // It is reached by an attempt under way when it comes back.
            seams.scheduler.spawn("power") {
                await seams.clock.sleep(nanoseconds: 2 * Self.second)
                server.start()
                server.spawn("echo") { await echo($0, port: 7) }
            }
            _ = try await seams.network.connect(server.address(port: 7), timeoutNanoseconds: 10 * Self.second)
        }
    }

    @Test func standsStillWhileItIsPausedAndThenGoesOn() throws {
        let world = VirtualWorld(seed: 7)
        let server = world.host("server")
        server.spawn("echo") { await echo($0, port: 7) }
        var ticks = 0
        server.spawn("ticker") { seams in
            while true {
                await seams.clock.sleep(nanoseconds: 100_000_000)
                ticks += 1
            }
        }
        try world.run { seams in
            #expect(await ask(seams, server.address(port: 7), "one") == "one")
            await seams.clock.sleep(nanoseconds: Self.second)
            server.pause()
            #expect(server.isPaused)
            let ticksThen = ticks
            var answer: String?
            seams.scheduler.spawn("caller") { answer = await ask(seams, server.address(port: 7), "two") }
            await seams.clock.sleep(nanoseconds: 5 * Self.second)
            #expect(answer == nil)
            #expect(ticks == ticksThen)
            server.resume()
            try await until(seams) { answer == "two" }
            await seams.clock.sleep(nanoseconds: Self.second)
            #expect(ticks > ticksThen + 8 && ticks < ticksThen + 13)
        }
    }

    // MARK: Clocks

    @Test func hasClocksThatRunApartAndNeverFall() throws {
        let world = VirtualWorld(seed: 8)
        let fast = world.host("fast")
        let slow = world.host("slow")
        let other = world.host("other")
        #expect(Set([fast, slow, other].map(\.clock.monotonicNanoseconds)).count == 3)
        fast.clock.driftMillionths = 100_000
        slow.clock.driftMillionths = -100_000
        let starts = [fast, slow, other].map(\.clock.monotonicNanoseconds)
        let walls = [fast, slow, other].map(\.clock.wallMicroseconds)
        world.advance(nanoseconds: 1000 * Self.second)
        let passed = zip([fast, slow, other], starts).map { $0.clock.monotonicNanoseconds - $1 }
        #expect(passed == [1100 * Self.second, 900 * Self.second, 1000 * Self.second])
        let wallPassed = zip([fast, slow, other], walls).map { $0.clock.wallMicroseconds - $1 }
        #expect(wallPassed == [1_100_000_000, 900_000_000, 1_000_000_000])
        let before = fast.clock.monotonicNanoseconds
        fast.clock.driftMillionths = -900_000
        fast.clock.wallOffsetMicroseconds = -3_600_000_000
        #expect(fast.clock.monotonicNanoseconds == before)
        #expect(fast.clock.wallMicroseconds - walls[0] == 1_100_000_000 - 3_600_000_000)
    }

    @Test func isWokenByItsOwnClockAndNeverTooEarly() throws {
        let world = VirtualWorld(seed: 9)
        let host = world.host("host")
        let random = world.random("drift")
        var woken = 0
        for _ in 0..<200 {
            host.spawn("sleeper") { seams in
                let deadline = seams.clock.monotonicNanoseconds + 1 + random.next(below: 10 * Self.second)
                await seams.clock.sleep(nanoseconds: deadline - seams.clock.monotonicNanoseconds)
                #expect(seams.clock.monotonicNanoseconds >= deadline)
                woken += 1
            }
        }
        for _ in 0..<100 {
            host.clock.driftMillionths = Int64(random.next(below: 1_000_000)) - 500_000
            world.advance(nanoseconds: 300_000_000)
        }
        #expect(woken == 200)
        var isCalled = false
        let timer = host.clock.schedule(atNanoseconds: host.clock.monotonicNanoseconds + 1000) { isCalled = true }
        host.clock.cancel(timer)
        world.advance(nanoseconds: Self.second)
        #expect(!isCalled)
    }

    // MARK: The whole

    @Test func repeatsItselfExactlyUnderOneSeed() throws {
        func hash(_ seed: UInt64) -> UInt64 {
            let world = VirtualWorld(seed: seed)
            let hosts = (1...3).map { world.host("node-\($0)") }
            let random = world.random("faults")
            var goesOn = true
            hosts[0].atEnd { goesOn = false }
            func life(_ host: VirtualHost) {
                host.spawn("echo") { await echo($0, port: 7) }
                host.spawn("caller") { seams in
                    while goesOn {
                        let other = hosts[Int(seams.random.next(below: 3))]
                        _ = await ask(seams, other.address(port: 7), "from \(host.name)")
                        await seams.clock.sleep(nanoseconds: seams.random.next(below: 10_000_000))
                    }
                }
            }
            for host in hosts { life(host) }
            for _ in 0..<40 {
                world.advance(nanoseconds: random.next(below: 200_000_000))
                let host = hosts[Int(random.next(below: 3))]
                switch random.next(below: 6) {
                case 0:
                    host.crash()
                    host.start()
                    life(host)
                case 1: world.network.isolate(host.name)
                case 2: world.network.set(.lossy(permille: 100), among: hosts.map(\.name))
                case 3: world.network.heal()
                case 4: host.clock.driftMillionths = Int64(random.next(below: 1000))
                default: world.network.breakConnections(of: host.name)
                }
            }
            return world.trace.hash
        }
        for seed in 1...5 as ClosedRange<UInt64> { #expect(hash(seed) == hash(seed), "seed \(seed)") }
        #expect(Set((1...5).map { hash($0) }).count == 5)
    }

    @Test func leavesNothingBehindWhenTheWorldEnds() throws {
        final class Thing {}
        weak var thing: Thing?
        var ended = 0
        do {
            let world = VirtualWorld(seed: 10)
            let host = world.host("host")
            for isCrashed in [true, false] {
                let held = Thing()
                thing = held
                var goesOn = true
                host.spawn("ticker") { seams in
                    while goesOn { await seams.clock.sleep(nanoseconds: 1_000_000) }
                    withExtendedLifetime(held) {}
                    ended += 1
                }
                host.spawn("echo") { seams in
                    await echo(seams, port: 7)
                    withExtendedLifetime(held) {}
                    ended += 1
                }
                host.atEnd { goesOn = false }
                world.advance(nanoseconds: Self.second)
                if isCrashed {
                    host.crash()
                    host.start()
                }
            }
        }
        #expect(ended == 4)
        #expect(thing == nil)
    }
}

// MARK: What runs on the machines

func buffer(_ text: String) -> IOBuffer {
    let buffer = IOBuffer(count: max(1, text.utf8.count))
    buffer.bytes.copyBytes(from: text.utf8)
    return buffer
}

/// Sends back what each connection brings, until it cannot go on.
func echo(_ seams: Seams, port: UInt16) async {
    guard let listener = try? await seams.network.listen(SocketAddress(host: "0.0.0.0", port: port)) else { return }
    while let connection = try? await listener.accept() {
        seams.scheduler.spawn("echo") {
            let buffer = IOBuffer(count: 4096)
            while let count = try? await connection.receive(into: buffer, 0..<4096), count > 0 {
                try? await connection.send(buffer, 0..<count)
            }
            connection.close()
        }
    }
}

/// What comes back for a text; `nil` when that fails.
func ask(_ seams: Seams, _ address: SocketAddress, _ text: String) async -> String? {
    guard let connection = try? await seams.network.connect(address, timeoutNanoseconds: 60_000_000_000) else {
        return nil
    }
    defer { connection.close() }
    let count = text.utf8.count
    let answer = IOBuffer(count: count)
    do {
        try await connection.send(buffer(text), 0..<count)
        var received = 0
        while received < count {
            let more = try await connection.receive(into: answer, received..<count)
            if more == 0 { return nil }
            received += more
        }
    } catch { return nil }
    return String(decoding: answer[0..<count], as: UTF8.self)
}

/// How a connection ends: "finished", or the error.
func receiveEnd(_ connection: any Connection) async -> String {
    let buffer = IOBuffer(count: 4096)
    do {
        while try await connection.receive(into: buffer, 0..<4096) > 0 {}
        return "finished"
    } catch { return "\(error)" }
}

private func contents(_ seams: Seams) async -> String {
    guard let file = try? await seams.files.open("/a", FileMode(.mustExist, writable: false)) else { return "nothing" }
    let buffer = IOBuffer(count: 512)
    guard let count = try? await file.read(into: buffer, 0..<512, at: 0) else { return "unreadable" }
    return String(decoding: buffer[0..<count], as: UTF8.self)
}

struct TooLate: Error {}

/// Waits until something holds.
func until(_ seams: Seams, seconds: UInt64 = 60, _ holds: () -> Bool) async throws {
    let deadline = seams.clock.monotonicNanoseconds + seconds * 1_000_000_000
    while !holds() {
        if seams.clock.monotonicNanoseconds > deadline { throw TooLate() }
        await seams.clock.sleep(nanoseconds: 1_000_000)
    }
}
