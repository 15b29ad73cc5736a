import CordwoodBase
import CordwoodEvents
import CordwoodRESP
import CordwoodVirtual
import Testing

/// What a node with these events must answer: streams and partitions as plain arrays.
private struct EventModel {
    struct Event {
        var id: String
        var stream: String
        var version: Int
        var sequence: Int
        var payload: String
    }

    var events: [Event] = []

    func stream(_ name: String) -> [Event] { events.filter { $0.stream == name } }

    mutating func append(_ stream: String, id: String, payload: String) -> Event {
        let partition = EventModel.partition(of: stream)
        let event = Event(
            id: id, stream: stream, version: self.stream(stream).count,
            sequence: events.filter { EventModel.partition(of: $0.stream) == partition }.count, payload: payload)
        events.append(event)
        return event
    }

    static func partition(of stream: String) -> Int {
        Int(PartitionKey(defaultFor: stream).partition(of: 32).rawValue)
    }
}

/// Random requests, valid and not, against the model; the same requests in both versions of the protocol.
@Suite("Random requests") struct ModelTests {
    @Test(arguments: [UInt64(1), 2, 3, 4])
    func aNodeAnswersAsTheModelDoes(seed: UInt64) throws {
        print("seed \(seed)")
        try withServedNode(seed: seed) { served in
            var random = VirtualRandomNumbers(VirtualWorld(seed: seed).random("requests"))
            var model = EventModel()
            let older = try await served.connect()
            let newer = try await served.connect()
            _ = try await newer.ask("HELLO", "3")
            let streams = (0..<6).map { "stream-\($0)" }
            for _ in 0..<400 {
                let stream = streams.randomElement(using: &random) ?? ""
                let count = model.stream(stream).count
                switch Int.random(in: 0..<8, using: &random) {
                case 0...2:
                    let payload = String(random.next() % 1_000)
                    let reply = try await older.ask("EAPPEND", stream, "e", "PAYLOAD", payload)
                    let id = try #require(reply["event_id"]?.text)
                    let event = model.append(stream, id: id, payload: payload)
                    #expect(reply["stream_version"] == .integer(Int64(event.version)))
                    #expect(reply["partition_sequence"] == .integer(Int64(event.sequence)))
                case 3:
                    let expected = Int.random(in: 0...5, using: &random)
                    let reply = try await older.ask("EAPPEND", stream, "e", "EXPECTED_VERSION", "\(expected)")
                    if count > 0, expected == count - 1 {
                        _ = model.append(stream, id: reply["event_id"]?.text ?? "", payload: "")
                    } else {
                        let current = count == 0 ? "empty" : "\(count - 1)"
                        guard case .error(let text) = reply else { throw TestFailure("appended at \(expected)") }
                        #expect(
                            text.hasPrefix("WRONGVER current stream version is \(current) but expected \(expected) "))
                    }
                case 4:
                    let first = Int.random(in: 0...8, using: &random)
                    let last = first + Int.random(in: 0...8, using: &random)
                    let limit = Int.random(in: 1...5, using: &random)
                    let words = ["ESCAN", stream, "\(first)", "\(last)", "COUNT", "\(limit)"]
                    let reply = try await same(words, older, newer)
                    let within = model.stream(stream).filter { (first...last).contains($0.version) }
                    #expect(payloads(reply) == within.prefix(limit).map(\.payload))
                    #expect(reply["has_more"] == .integer(within.count > limit ? 1 : 0))
                case 5:
                    let reply = try await same(["ESVER", stream], older, newer)
                    #expect(reply == (count == 0 ? .null : .integer(Int64(count - 1))))
                case 6:
                    guard let event = model.events.randomElement(using: &random) else { continue }
                    let reply = try await same(["EGET", event.id], older, newer)
                    #expect(reply["payload"]?.text == event.payload && reply["stream_id"]?.text == event.stream)
                default:
                    let words = ["ESCAN", "ESVER", "EAPPEND", "-", "+", "COUNT", "0", stream, "EGET", "PAYLOAD", ""]
                    let request = (0..<Int.random(in: 1...5, using: &random)).map { _ in
                        words.randomElement(using: &random) ?? ""
                    }
                    guard request.first != "EAPPEND" else { continue }
                    _ = try await same(request, older, newer)
                }
            }
            #expect(try await older.ask("DBSIZE") == .integer(Int64(model.events.count)))
        }
    }

    @Test func whatWasAnsweredIsThereAfterThePowerFailed() throws {
        let world = VirtualWorld(seed: 11)
        var answered: [String: Int64] = [:]
        try world.run { seams in
            let served = try await ServedNode.open(seams)
            let client = try await served.connect()
            for number in 0..<60 {
                let stream = "stream-\(number % 7)"
                if case .integer(let version) = try await client.ask("EAPPEND", stream, "e")["stream_version"] {
                    answered[stream] = version
                }
            }
        }
        let restarted = VirtualWorld(seed: 12, disk: world.crash())
        let expected = answered
        try restarted.run { seams in
            let served = try await ServedNode.open(seams)
            let client = try await served.connect()
            #expect(expected.count == 7)
            for (stream, version) in expected {
                #expect(try await client.ask("ESVER", stream) == .integer(version), "\(stream)")
            }
            await served.close()
        }
    }

    /// The reply to the same request on connections of both versions, compared after rendering.
    private func same(_ words: [String], _ older: TestClient, _ newer: TestClient) async throws -> RESPValue {
        try await older.send(command: words)
        try await newer.send(command: words)
        let reply = try await older.reply()
        #expect(try await newer.reply().renderedInRESP2 == reply, "\(words)")
        return reply
    }

    private func payloads(_ reply: RESPValue) -> [String?] {
        guard case .array(let events) = reply["events"] else { return [nil] }
        return events.map { $0["payload"]?.text }
    }
}

/// The random numbers of a world, for the standard library's algorithms.
private struct VirtualRandomNumbers: RandomNumberGenerator {
    private let source: VirtualRandom

    init(_ source: VirtualRandom) { self.source = source }

    func next() -> UInt64 { source.next() }
}
