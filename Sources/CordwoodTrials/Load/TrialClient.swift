import CordwoodIO
import CordwoodRESP

/// A client's connection to one node: one request at a time, each with a time limit.
final class TrialClient {
    /// Why there is no reply.
    enum Failure: Error, Hashable {
        /// The request never left.
        case notConnected(String)
        /// The connection ended, or the time was over, behind the request: nobody knows what became of it.
        case unanswered(String)
    }

    private let seams: Seams
    private let connection: any Connection
    private let buffer = IOBuffer(count: 256 << 10)
    private var isBroken = false

    private init(_ connection: any Connection, _ seams: Seams) {
        self.connection = connection
        self.seams = seams
    }

    deinit { connection.close() }

    static func connect(_ address: SocketAddress, _ seams: Seams) async throws(Failure) -> TrialClient {
        do {
            let connection = try await seams.network.connect(address, timeoutNanoseconds: 1_000_000_000)
            let client = TrialClient(connection, seams)
            _ = try await client.call("HELLO", "3")
            return client
        } catch { throw .notConnected("\(error)") }
    }

    func close() {
        isBroken = true
        connection.close()
    }

    func call(_ words: String..., seconds: Double = 5) async throws(Failure) -> RESPValue {
        try await call(words.map { Array($0.utf8) }, seconds: seconds)
    }

    /// Sends a request and waits for its reply. After a failure the connection is closed.
    func call(_ words: [[UInt8]], seconds: Double) async throws(Failure) -> RESPValue {
        if isBroken { throw .notConnected("closed") }
        var request = Array("*\(words.count)\r\n".utf8)
        for word in words { request += Array("$\(word.count)\r\n".utf8) + word + [0x0D, 0x0A] }
        let outgoing = IOBuffer(count: request.count)
        request.withUnsafeBytes { outgoing.bytes.copyMemory(from: $0) }
        var isLate = false
        let deadline = seams.clock.monotonicNanoseconds + UInt64(seconds * 1e9)
        let timer = seams.clock.schedule(atNanoseconds: deadline) { [connection] in
            isLate = true
            connection.close()
        }
        defer { seams.clock.cancel(timer) }
        do {
            try await connection.send(outgoing, 0..<outgoing.count)
            return try await reply()
        } catch {
            close()
            throw .unanswered(isLate ? "no reply within \(seconds) s" : "\(error)")
        }
    }

    private func reply() async throws -> RESPValue {
        var bytes: [UInt8] = []
        while true {
            let count = try await connection.receive(into: buffer, 0..<buffer.count)
            if count == 0 { throw IOError(.closed, operation: "receive", subject: "\(connection.peerAddress)") }
            bytes.append(contentsOf: buffer[0..<count])
            if let (value, end) = try ReplyDecoder.decode(bytes) {
                guard end == bytes.count else { throw ReplyDecoder.Failure.malformed(offset: end) }
                return value
            }
        }
    }
}

extension RESPValue {
    /// The code of an error reply, `nil` for anything else.
    var errorCode: String? {
        guard case .error(let text) = self else { return nil }
        return String(text.prefix { $0 != " " })
    }

    var number: UInt64? {
        guard case .integer(let value) = self, value >= 0 else { return nil }
        return UInt64(value)
    }

    var elements: [RESPValue]? {
        switch self {
        case .array(let elements), .set(let elements): elements
        default: nil
        }
    }
}
