import CordwoodIO
import CordwoodVirtual
import Testing

@Suite("A virtual network")
struct NetworkTests {
    private let address = SocketAddress(host: "node-1", port: 7000)

    @Test("delivers bytes whole, once and in order")
    func deliversInOrder() throws {
        let world = VirtualWorld(seed: 1)
        let received = try world.run { seams in
            let listener = try await seams.network.listen(address)
            seams.scheduler.spawn("sender") {
                do {
                    let connection = try await seams.network.connect(address)
                    let buffer = IOBuffer(count: 1)
                    for number in 0..<200 as Range<UInt8> {
                        buffer.bytes[0] = number
                        try await connection.send(buffer, 0..<1)
                    }
                    connection.close()
                } catch { Issue.record(error) }
            }
            return try await drain(listener.accept())
        }
        #expect(received == [UInt8](0..<200))
    }

    @Test("makes a sender wait whose peer does not read")
    func holdsBackSenders() throws {
        let world = VirtualWorld(seed: 1)
        world.network.options.windowBytes = 1000
        let count = 10_000
        let received = try world.run { seams in
            let listener = try await seams.network.listen(address)
            var sent = false
            seams.scheduler.spawn("sender") {
                do {
                    let connection = try await seams.network.connect(address)
                    try await connection.send(IOBuffer(count: count), 0..<count)
                    sent = true
                    connection.close()
                } catch { Issue.record(error) }
            }
            let connection = try await listener.accept()
            await seams.clock.sleep(nanoseconds: 1_000_000_000)
            #expect(!sent)
            return try await drain(connection)
        }
        #expect(received.count == count)
    }

    @Test("refuses a connection to where nobody listens")
    func refuses() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let error = await #expect(throws: IOError.self) { _ = try await seams.network.connect(address) }
            #expect(error?.reason == .refused)
        }
    }

    @Test("tells one who is no task what was received, and never from inside the call")
    func tellsReceivers() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let listener = try await seams.network.listen(address)
            let client = try await seams.network.connect(address)
            let server = try await listener.accept()
            let buffer = IOBuffer(count: 8)
            let hearer = Hearer()
            try await client.send(buffer, 0..<5)
            await seams.clock.sleep(nanoseconds: 1_000_000)
            server.receive(into: buffer, 0..<8, for: hearer)
            #expect(hearer.result == nil)
            await seams.clock.sleep(nanoseconds: 1_000)
            #expect(hearer.result == .success(5))
            server.receive(into: buffer, 0..<8, for: hearer)
            server.close()
            await seams.clock.sleep(nanoseconds: 1_000)
            #expect(hearer.result.map { (try? $0.get()) == nil } == true)
            client.close()
            listener.close()
        }
    }

    @Test("gives a free port for port 0 and refuses one that is taken")
    func handsOutPorts() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let listener = try await seams.network.listen(SocketAddress(host: "node-1", port: 0))
            #expect(listener.address.port != 0)
            let error = await #expect(throws: IOError.self) { _ = try await seams.network.listen(listener.address) }
            #expect(error?.reason == .exists)
            listener.close()
            _ = try await seams.network.listen(listener.address)
        }
    }

    @Test("ends what is under way when this side closes")
    func closesUnderWay() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let listener = try await seams.network.listen(address)
            let client = try await seams.network.connect(address)
            let server = try await listener.accept()
            var outcomes: [String] = []
            seams.scheduler.spawn("receiver") {
                do { _ = try await client.receive(into: IOBuffer(count: 1), 0..<1) } catch {
                    outcomes.append("\(error)")
                }
            }
            seams.scheduler.spawn("acceptor") {
                do { _ = try await listener.accept() } catch { outcomes.append("\(error)") }
            }
            await seams.clock.sleep(nanoseconds: 1_000)
            client.close()
            listener.close()
            #expect(try await server.receive(into: IOBuffer(count: 1), 0..<1) == 0)
            #expect(outcomes.count == 2)
        }
    }
}

/// Hears of one receive without being a task.
private final class Hearer: ConnectionReceiver {
    var result: Result<Int, IOError>?

    func received(_ result: Result<Int, IOError>) { self.result = result }
}

/// Everything that arrives until the other side finishes.
private func drain(_ connection: any Connection) async throws -> [UInt8] {
    let buffer = IOBuffer(count: 4096)
    var bytes: [UInt8] = []
    while true {
        let count = try await connection.receive(into: buffer, 0..<buffer.count)
        if count == 0 { return bytes }
        bytes.append(contentsOf: buffer[0..<count])
    }
}
