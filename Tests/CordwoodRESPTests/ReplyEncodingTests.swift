import CordwoodRESP
import Testing

/// The bytes that `body` writes in a version.
func encoded(_ version: ProtocolVersion, _ body: (inout ReplyBuffer) -> Void) -> String {
    var buffer = ReplyBuffer(version: version)
    body(&buffer)
    return buffer.bytes.text
}

@Suite("Replies, byte for byte") struct ReplyEncodingTests {
    @Test(arguments: ProtocolVersion.allCases)
    func whatBothVersionsWriteAlike(version: ProtocolVersion) {
        #expect(encoded(version) { $0.simple("OK") } == "+OK\r\n")
        #expect(encoded(version) { $0.integer(0) } == ":0\r\n")
        #expect(encoded(version) { $0.integer(Int64.min) } == ":-9223372036854775808\r\n")
        #expect(encoded(version) { $0.integer(UInt64.max) } == ":18446744073709551615\r\n")
        #expect(encoded(version) { $0.bulk("a\r\nb") } == "$4\r\na\r\nb\r\n")
        #expect(encoded(version) { $0.bulk("") } == "$0\r\n\r\n")
        #expect(encoded(version) { $0.array(2) } == "*2\r\n")
        #expect(encoded(version) { $0.error("ERR", "no such thing") } == "-ERR no such thing\r\n")
        #expect(
            encoded(version) { $0.uuid(high: 0x219b_d637_e279_53e9, low: 0x9e2b_eabe_5d91_20cc) }
                == "+219bd637-e279-53e9-9e2b-eabe5d9120cc\r\n")
    }

    @Test func whatOnlyTheNewerVersionHas() {
        #expect(encoded(.resp3) { $0.map(6) } == "%6\r\n")
        #expect(encoded(.resp3) { $0.set(2) } == "~2\r\n")
        #expect(encoded(.resp3) { $0.push(3) } == ">3\r\n")
        #expect(encoded(.resp3) { $0.null() } == "_\r\n")
        #expect(encoded(.resp3) { $0.boolean(true) } == "#t\r\n")
        #expect(encoded(.resp3) { $0.boolean(false) } == "#f\r\n")
        #expect(encoded(.resp3) { $0.double(1.5) } == ",1.5\r\n")
        #expect(encoded(.resp3) { $0.double(-.infinity) } == ",-inf\r\n")
        #expect(encoded(.resp3) { $0.bigNumber("12345678901234567890123") } == "(12345678901234567890123\r\n")
        #expect(encoded(.resp3) { $0.verbatim("a b") } == "=7\r\ntxt:a b\r\n")
    }

    @Test func howTheOlderVersionRendersIt() {
        #expect(encoded(.resp2) { $0.map(6) } == "*12\r\n")
        #expect(encoded(.resp2) { $0.set(2) } == "*2\r\n")
        #expect(encoded(.resp2) { $0.null() } == "$-1\r\n")
        #expect(encoded(.resp2) { $0.boolean(true) } == ":1\r\n")
        #expect(encoded(.resp2) { $0.boolean(false) } == ":0\r\n")
        #expect(encoded(.resp2) { $0.double(2) } == "$1\r\n2\r\n")
        #expect(encoded(.resp2) { $0.bigNumber("123") } == "$3\r\n123\r\n")
        #expect(encoded(.resp2) { $0.verbatim("a b") } == "$3\r\na b\r\n")
    }

    @Test func anErrorIsOneLineOfAtMost512Bytes() {
        #expect(encoded(.resp2) { $0.error("ERR", "a\r\nb\tc") } == "-ERR a  b c\r\n")
        let long = encoded(.resp2) { $0.error("INVALIDARG", String(repeating: "ü", count: 600)) }
        #expect(long.utf8.count <= 512 + 3 && long.utf8.count >= 510)
        #expect(long.hasSuffix("ü\r\n"))
    }

    @Test func everyNumberOfDigitsIsWritten() {
        var value: UInt64 = 1
        for _ in 0..<19 {
            #expect(encoded(.resp2) { $0.integer(value) } == ":\(value)\r\n")
            #expect(encoded(.resp2) { $0.integer(value - 1) } == ":\(value - 1)\r\n")
            value *= 10
        }
    }
}

@Suite("The reply buffer") struct ReplyBufferTests {
    @Test func bytesLeaveInTheOrderWritten() {
        var buffer = ReplyBuffer(capacity: 64)
        var expected: [UInt8] = []
        var received: [UInt8] = []
        var random = SeededGenerator(seed: 7)
        for number in 0..<2_000 {
            let before = buffer.count
            buffer.integer(number)
            expected += Array(":\(number)\r\n".utf8)
            #expect(buffer.count > before)
            let leaving = Int.random(in: 0...buffer.count, using: &random)
            received += Array(buffer.bytes.prefix(leaving))
            buffer.removeFirst(leaving)
        }
        received += Array(buffer.bytes)
        #expect(received == expected)
    }

    @Test func aLargeReplyIsTakenWhole() {
        var buffer = ReplyBuffer()
        buffer.bulk(String(repeating: "x", count: 1 << 20))
        #expect(buffer.count == (1 << 20) + 12)
        buffer.removeAll()
        #expect(buffer.count == 0)
    }
}
