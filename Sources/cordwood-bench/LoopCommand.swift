internal import CordwoodIO
internal import CordwoodPlatform

/// `cordwood-bench loop`: what the event loop adds to the work that runs on it.
extension BenchCommand {
    /// What the loop itself costs: an awaited operation that does nothing, a task, and turns of many connections.
    static let loop = BenchCommand("loop", "the cost of awaits, tasks and connections' turns on the event loop") {
        run in
        nonisolated(unsafe) let report = run.report()
        try run.onEachBackend { io, seams, platform in
            func add(_ what: String, _ figures: (count: UInt64, nanoseconds: UInt64)) {
                report.add([
                    ("io", .text(io)), ("what", .text(what)), ("count", .count(figures.count)),
                    ("ns_each", .number(Double(figures.nanoseconds) / Double(figures.count), digits: 0)),
                ])
            }
            let loop = LoopCosts(seams, timeNanoseconds: run.timeNanoseconds)
            add("await-alone", await loop.awaits(tasks: 1, platform))
            add("await-of-100", await loop.awaits(tasks: 100, platform))
            add("task", await loop.tasks())
            add("turn-of-1", try await loop.pingPong(connections: 1))
            add("turn-of-50", try await loop.pingPong(connections: 50))
        }
    }
}

/// Costs of the loop, each as how often something was done in how many nanoseconds.
struct LoopCosts {
    private let seams: Seams
    private let timeNanoseconds: UInt64
    private var clock: any Clock { seams.clock }

    init(_ seams: Seams, timeNanoseconds: UInt64) {
        self.seams = seams
        self.timeNanoseconds = timeNanoseconds
    }

    /// Awaited operations that do nothing, by tasks that take turns.
    func awaits(tasks: Int, _ platform: Platform) async -> (count: UInt64, nanoseconds: UInt64) {
        await measure(tasks) { deadline in
            var count: UInt64 = 0
            while clock.monotonicNanoseconds < deadline {
                for _ in 0..<16 { await platform.loop.performNothing() }
                count += 16
            }
            return count
        }
    }

    /// Tasks started one after another.
    func tasks() async -> (count: UInt64, nanoseconds: UInt64) {
        await measure(1) { deadline in
            var count: UInt64 = 0
            while clock.monotonicNanoseconds < deadline {
                await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                    seams.scheduler.spawn("empty") { continuation.resume() }
                }
                count += 1
            }
            return count
        }
    }

    /// Requests of 256 bytes, answered with as many, on connections over loopback; both ends on this loop. Counts each
    /// send with its receive, so two a round trip.
    func pingPong(connections: Int) async throws -> (count: UInt64, nanoseconds: UInt64) {
        let bytes = 256
        let listener = try await seams.network.listen(SocketAddress(host: "127.0.0.1", port: 0))
        seams.scheduler.spawn("server") {
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
        var clients: [any Connection] = []
        for _ in 0..<connections { clients.append(try await seams.network.connect(listener.address)) }
        var next = 0
        let figures = await measure(connections) { deadline in
            let client = clients[next]
            next += 1
            var count: UInt64 = 0
            let buffer = IOBuffer(count: bytes)
            buffer.bytes.initializeMemory(as: UInt8.self, repeating: 1)
            while clock.monotonicNanoseconds < deadline {
                guard (try? await client.send(buffer, 0..<bytes)) != nil else { break }
                var received = 0
                while received < bytes {
                    guard let more = try? await client.receive(into: buffer, received..<bytes), more > 0 else { break }
                    received += more
                }
                count += 2
            }
            return count
        }
        for client in clients { client.close() }
        listener.close()
        return figures
    }

    /// Runs `body` as so many tasks until a deadline and sums what they count.
    private func measure(
        _ tasks: Int, _ body: @escaping (_ deadline: UInt64) async -> UInt64
    ) async -> (count: UInt64, nanoseconds: UInt64) {
        let start = clock.monotonicNanoseconds
        let deadline = start + timeNanoseconds
        var left = tasks
        var total: UInt64 = 0
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
            for number in 0..<tasks {
                seams.scheduler.spawn("measure-\(number)") {
                    total += await body(deadline)
                    left -= 1
                    if left == 0 { continuation.resume() }
                }
            }
        }
        return (total, clock.monotonicNanoseconds - start)
    }
}
