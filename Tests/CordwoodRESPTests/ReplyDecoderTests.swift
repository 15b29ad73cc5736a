import CordwoodRESP
import Testing

@Suite("Replies, decoded") struct ReplyDecoderTests {
    /// A reply that holds every kind of value.
    private static func sample(_ version: ProtocolVersion) -> [UInt8] {
        var buffer = ReplyBuffer(version: version)
        buffer.map(6)
        buffer.simple("event_id")
        buffer.uuid(high: 1, low: 2)
        buffer.simple("n")
        buffer.integer(-5)
        buffer.simple("list")
        buffer.array(4)
        buffer.null()
        buffer.boolean(true)
        buffer.bulk("payload")
        buffer.double(0.25)
        buffer.simple("members")
        buffer.set(1)
        buffer.bigNumber("99999999999999999999")
        buffer.simple("text")
        buffer.verbatim("hello")
        buffer.simple("failed")
        buffer.error("ERR", "why")
        return Array(buffer.bytes)
    }

    @Test func theOlderRenderingIsTheNewerOneRendered() throws {
        let newer = try #require(try ReplyDecoder.decode(ReplyDecoderTests.sample(.resp3)))
        let older = try #require(try ReplyDecoder.decode(ReplyDecoderTests.sample(.resp2)))
        #expect(newer.value.renderedInRESP2 == older.value)
        #expect(newer.value["n"] == .integer(-5))
        #expect(older.value["n"] == .integer(-5))
    }

    @Test(arguments: ProtocolVersion.allCases)
    func aTruncatedReplyIsNotWhole(version: ProtocolVersion) throws {
        let sample = ReplyDecoderTests.sample(version)
        for end in 0..<sample.count {
            #expect(try ReplyDecoder.decode(Array(sample[..<end])) == nil, "cut off at \(end)")
        }
        #expect(try ReplyDecoder.decode(sample)?.end == sample.count)
    }

    @Test func noBytesTrapTheDecoder() {
        var random = SeededGenerator(seed: 0x5EED_0002)
        let alphabet = Array("*$+:(,=%~>_#-0123456789\r\n\r\n\r\nabc".utf8)
        for _ in 0..<20_000 {
            let input = (0..<Int.random(in: 1...40, using: &random)).map { _ in alphabet.randomElement(using: &random)!
            }
            _ = try? ReplyDecoder.decode(input)
        }
        let deep = Array(String(repeating: "*1\r\n", count: 1000).utf8)
        #expect(throws: ReplyDecoder.Failure.tooDeep) { _ = try ReplyDecoder.decode(deep) }
    }
}
