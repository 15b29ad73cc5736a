import CordwoodIO
import CordwoodVirtual
import Testing

@Suite("A virtual world")
struct WorldTests {
    @Test("runs a body to its end and returns what it returned")
    func returnsTheValue() throws {
        let world = VirtualWorld(seed: 1)
        let value = try world.run { _ in 42 }
        #expect(value == 42)
    }

    @Test("passes on what the body throws")
    func passesOnErrors() {
        struct Failure: Error {}
        let world = VirtualWorld(seed: 1)
        #expect(throws: Failure.self) { try world.run { _ in throw Failure() } }
    }

    @Test("jumps to the next timer when nothing else is left to do")
    func jumpsInTime() throws {
        let world = VirtualWorld(seed: 1)
        let elapsed = try world.run { seams in
            let start = seams.clock.monotonicNanoseconds
            await seams.clock.sleep(nanoseconds: 3_600_000_000_000)
            return seams.clock.monotonicNanoseconds - start
        }
        #expect(elapsed == 3_600_000_000_000)
    }

    @Test("calls timers in the order of their deadlines, equal ones in the order of scheduling, cancelled ones not")
    func ordersTimers() throws {
        let world = VirtualWorld(seed: 1)
        var called: [Int] = []
        try world.run { seams in
            let now = seams.clock.monotonicNanoseconds
            for (number, delay) in [(1, 30), (2, 10), (3, 20), (4, 10), (5, 40)] as [(Int, UInt64)] {
                let timer = seams.clock.schedule(atNanoseconds: now + delay) { called.append(number) }
                if number == 3 { seams.clock.cancel(timer) }
            }
            await seams.clock.sleep(nanoseconds: 50)
        }
        #expect(called == [2, 4, 1, 5])
    }

    @Test("ends a turn when the ready work is done and before time passes")
    func endsTurns() throws {
        let world = VirtualWorld(seed: 1)
        var order: [String] = []
        try world.run { seams in
            let start = seams.clock.monotonicNanoseconds
            seams.scheduler.spawn("worker") { order.append("worker") }
            seams.scheduler.atEndOfTurn { order.append("end +\(seams.clock.monotonicNanoseconds - start)") }
            order.append("body")
            await seams.clock.sleep(nanoseconds: 10)
            order.append("later")
        }
        #expect(order == ["body", "worker", "end +0", "later"])
    }

    @Test("runs offloaded work between other jobs and comes back to the loop")
    func offloads() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let value = try await seams.scheduler.offload { 7 }
            #expect(value == 7)
            #expect(seams.scheduler.isCurrent)
        }
        #expect(!world.scheduler.isCurrent)
    }

    @Test("keeps an actor that lives on the loop in the same order as everything else")
    func hostsActors() throws {
        let world = VirtualWorld(seed: 1)
        let count = try world.run { seams in
            let counter = Counter(loop: seams.scheduler.unownedLoop)
            for _ in 0..<10 { await counter.increment() }
            return await counter.value
        }
        #expect(count == 10)
    }

    @Test("runs child tasks of a structured group in the world")
    func hostsTaskGroups() throws {
        let world = VirtualWorld(seed: 1)
        let sum = try world.run { _ in
            await withTaskGroup(of: Int.self) { group in
                for number in 1...10 { group.addTask { number } }
                return await group.reduce(0, +)
            }
        }
        #expect(sum == 55)
    }

    @Test("that is stuck names what waits")
    func reportsDeadlock() throws {
        let world = VirtualWorld(seed: 1)
        let error = #expect(throws: VirtualWorldError.self) {
            try world.run { seams in
                let listener = try await seams.network.listen(SocketAddress(host: "node", port: 7))
                seams.scheduler.spawn("idle service") {
                    await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in }
                }
                _ = try await listener.accept()
            }
        }
        let description = try #require(error).description
        #expect(description.contains("idle service"))
        #expect(description.contains("accept on node:7"))
    }

    @Test("repeats itself exactly under one seed, and not under another")
    func isDeterministic() throws {
        func hash(seed: UInt64) throws -> UInt64 {
            let world = VirtualWorld(seed: seed)
            try world.run { seams in
                for number in 0..<8 {
                    seams.scheduler.spawn("writer \(number)") {
                        do {
                            let file = try await seams.files.open("/\(number)", FileMode(.mustCreate, writable: true))
                            let buffer = IOBuffer(count: 4096)
                            for block in 0..<4 {
                                await seams.clock.sleep(nanoseconds: seams.random.next(below: 100_000))
                                try await file.write(
                                    buffer, 0..<4096, at: UInt64(block) * 4096, durable: block % 2 == 0)
                            }
                            try await file.sync()
                        } catch { Issue.record(error) }
                    }
                }
                await seams.clock.sleep(nanoseconds: 10_000_000)
            }
            return world.trace.hash
        }
        for seed in 1...20 as ClosedRange<UInt64> { #expect(try hash(seed: seed) == hash(seed: seed), "seed \(seed)") }
        #expect(Set(try (1...20).map { try hash(seed: $0) }).count == 20)
    }

    @Test("lives again after a crash; what ran before it never comes back")
    func livesAgain() throws {
        let world = VirtualWorld(seed: 1)
        var returned: [String] = []
        try world.run { seams in
            let file = try await seams.files.open("/a", FileMode(.mustCreate, writable: true))
            try await seams.files.syncDirectory("/")
            try await file.write(IOBuffer(count: 512), 0..<512, at: 0, durable: true)
            _ = try await seams.files.lock("/LOCK")
            seams.scheduler.spawn("writer") {
                do { try await file.write(IOBuffer(count: 512), 0..<512, at: 512, durable: true) } catch {}
                returned.append("write")
            }
            seams.scheduler.spawn("latecomer") {
                await seams.clock.sleep(nanoseconds: 1_000_000)
                do { _ = try await seams.files.list("/") } catch {}
                returned.append("list")
            }
        }
        world.crash()
        try world.run { seams in
            await seams.clock.sleep(nanoseconds: 1_000_000_000)
            _ = try await seams.files.lock("/LOCK")
            let file = try await seams.files.open("/a", FileMode(.mustExist, writable: true))
            let size = try await file.size()
            #expect(size >= 512)
        }
        #expect(returned.isEmpty)
    }
}

private actor Counter {
    nonisolated let unownedExecutor: UnownedSerialExecutor
    private(set) var value = 0

    init(loop: UnownedSerialExecutor) { unownedExecutor = loop }

    func increment() { value += 1 }
}
