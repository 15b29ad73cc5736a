import CordwoodIO
import Glibc
import Testing

@testable import CordwoodPlatform

/// What a kernel may answer and hardly ever does.
@Suite("Interruptions")
struct InterruptionTests {
    private static func platform(
        _ backend: Platform.Choice,
        _ makeRule: @escaping @Sendable () -> (CordwoodPlatform.Operation) -> InterceptingBackend.Answer
    ) throws -> Platform {
        try Platform.start(
            io: backend, faults: Platform.Faults(intercept: { InterceptingBackend($0, rule: makeRule()) }))
    }

    /// Every piece durable by itself, or a sync behind the last one: which of the two is the platform's choice.
    @Test("A write that is cut short is completed block by block before it counts as durable", arguments: backends)
    func shortWrites(_ backend: Platform.Choice) async throws {
        let seen = Monitor<[(offset: UInt64, count: UInt32, durable: Bool)]>([])
        let writesBeforeSync = Monitor(0)
        let platform = try Self.platform(backend) {
            { operation in
                if case .sync = operation {
                    writesBeforeSync.change { $0 = seen.withLock { $0.count } }
                }
                guard case .write(let descriptor, let from, let count, let offset, let durable) = operation else {
                    return .pass(operation)
                }
                seen.change { $0.append((offset, count, durable)) }
                let cut = count > 4096 ? 4096 + 512 : count
                return .pass(.write(descriptor, from: from, count: cut, offset: offset, durable: durable))
            }
        }
        defer { platform.shutdown() }
        let shortWrites = try await platform.run { seams in
            let path = "/tmp/cordwood-short-\(seams.random.next())"
            let file = try await seams.files.open(path, FileMode(.mustCreate, writable: true, direct: true))
            let buffer = IOBuffer(count: 16384)
            for index in 0..<buffer.count { buffer.bytes[index] = UInt8(truncatingIfNeeded: index / 512) }
            try await file.write(buffer, 0..<buffer.count, at: 4096, durable: true)
            let back = IOBuffer(count: 16384, repeating: 0xFF)
            #expect(try await file.read(into: back, 0..<16384, at: 4096) == 16384)
            let isSame = back.bytes.elementsEqual(buffer.bytes)
            #expect(isSame)
            await file.close()
            try await seams.files.remove(path)
            return platform.counters.shortWrites
        }
        let writes = seen.wait { $0 }
        #expect(shortWrites == 3)
        #expect(writes.map(\.offset) == [4096, 8704, 13312, 17920])
        #expect(writes.allSatisfy { $0.durable } || writesBeforeSync.wait { $0 } == writes.count)
    }

    @Test("EINTR and EAGAIN are asked again", arguments: backends, [EINTR, EAGAIN])
    func retries(_ backend: Platform.Choice, _ errorNumber: Int32) async throws {
        let platform = try Self.platform(backend) {
            var turn = 0
            return { operation in
                turn += 1
                return turn % 3 == 0 ? .pass(operation) : .complete(-errorNumber)
            }
        }
        defer { platform.shutdown() }
        try await platform.run { seams in
            let path = "/tmp/cordwood-retry-\(seams.random.next())"
            let file = try await seams.files.open(path, FileMode(.mustCreate, writable: true))
            try await file.write(IOBuffer(text: "abc"), 0..<3, at: 0, durable: true)
            try await file.sync()
            let back = IOBuffer(count: 3)
            #expect(try await file.read(into: back, 0..<3, at: 0) == 3)
            #expect(back.text(0..<3) == "abc")
            await file.close()
            try await seams.files.remove(path)
            let listener = try await seams.network.listen(SocketAddress(host: "127.0.0.1", port: 0))
            let client = try await seams.network.connect(listener.address)
            let server = try await listener.accept()
            try await client.send(IOBuffer(text: "x"), 0..<1)
            #expect(try await server.receive(into: back, 0..<3) == 1)
            for connection in [client, server] { connection.close() }
            listener.close()
        }
    }

    @Test("A device error comes out as one, at once", arguments: backends)
    func deviceError(_ backend: Platform.Choice) async throws {
        let platform = try Self.platform(backend) {
            { operation in
                if case .sync = operation { return .complete(-EIO) }
                return .pass(operation)
            }
        }
        defer { platform.shutdown() }
        try await platform.run { seams in
            let path = "/tmp/cordwood-device-\(seams.random.next())"
            let file = try await seams.files.open(path, FileMode(.mustCreate, writable: true))
            #expect(await reason { try await file.sync() } == .device)
            await file.close()
            try await seams.files.remove(path)
        }
    }

    @Test("A file system without durable writes gets a write and a sync", arguments: backends)
    func withoutDurableWrites(_ backend: Platform.Choice) async throws {
        let steps = Monitor<[String]>([])
        let platform = try Self.platform(backend) {
            { operation in
                switch operation {
                case .write(_, _, _, _, durable: true): return .complete(-EOPNOTSUPP)
                case .write: steps.change { $0.append("write") }
                case .sync: steps.change { $0.append("sync") }
                default: break
                }
                return .pass(operation)
            }
        }
        defer { platform.shutdown() }
        try await platform.run { seams in
            let path = "/tmp/cordwood-plain-\(seams.random.next())"
            let file = try await seams.files.open(path, FileMode(.mustCreate, writable: true))
            try await file.write(IOBuffer(text: "abc"), 0..<3, at: 0, durable: true)
            await file.close()
            try await seams.files.remove(path)
        }
        #expect(steps.wait { $0 } == ["write", "sync"])
    }
}
