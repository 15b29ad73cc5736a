import CordwoodRESP
import Testing

@Suite("Requests") struct RequestDecoderTests {
    @Test func anArrayOfBulkStringsIsARequest() {
        #expect(decode("*2\r\n$4\r\nECHO\r\n$3\r\na b\r\n") == [.request(["ECHO", "a b"])])
    }

    @Test func pipelinedRequestsComeInOrder() {
        let input = "*1\r\n$4\r\nPING\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n"
        #expect(decode(input) == [.request(["PING"]), .request(["PING"]), .request(["ECHO", ""])])
    }

    @Test func argumentsAreBinarySafe() {
        var input = Array("*1\r\n$4\r\n".utf8)
        input += [0, 13, 10, 255] + Array("\r\n".utf8)
        var decoder = RequestDecoder(limits: .standard)
        input.withUnsafeMutableBytes { buffer in
            #expect(decoder.decode(buffer) == .request(byteCount: 14))
            #expect(
                Array(Request(bytes: UnsafeRawBufferPointer(buffer), ranges: decoder.arguments)[0]) == [0, 13, 10, 255])
        }
    }

    @Test func elementsOfRESP3AreReadAsText() {
        let input =
            "*7\r\n+EAPPEND\r\n=9\r\ntxt:hello\r\n:42\r\n:-1\r\n(123456789012345678901234567890\r\n,1.5\r\n$1\r\nx\r\n"
        #expect(
            decode(input) == [
                .request(["EAPPEND", "hello", "42", "-1", "123456789012345678901234567890", "1.5", "x"])
            ])
    }

    @Test func anEmptyArrayIsNoRequestAndNoError() {
        #expect(decode("*0\r\n*1\r\n$4\r\nPING\r\n") == [.emptyArray, .request(["PING"])])
    }

    @Test(arguments: [
        "$4\r\nPING\r\n", "+PING\r\n", ":1\r\n", "%1\r\n", "~1\r\n", ">1\r\n", "_\r\n", "#t\r\n", "-ERR x\r\n",
    ])
    func anyOtherFrameIsRefused(input: String) {
        #expect(decode(input) == [.failed(.expectedArray)])
        #expect(ProtocolError(.expectedArray).description == "Protocol error: expected array command")
    }

    @Test func nestedAndUntextualElementsAreRefused() {
        #expect(decode("*1\r\n*1\r\n$1\r\na\r\n") == [.failed(.nestedArray)])
        #expect(decode("*1\r\n%1\r\n") == [.failed(.nestedArray)])
        #expect(decode("*1\r\n_\r\n") == [.failed(.expectedText(found: UInt8(ascii: "_")))])
        #expect(decode("*1\r\nx4\r\n") == [.failed(.expectedText(found: UInt8(ascii: "x")))])
    }

    @Test(arguments: ["*-1\r\n", "*x\r\n", "*\r\n", "*1a\r\n", "*99999999999999999999999\r\n", "*1\rx"])
    func aMalformedCountIsRefused(input: String) {
        #expect(decode(input) == [.failed(.invalidArgumentCount)])
    }

    @Test(arguments: ["$-1\r\n", "$\r\n", "$x\r\n", "$18446744073709551616\r\n", "$1 \r\n", "=3\r\ntxt\r\n"])
    func aMalformedLengthIsRefused(element: String) {
        #expect(decode("*1\r\n" + element) == [.failed(.invalidLength)])
    }

    @Test func aStringThatDoesNotEndWhereItSaidIsRefused() {
        #expect(decode("*1\r\n$2\r\nabc\r\n") == [.failed(.missingLineEnd)])
    }

    @Test func theRestAfterAnErrorIsNotInterpreted() {
        #expect(decode("+x\r\n*1\r\n$4\r\nPING\r\n") == [.failed(.expectedArray)])
    }
}

@Suite("Inline requests") struct InlineRequestTests {
    @Test func aLineOfWordsIsARequest() {
        #expect(decode("PING\r\n") == [.request(["PING"])])
        #expect(decode("  set  a\tb \n") == [.request(["set", "a", "b"])])
    }

    @Test func aBlankLineIsIgnored() {
        #expect(decode("\r\n\n   \r\nPING\r\n") == [.request(["PING"])])
    }

    @Test func quotesAreResolved() {
        #expect(decode("ECHO \"a b\"\r\n") == [.request(["ECHO", "a b"])])
        #expect(decode(#"ECHO "\x41\n\"\\" 'it\'s \n' ""\#r\#n"#) == [.request(["ECHO", "A\n\"\\", "it's \\n", ""])])
        #expect(decode(#"ECHO ab"cd"\#r\#n"#) == [.request(["ECHO", "abcd"])])
    }

    @Test(arguments: [#"ECHO "a"#, #"ECHO 'a"#, #"ECHO "a"b"#, #"ECHO "a\"#])
    func unbalancedQuotesAreRefused(line: String) {
        #expect(decode(line + "\r\n") == [.failed(.unbalancedQuotes)])
    }

    @Test func aLineLongerThanTheLimitIsRefusedBeforeItEnds() {
        let limits = RequestLimits(maxFrameBytes: 1024, maxInlineBytes: 64, maxArguments: 10)
        #expect(decode(String(repeating: "x", count: 64) + "\r\n", limits: limits).count == 1)
        #expect(decode(String(repeating: "x", count: 65), limits: limits) == [.failed(.lineTooLong)])
    }
}

@Suite("Request limits") struct RequestLimitTests {
    @Test func anAnnouncedLengthBeyondTheFrameIsRefusedAtOnce() {
        let limits = RequestLimits(maxFrameBytes: 128, maxInlineBytes: 64, maxArguments: 10)
        #expect(decode("*1\r\n$129\r\n", limits: limits) == [.failed(.frameTooLarge)])
        #expect(
            decode("*2\r\n$100\r\n" + String(repeating: "a", count: 100) + "\r\n$60\r\n", limits: limits)
                == [.failed(.frameTooLarge)])
        #expect(decode("*11\r\n", limits: limits) == [.failed(.tooManyArguments)])
    }

    @Test func aStrangerIsToldThatHeIsOne() {
        var decoder = RequestDecoder(limits: .unauthenticated)
        var input = Array("*11\r\n".utf8)
        let step = input.withUnsafeMutableBytes { decoder.decode($0) }
        guard case .failed(let error) = step else { return #expect(Bool(false), "\(step)") }
        #expect(error.description == "Protocol error: unauthenticated multibulk length")
    }

    @Test(arguments: ["0", "-1", "2147483647", "4294967295", "9223372036854775808", "18446744073709551615"])
    func hugeLengthsEndInAnErrorOrAnEmptyRequest(length: String) {
        for input in ["*\(length)\r\n", "*1\r\n$\(length)\r\n", "*1\r\n=\(length)\r\n"] {
            let found = decode(input)
            #expect(found.count <= 1)
            for case .request(let arguments) in found { #expect(arguments == [""]) }
        }
    }
}

@Suite("Requests in pieces") struct SplitRequestTests {
    static let stream = Array(
        ("*3\r\n$4\r\nECHO\r\n$5\r\nhe\r\no\r\n$0\r\n\r\nPING \"a b\"\r\n\r\n*2\r\n+PING\r\n:12\r\n*0\r\n"
            + "*2\r\n$7\r\nEAPPEND\r\n=8\r\ntxt:data\r\n").utf8)
    static let expected: [Decoded] = [
        .request(["ECHO", "he\r\no", ""]), .request(["PING", "a b"]), .request(["PING", "12"]), .emptyArray,
        .request(["EAPPEND", "data"]),
    ]

    @Test func aSplitAtAnyByteChangesNothing() {
        for cut in 0...SplitRequestTests.stream.count {
            let (found, left) = decode(SplitRequestTests.stream, cuts: [cut])
            #expect(found == SplitRequestTests.expected, "cut at \(cut)")
            #expect(left == 0)
        }
    }

    @Test func bytesOneAtATimeChangeNothing() {
        let cuts = Array(1..<SplitRequestTests.stream.count)
        #expect(decode(SplitRequestTests.stream, cuts: cuts).found == SplitRequestTests.expected)
    }

    @Test func aTruncatedStreamGivesAPrefixAndNoError() {
        for end in 0..<SplitRequestTests.stream.count {
            let (found, _) = decode(Array(SplitRequestTests.stream[..<end]))
            #expect(found == Array(SplitRequestTests.expected.prefix(found.count)), "cut off at \(end)")
        }
    }

    @Test func theBytesNeededAreKnownOnceALengthIs() {
        var decoder = RequestDecoder(limits: .standard)
        var input = Array("*1\r\n$1000\r\nabc".utf8)
        #expect(input.withUnsafeMutableBytes { decoder.decode($0) } == .incomplete(neededBytes: 1013))
    }
}

@Suite("Requests of random bytes") struct RandomRequestTests {
    @Test func noBytesTrapTheDecoder() {
        let seed: UInt64 = 0x5EED_0001
        var random = SeededGenerator(seed: seed)
        let alphabet = Array("*$+:(,=%~>_#-0123456789\r\n\r\n\r\nPX \"'\\x".utf8)
        let limits = RequestLimits(maxFrameBytes: 4096, maxInlineBytes: 256, maxArguments: 16)
        for round in 0..<20_000 {
            let input = (0..<Int.random(in: 1...48, using: &random)).map { _ in alphabet.randomElement(using: &random)!
            }
            let whole = decode(input, limits: limits)
            let cut = Int.random(in: 0...input.count, using: &random)
            let split = decode(input, cuts: [cut], limits: limits)
            #expect(whole.found == split.found, "seed \(seed) round \(round) cut \(cut): \(input)")
        }
    }

    @Test func everySingleByteChangedIsARequestOrAnError() {
        let stream = SplitRequestTests.stream
        for position in stream.indices {
            for byte in stride(from: 0, through: 255, by: 5) {
                var changed = stream
                changed[position] = UInt8(byte)
                _ = decode(changed)
            }
        }
    }
}
