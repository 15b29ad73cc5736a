import CordwoodIO
import Testing

@testable import CordwoodPlatform

@Suite("The loop")
struct LoopTests {
    /// A class of the engine's kind: confined, not Sendable, with async methods that run on the caller's loop.
    private final class Confined {
        let seams: Seams
        var steps: [Int] = []

        init(_ seams: Seams) { self.seams = seams }

        func step(_ number: Int) async {
            expectOnLoop(seams)
            await seams.clock.sleep(nanoseconds: 1000)
            expectOnLoop(seams)
            steps.append(number)
        }

        func fail(_ number: Int) async throws(IOError) {
            await step(number)
            throw IOError(.other, operation: "step", subject: "\(number)")
        }
    }

    private static func expectOnLoop(_ seams: Seams, _ location: SourceLocation = #_sourceLocation) {
        #expect(seams.scheduler.isCurrent, sourceLocation: location)
    }

    private actor Edge {
        nonisolated let unownedExecutor: UnownedSerialExecutor
        private let scheduler: any Scheduler
        private var count = 0

        init(_ scheduler: any Scheduler) {
            self.scheduler = scheduler
            unownedExecutor = scheduler.unownedLoop
        }

        func add() -> Bool {
            preconditionIsolated()
            count += 1
            return scheduler.isCurrent
        }

        func addAfterAWait() async throws -> Bool {
            _ = try await scheduler.offload { 1 }
            return add()
        }
    }

    @Test("Whatever a task awaits, it comes back to the loop", arguments: backends)
    func comesBack(_ backend: Platform.Choice) async throws {
        try await onPlatform(backend) { seams in
            Self.expectOnLoop(seams)
            let confined = Confined(seams)
            await confined.step(1)
            Self.expectOnLoop(seams)
            do throws(IOError) {
                try await confined.fail(2)
                Issue.record("did not throw")
            } catch {
                Self.expectOnLoop(seams)
                #expect(error.subject == "2")
            }
            let number = try await seams.scheduler.offload { 42 }
            Self.expectOnLoop(seams)
            #expect(number == 42)
            await #expect(throws: IOError.self) {
                try await seams.scheduler.offload { throw IOError(.other, operation: "work", subject: "worker") }
            }
            Self.expectOnLoop(seams)
            await Task.yield()
            Self.expectOnLoop(seams)
            #expect(confined.steps == [1, 2])
        }
    }

    @Test("Thousands of tasks that wait for different things all run on the loop", arguments: backends)
    func manyTasks(_ backend: Platform.Choice) async throws {
        let count = 3000
        let total = try await onPlatform(backend) { seams in
            let confined = Confined(seams)
            await seams.scheduler.all(count) { number in
                Self.expectOnLoop(seams)
                switch number % 4 {
                case 0: await confined.step(number)
                case 1:
                    do { try await confined.fail(number) } catch { Self.expectOnLoop(seams) }
                case 2:
                    _ = try? await seams.scheduler.offload { number }
                    Self.expectOnLoop(seams)
                    confined.steps.append(number)
                default:
                    await Task.yield()
                    Self.expectOnLoop(seams)
                    confined.steps.append(number)
                }
            }
            return Set(confined.steps).count
        }
        #expect(total == count)
    }

    @Test("An actor may live on the loop", arguments: backends)
    func actorOnTheLoop(_ backend: Platform.Choice) async throws {
        let platform = try Platform.start(io: backend)
        defer { platform.shutdown() }
        let edge = Edge(platform.loop)
        #expect(await edge.add())
        #expect(try await edge.addAfterAWait())
        let inside = try await platform.run { seams in
            let first = await edge.add()
            Self.expectOnLoop(seams)
            let second = try await edge.addAfterAWait()
            Self.expectOnLoop(seams)
            return first && second
        }
        #expect(inside)
    }

    @Test("Offloaded work runs beside the loop, which goes on meanwhile", arguments: backends)
    func offload(_ backend: Platform.Choice) async throws {
        try await onPlatform(backend) { seams in
            let scheduler = seams.scheduler
            let beside = try await scheduler.offload {
                let before = scheduler.isCurrent
                await Task.yield()
                return !before && !scheduler.isCurrent
            }
            #expect(beside)
            // A worker that waits for the loop proves that the loop is not waiting for the worker.
            let gate = Monitor(false)
            scheduler.submit { gate.change { $0 = true } }
            try await scheduler.offload { gate.wait { $0 ? () : nil } }
        }
    }

    @Test("End-of-turn calls come after the work that was ready and before the loop waits", arguments: backends)
    func endOfTurn(_ backend: Platform.Choice) async throws {
        let order = try await onPlatform(backend) { seams in
            let order = Box<[String]>([])
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                seams.scheduler.atEndOfTurn {
                    order.value.append("end")
                    seams.scheduler.atEndOfTurn { continuation.resume() }
                }
                for number in 1...3 {
                    seams.scheduler.spawn("ready") {
                        order.value.append("\(number)")
                        seams.scheduler.spawn("follows") { order.value.append("\(number) again") }
                    }
                }
                order.value.append("first")
            }
            return order.value
        }
        #expect(order == ["first", "1", "2", "3", "1 again", "2 again", "3 again", "end"])
    }

    @Test("A task that never waits for anything shuts out nobody", arguments: backends)
    func fairness(_ backend: Platform.Choice) async throws {
        try await onPlatform(backend) { seams in
            let isDone = Box(false)
            let yields = Box(0)
            seams.scheduler.spawn("restless") {
                while !isDone.value {
                    yields.value += 1
                    await Task.yield()
                }
            }
            let null = try await seams.files.open("/dev/null", FileMode(.mustExist, writable: true))
            try await null.write(IOBuffer(text: "x"), 0..<1, at: 0, durable: false)
            await null.close()
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                seams.scheduler.atEndOfTurn { continuation.resume() }
            }
            await seams.clock.sleep(nanoseconds: 1_000_000)
            _ = try await seams.scheduler.offload { 1 }
            isDone.value = true
            #expect(yields.value > 0)
        }
    }

    @Test("Timers are called in order of their time, equal ones in order of scheduling", arguments: backends)
    func timerOrder(_ backend: Platform.Choice) async throws {
        let order = try await onPlatform(backend) { seams in
            let clock = seams.clock
            let start = clock.monotonicNanoseconds
            let order = Box<[Int]>([])
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                _ = clock.schedule(atNanoseconds: start + 9_000_000) { continuation.resume() }
                for (number, milliseconds) in [(1, 6), (2, 3), (3, 3), (4, 1)] {
                    _ = clock.schedule(atNanoseconds: start + UInt64(milliseconds) * 1_000_000) {
                        #expect(clock.monotonicNanoseconds >= start + UInt64(milliseconds) * 1_000_000)
                        order.value.append(number)
                    }
                }
                let cancelled = clock.schedule(atNanoseconds: start + 2_000_000) { order.value.append(99) }
                clock.cancel(cancelled)
                clock.cancel(cancelled)
            }
            return order.value
        }
        #expect(order == [4, 2, 3, 1])
    }

    @Test("Other threads wake a sleeping loop, and nothing they submit is lost", arguments: backends)
    func wakeUps(_ backend: Platform.Choice) async throws {
        let platform = try Platform.start(io: backend)
        defer { platform.shutdown() }
        let perThread = 5000
        let seen = Monitor(0)
        let loop = platform.loop
        let posters = try (0..<3).map { number in
            try PlatformThread(name: "poster-\(number)") {
                for _ in 0..<perThread { loop.submit { seen.change { $0 += 1 } } }
            }
        }
        for poster in posters { poster.join() }
        let total = try await platform.run { seams in
            try await seams.scheduler.offload { seen.wait { $0 == 3 * perThread ? $0 : nil } }
        }
        #expect(total == 3 * perThread)
    }

    @Test("A program's main thread can wait for its body")
    func runToEnd() async throws {
        let platform = try Platform.start()
        let result = Monitor<Int?>(nil)
        let thread = try PlatformThread(name: "main") {
            let value = try? platform.runToEnd { seams in
                await seams.clock.sleep(nanoseconds: 1_000_000)
                return 7
            }
            result.change { $0 = value }
        }
        thread.join()
        platform.shutdown()
        #expect(result.wait { $0 } == 7)
    }

    @Test("Random numbers differ")
    func random() async throws {
        let numbers = try await onPlatform(.auto) { seams in (0..<100).map { _ in seams.random.next() } }
        #expect(Set(numbers).count == 100)
    }

    /// About 0.7 µs in a release build on an idle machine; the bound only tells a loop that turns from one that sleeps.
    @Test("An awaited operation costs the loop no sleep", arguments: backends)
    func costOfAnAwait(_ backend: Platform.Choice) async throws {
        let platform = try Platform.start(io: backend)
        defer { platform.shutdown() }
        let loop = platform.loop
        let count = 20_000
        let (alone, together) = try await platform.run { seams in
            let start = seams.clock.monotonicNanoseconds
            for _ in 0..<count { await loop.performNothing() }
            let middle = seams.clock.monotonicNanoseconds
            await seams.scheduler.all(100) { _ in for _ in 0..<(count / 100) { await loop.performNothing() } }
            return (middle - start, seams.clock.monotonicNanoseconds - middle)
        }
        print(
            "\(backend.rawValue): no-op awaited \(alone / UInt64(count)) ns alone, \(together / UInt64(count)) of 100"
        )
        #expect(alone / UInt64(count) < 1_000_000)
    }
}
