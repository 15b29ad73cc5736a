import CordwoodIO
import CordwoodPlatform
import Glibc
import Testing

@Suite("Sockets")
struct NetworkTests {
    private static let loopback = SocketAddress(host: "127.0.0.1", port: 0)

    /// A listener and both ends of one connection to it.
    private static func pair(
        _ seams: Seams
    ) async throws -> (listener: any Listener, client: any Connection, server: any Connection) {
        let listener = try await seams.network.listen(loopback)
        let client = try await seams.network.connect(listener.address)
        return (listener, client, try await listener.accept())
    }

    @Test("Bytes go both ways, and a finished side is seen as the end", arguments: backends)
    func echo(_ backend: Platform.Choice) async throws {
        try await onPlatform(backend) { seams in
            let (listener, client, server) = try await Self.pair(seams)
            #expect(listener.address.port != 0)
            #expect(client.peerAddress == listener.address)
            #expect(server.peerAddress.host == "127.0.0.1")
            let buffer = IOBuffer(count: 100)
            try await client.send(IOBuffer(text: "ping"), 0..<4)
            #expect(try await server.receive(into: buffer, 0..<100) == 4)
            try await server.send(buffer, 1..<4)
            #expect(try await client.receive(into: buffer, 50..<100) == 3)
            #expect(buffer.text(50..<53) == "ing")
            client.close()
            #expect(try await server.receive(into: buffer, 0..<100) == 0)
            server.close()
            listener.close()
        }
    }

    /// Takes what comes without a task, byte range after byte range, until the end.
    private final class Taker: ConnectionReceiver {
        let connection: any Connection
        let buffer = IOBuffer(count: 100)
        var results: [Result<Int, IOError>] = []
        private var end: UnsafeContinuation<Void, Never>?

        init(_ connection: any Connection) { self.connection = connection }

        func untilEnd() async {
            await withUnsafeContinuation { continuation in
                end = continuation
                connection.receive(into: buffer, 0..<3, for: self)
                #expect(results.isEmpty)
            }
        }

        func received(_ result: Result<Int, IOError>) {
            results.append(result)
            if case .success(let count) = result, count > 0 {
                connection.receive(into: buffer, 0..<3, for: self)
            } else {
                end?.resume()
            }
        }
    }

    @Test("Who is no task can receive too: bytes, the end, and why there is none", arguments: backends)
    func receiver(_ backend: Platform.Choice) async throws {
        try await onPlatform(backend) { seams in
            let (listener, client, server) = try await Self.pair(seams)
            let taker = Taker(server)
            try await client.send(IOBuffer(text: "abcde"), 0..<5)
            client.close()
            await taker.untilEnd()
            #expect(taker.results == [.success(3), .success(2), .success(0)])
            #expect(taker.buffer.text(0..<2) == "de")
            server.close()
            let late = Taker(server)
            await late.untilEnd()
            #expect(late.results.map { $0.failure?.reason } == [.closed])
            listener.close()
        }
    }

    /// Counts the receives of each turn.
    private final class TurnCounter: ConnectionReceiver {
        let scheduler: any Scheduler
        private(set) var turns: [Int] = []
        private var now = 0

        init(_ scheduler: any Scheduler) { self.scheduler = scheduler }

        func received(_ result: Result<Int, IOError>) {
            now += 1
            if now > 1 { return }
            scheduler.atEndOfTurn { [self] in
                turns.append(now)
                now = 0
            }
        }
    }

    @Test("What many have received is handed out over several turns", arguments: backends)
    func boundedTurns(_ backend: Platform.Choice) async throws {
        try await onPlatform(backend) { seams in
            let bytes = 32 << 10
            let listener = try await seams.network.listen(Self.loopback)
            var ends: [any Connection] = []
            let counter = TurnCounter(seams.scheduler)
            for _ in 0..<12 {
                let client = try await seams.network.connect(listener.address)
                let server = try await listener.accept()
                try await client.send(IOBuffer(count: bytes), 0..<bytes)
                ends += [client, server]
            }
            await seams.clock.sleep(nanoseconds: 20_000_000)
            for server in stride(from: 1, to: ends.count, by: 2) {
                ends[server].receive(into: IOBuffer(count: bytes), 0..<bytes, for: counter)
            }
            while counter.turns.reduce(0, +) < 12 { await seams.clock.sleep(nanoseconds: 1_000_000) }
            #expect(counter.turns.allSatisfy { $0 <= 4 })
            for end in ends { end.close() }
            listener.close()
        }
    }

    @Test("Closing ends a receive of one who is no task", arguments: backends)
    func closeUnderReceiver(_ backend: Platform.Choice) async throws {
        try await onPlatform(backend) { seams in
            let (listener, client, server) = try await Self.pair(seams)
            let taker = Taker(server)
            seams.scheduler.spawn("closer") {
                await seams.clock.sleep(nanoseconds: 2_000_000)
                server.close()
            }
            await taker.untilEnd()
            #expect(taker.results.map { $0.failure?.reason } == [.closed])
            client.close()
            listener.close()
        }
    }

    @Test("IPv6 and host names work too", arguments: backends)
    func addresses(_ backend: Platform.Choice) async throws {
        try await onPlatform(backend) { seams in
            for host in ["::1", "localhost"] {
                let listener = try await seams.network.listen(SocketAddress(host: host, port: 0))
                let client = try await seams.network.connect(
                    SocketAddress(host: host, port: listener.address.port))
                let server = try await listener.accept()
                try await client.send(IOBuffer(text: "x"), 0..<1)
                #expect(try await server.receive(into: IOBuffer(count: 8), 0..<8) == 1)
                client.close()
                server.close()
                listener.close()
            }
            let unknown = await reason {
                _ = try await seams.network.connect(SocketAddress(host: "no.such.host.invalid", port: 1))
            }
            #expect(unknown != nil)
        }
    }

    /// Bytes that tell where they stand.
    private static func pattern(_ count: Int) -> IOBuffer {
        let bytes = IOBuffer(count: count)
        for index in 0..<count { bytes.bytes[index] = UInt8(truncatingIfNeeded: index &* 31 >> 8) }
        return bytes
    }

    /// How many bytes of the pattern came until the other side finished; `nil` when one was not its own.
    private static func receivesPattern(from connection: any Connection) async throws -> Int? {
        let buffer = IOBuffer(count: 1 << 16)
        var received = 0
        var correct = true
        while true {
            let count = try await connection.receive(into: buffer, 0..<buffer.count)
            if count == 0 { break }
            for index in stride(from: 0, to: count, by: 997) {
                correct = correct && buffer.bytes[index] == UInt8(truncatingIfNeeded: (received + index) &* 31 >> 8)
            }
            received += count
        }
        return correct ? received : nil
    }

    @Test("More than the socket buffers hold is sent whole", arguments: backends)
    func large(_ backend: Platform.Choice) async throws {
        try await onPlatform(backend) { seams in
            let (listener, client, server) = try await Self.pair(seams)
            let total = 20 << 20
            seams.scheduler.spawn("sender") {
                let bytes = Self.pattern(total)
                #expect(await reason { try await client.send(bytes, 0..<total) } == nil)
                client.close()
            }
            #expect(try await Self.receivesPattern(from: server) == total)
            server.close()
            listener.close()
        }
    }

    @Test(
        "What the socket takes is sent at once, the rest is left to a send, and their order holds", arguments: backends)
    func sendAtOnce(_ backend: Platform.Choice) async throws {
        try await onPlatform(backend) { seams in
            let (listener, client, server) = try await Self.pair(seams)
            let total = 16 << 20
            let bytes = Self.pattern(total)
            let taken = client.sendAtOnce(bytes[0..<total])
            #expect(taken > 0 && taken < total)
            #expect(client.sendAtOnce(bytes[0..<0]) == 0)
            seams.scheduler.spawn("sender") {
                #expect(await reason { try await client.send(bytes, taken..<total) } == nil)
                client.close()
                #expect(client.sendAtOnce(bytes[0..<1]) == 0)
            }
            // The rest is on its way: nothing may come in between.
            await seams.clock.sleep(nanoseconds: 1_000_000)
            #expect(client.sendAtOnce(bytes[0..<1]) == 0)
            #expect(try await Self.receivesPattern(from: server) == total)
            server.close()
            listener.close()
        }
    }

    @Test("A port without a listener refuses, and a taken one cannot be listened on", arguments: backends)
    func refusals(_ backend: Platform.Choice) async throws {
        try await onPlatform(backend) { seams in
            let listener = try await seams.network.listen(Self.loopback)
            let taken = await reason { _ = try await seams.network.listen(listener.address) }
            #expect(taken != nil)
            listener.close()
            let refused = await reason { _ = try await seams.network.connect(listener.address) }
            #expect(refused == .refused)
        }
    }

    @Test("An attempt to connect that nobody answers ends when its time is over", arguments: backends)
    func connectTimeOut(_ backend: Platform.Choice) async throws {
        try await onPlatform(backend) { seams in
            let (descriptor, address) = try Self.deafListener()
            defer { close(descriptor) }
            var connections: [any Connection] = []
            var outcome: IOError.Reason?
            var nanoseconds: UInt64 = 0
            while outcome == nil, connections.count < 20 {
                let start = seams.clock.monotonicNanoseconds
                outcome = await reason {
                    connections.append(
                        try await seams.network.connect(address, timeoutNanoseconds: 200_000_000))
                }
                nanoseconds = seams.clock.monotonicNanoseconds - start
            }
            #expect(outcome == .timedOut)
            #expect(nanoseconds >= 200_000_000)
            for connection in connections { connection.close() }
        }
    }

    /// A socket that listens and whose owner accepts nobody: the kernel answers few, and then no more.
    private static func deafListener() throws -> (Int32, SocketAddress) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && listen(descriptor, 0) == 0
                    && getsockname(descriptor, $0, &length) == 0
            }
        }
        try #require(descriptor >= 0 && result)
        return (descriptor, SocketAddress(host: "127.0.0.1", port: UInt16(bigEndian: address.sin_port)))
    }

    @Test("Closing a connection ends what is under way on it", arguments: backends)
    func closeUnderWay(_ backend: Platform.Choice) async throws {
        try await onPlatform(backend) { seams in
            let (listener, client, server) = try await Self.pair(seams)
            seams.scheduler.spawn("closer") {
                await seams.clock.sleep(nanoseconds: 2_000_000)
                server.close()
            }
            await seams.scheduler.all(2) { number in
                let failure = await reason {
                    if number == 0 {
                        _ = try await server.receive(into: IOBuffer(count: 10), 0..<10)
                    } else {
                        // Nobody reads at the other end, so this cannot end by itself.
                        try await server.send(IOBuffer(count: 64 << 20), 0..<(64 << 20))
                    }
                }
                #expect(failure == .closed)
            }
            #expect(await reason { _ = try await server.receive(into: IOBuffer(count: 1), 0..<1) } == .closed)
            server.close()
            client.close()
            listener.close()
        }
    }

    @Test("Closing a listener ends a waiting accept", arguments: backends)
    func closeListener(_ backend: Platform.Choice) async throws {
        try await onPlatform(backend) { seams in
            let listener = try await seams.network.listen(Self.loopback)
            seams.scheduler.spawn("closer") {
                await seams.clock.sleep(nanoseconds: 1_000_000)
                listener.close()
            }
            #expect(await reason { _ = try await listener.accept() } == .closed)
            #expect(await reason { _ = try await listener.accept() } == .closed)
        }
    }

    @Test("Sending to a peer that is gone fails as closed", arguments: backends)
    func gonePeer(_ backend: Platform.Choice) async throws {
        try await onPlatform(backend) { seams in
            let (listener, client, server) = try await Self.pair(seams)
            client.close()
            let failure = await reason {
                for _ in 0..<1000 { try await server.send(IOBuffer(count: 1 << 16), 0..<(1 << 16)) }
            }
            #expect(failure == .closed)
            server.close()
            listener.close()
        }
    }

    @Test("Fifty connections take turns", arguments: backends)
    func fiftyConnections(_ backend: Platform.Choice) async throws {
        let connections = 50
        let turns = 200
        let nanoseconds = try await onPlatform(backend) { seams in
            let listener = try await seams.network.listen(Self.loopback)
            seams.scheduler.spawn("server") {
                for _ in 0..<connections {
                    guard let server = try? await listener.accept() else { return }
                    seams.scheduler.spawn("echo") {
                        let buffer = IOBuffer(count: 4096)
                        while let count = try? await server.receive(into: buffer, 0..<4096), count > 0 {
                            try? await server.send(buffer, 0..<count)
                        }
                        server.close()
                    }
                }
            }
            let start = seams.clock.monotonicNanoseconds
            await seams.scheduler.all(connections) { number in
                let failure = await reason {
                    let client = try await seams.network.connect(listener.address)
                    let buffer = IOBuffer(count: 4096, repeating: UInt8(number))
                    for _ in 0..<turns {
                        try await client.send(buffer, 0..<256)
                        var received = 0
                        while received < 256 {
                            received += try await client.receive(into: buffer, received..<256)
                        }
                        #expect(buffer.bytes[0] == UInt8(number) && buffer.bytes[255] == UInt8(number))
                    }
                    client.close()
                }
                #expect(failure == nil)
            }
            let end = seams.clock.monotonicNanoseconds
            listener.close()
            return end - start
        }
        print("\(backend.rawValue): \(nanoseconds / UInt64(2 * connections * turns)) ns a receive and a send")
    }
}

extension Result {
    fileprivate var failure: Failure? {
        if case .failure(let error) = self { error } else { nil }
    }
}
