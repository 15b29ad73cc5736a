import CordwoodBase
import CordwoodEvents
import CordwoodIO
import CordwoodNode
import CordwoodOptions
import CordwoodRESP
import CordwoodServer
import CordwoodVirtual

/// A node with its client port in a virtual world.
final class ServedNode {
    let seams: Seams
    let node: Node
    let server: Server

    private init(seams: Seams, node: Node, server: Server) {
        self.seams = seams
        self.node = node
        self.server = server
    }

    /// Opens a node with these flags beside `--data`, and listens on a port of the world's choice.
    ///
    /// - Parameter hasPlace: the flags say where the data is and where to listen.
    static func open(_ seams: Seams, _ flags: [String] = [], hasPlace: Bool = false) async throws -> ServedNode {
        let options = try nodeOptions(flags, hasPlace: hasPlace)
        let node = try await Node.open(
            NodeConfiguration(options: options), machine: EventStore.machine, seams: seams)
        let facts = ProcessFacts(
            version: "1.2.3", processID: 42, executable: "cordwood-node", configurationFile: "",
            operatingSystem: "Virtual", ioBackend: "virtual", runID: "0123456789abcdef",
            memoryUse: { .init(residentBytes: 1 << 20, peakResidentBytes: 2 << 20) },
            processorUse: { .init(userMicroseconds: 1_500_000, systemMicroseconds: 250_000) })
        let server = Server(node: node, seams: seams, options: options, process: facts, log: SilentLog())
        try await server.open()
        return ServedNode(seams: seams, node: node, server: server)
    }

    func connect() async throws -> TestClient {
        guard let address = server.address else { throw TestFailure("the server does not listen") }
        return TestClient(try await seams.network.connect(address), seams)
    }

    func close() async {
        await server.close()
        try? await node.close()
    }
}

struct TestFailure: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}

/// The options that a node would run with, on a port of its choice unless the flags say where it has its place.
func nodeOptions(_ flags: [String], hasPlace: Bool = false) throws -> OptionValues {
    let table = NodeOption.table(version: "1.2.3")
    let place = hasPlace ? [] : ["--data", "node", "--listen", "127.0.0.1:0"]
    let invocation = try table.invocation(arguments: place + flags)
    guard case .run(_, _, let options) = invocation else { throw TestFailure("not a run: \(invocation)") }
    return options
}

/// Runs `body` against a served node in a world of its own.
func withServedNode<Value>(
    _ flags: [String] = [], seed: UInt64 = 1, _ body: @escaping (ServedNode) async throws -> Value
) throws -> Value {
    let world = VirtualWorld(seed: seed)
    return try world.run { seams in
        let served = try await ServedNode.open(seams, flags)
        let value = try await body(served)
        await served.close()
        return value
    }
}

/// A client that speaks bytes.
final class TestClient {
    private let socket: any Connection
    private let seams: Seams
    private let buffer = IOBuffer(count: 64 << 10)
    private var received: [UInt8] = []

    init(_ socket: any Connection, _ seams: Seams) {
        self.socket = socket
        self.seams = seams
    }

    func send(_ bytes: [UInt8]) async throws {
        var start = 0
        while start < bytes.count {
            let count = min(buffer.count, bytes.count - start)
            let outgoing = IOBuffer(count: count)
            outgoing.bytes.copyBytes(from: bytes[start..<start + count])
            try await socket.send(outgoing, 0..<count)
            start += count
        }
    }

    func send(_ text: String) async throws { try await send(Array(text.utf8)) }

    /// Sends a command as an array of bulk strings.
    func send(command words: [String]) async throws { try await send(encoded(words)) }

    /// The next reply. Throws when the connection ends before it is whole.
    func reply() async throws -> RESPValue {
        while true {
            if let (value, end) = try ReplyDecoder.decode(received) {
                received.removeFirst(end)
                return value
            }
            guard try await receive() else { throw TestFailure("closed in front of a reply: \(text)") }
        }
    }

    /// The reply to one command.
    func ask(_ words: String...) async throws -> RESPValue {
        try await send(command: words)
        return try await reply()
    }

    /// Exactly `count` bytes as text.
    func bytes(_ count: Int) async throws -> String {
        while received.count < count {
            guard try await receive() else { break }
        }
        defer { received.removeFirst(min(count, received.count)) }
        return String(decoding: received.prefix(count), as: UTF8.self)
    }

    /// Everything until the other side closes.
    func rest() async throws -> String {
        while try await receive() {}
        defer { received = [] }
        return text
    }

    func close() { socket.close() }

    private var text: String { String(decoding: received, as: UTF8.self) }

    /// False when nothing more will come.
    private func receive() async throws -> Bool {
        do {
            let count = try await socket.receive(into: buffer, 0..<buffer.count)
            received += buffer[0..<count]
            return count > 0
        } catch {
            return false
        }
    }
}

/// A command as an array of bulk strings.
func encoded(_ words: [String]) -> [UInt8] {
    var bytes = Array("*\(words.count)\r\n".utf8)
    for word in words { bytes += Array("$\(word.utf8.count)\r\n\(word)\r\n".utf8) }
    return bytes
}

/// An event id that may stand for an event of stream `s1`, or `s2` under the key of `s1`.
func eventID(_ number: Int) -> String {
    let digits = String(number, radix: 16)
    return "00000000-0000-0007-b6eb-" + String(repeating: "0", count: 12 - digits.count) + digits
}

/// The default partition key of stream `s1`, and its partition among 32.
let keyOfS1 = "7c529de9-ad5a-5e7e-b6eb-202b61a5f7c5"
