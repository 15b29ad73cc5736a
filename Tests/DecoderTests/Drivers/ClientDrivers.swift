import CordwoodBase
import CordwoodEvents
import CordwoodMachine
import CordwoodRESP

@testable import CordwoodServer

// What clients send, and what a client of ours reads.

extension DecoderDriver {
    static let clientDrivers = [request, reply, command, confirmToken]

    // MARK: Requests

    private static let request = DecoderDriver(
        "resp-request",
        samples: {
            let texts =
                [
                    "PING\r\n", "SET \"a b\\x41\\n\" 'c\\'d'\n", "*1\r\n$4\r\nPING\r\n", "*0\r\n", "\r\n",
                    "*3\r\n$6\r\nEAPPEND\r\n", "*2\r\n+OK\r\n:5\r\n", "*2\r\n=7\r\ntxt:abc\r\n(123\r\n",
                    "*3\r\n$3\r\nGET\r\n$1\r\na\r\n,1.5\r\n*1\r\n$4\r\nPING\r\n",
                ]
                + nastyNumbers.flatMap { ["*\($0)\r\n$4\r\nPING\r\n", "*1\r\n$\($0)\r\nab\r\n", "*-\($0)\r\n"] }
            return texts.flatMap { text in [Array(text.utf8).form(0), Array(text.utf8).form(1)] }
        },
        forms: [
            { readRequests([UInt8]($0), .standard) }, { readRequests([UInt8]($0), .unauthenticated) },
        ])

    /// What a decoder found, argument texts included.
    private struct Found: Equatable {
        var step: RequestDecoder.Step
        var arguments: [[UInt8]]
    }

    /// Reads all requests at once, and again as if they trickled in.
    private static func readRequests(_ bytes: [UInt8], _ limits: RequestLimits) {
        let whole = requests(in: bytes, limits) { rest, _ in rest.count }
        for pieceBytes in [1, 3] where bytes.count <= 512 {
            let trickled = requests(in: bytes, limits) { min($0.count, ($1 / pieceBytes + 1) * pieceBytes) }
            demand(trickled == whole, "in pieces of \(pieceBytes): \(trickled), at once: \(whole)")
        }
    }

    /// `visible` says how many of the rest of the bytes have arrived, given how many the decoder has seen.
    private static func requests(
        in bytes: [UInt8], _ limits: RequestLimits, _ visible: (ArraySlice<UInt8>, Int) -> Int
    ) -> [Found] {
        var bytes = bytes
        var decoder = RequestDecoder(limits: limits)
        var found: [Found] = []
        var start = 0
        var seen = 0
        while true {
            let end = start + visible(bytes[start...], seen)
            let step = bytes.withUnsafeMutableBytes {
                decoder.decode(UnsafeMutableRawBufferPointer(rebasing: $0[start..<end]))
            }
            seen = end - start
            switch step {
            case .request(let count), .emptyArray(let count), .blank(let count):
                demand(count > 0 && count <= seen, "a request of \(count) bytes in \(seen)")
                var arguments: [[UInt8]] = []
                if case .request = step {
                    arguments = bytes[start..<start + count].withUnsafeBytes { raw in
                        let request = Request(bytes: raw, ranges: decoder.arguments)
                        return (0..<request.count).map { [UInt8](request[$0]) }
                    }
                }
                found.append(Found(step: step, arguments: arguments))
                start += count
                seen = 0
            case .incomplete(let needed):
                demand(needed > seen, "\(needed) bytes needed, \(seen) there")
                if end == bytes.count { return found }
            case .failed:
                found.append(Found(step: step, arguments: []))
                return found
            }
        }
    }

    // MARK: Replies

    private static let reply = DecoderDriver(
        "resp-reply",
        samples: {
            let texts =
                [
                    "+OK\r\n", "-ERR no\r\n", ":-5\r\n", "$3\r\nabc\r\n", "$-1\r\n", "_\r\n", "#t\r\n", ",1.5\r\n",
                    "(99999999999999999999\r\n", "=7\r\ntxt:abc\r\n", "*2\r\n:1\r\n*1\r\n$1\r\na\r\n",
                    "%1\r\n+a\r\n:1\r\n", "~1\r\n:1\r\n", ">2\r\n+message\r\n$1\r\nx\r\n",
                    String(repeating: "*1\r\n", count: 40) + ":1\r\n",
                ] + nastyNumbers.flatMap { ["*\($0)\r\n", "$\($0)\r\n", "%\($0)\r\n+a\r\n", ":\($0)\r\n"] }
            return texts.map { Array($0.utf8).form(0) }
        },
        forms: [
            { bytes in
                let bytes = [UInt8](bytes)
                var start = 0
                while let (value, end) = (try? ReplyDecoder.decode(bytes, from: start)) ?? nil {
                    demand(end > start && end <= bytes.count, "\(value) from \(start) to \(end) of \(bytes.count)")
                    demand(
                        (try? ReplyDecoder.decode([UInt8](bytes[start..<end - 1]))) ?? nil == nil,
                        "\(value) without its last byte")
                    start = end
                }
            }
        ])

    // MARK: Commands

    private static let command = DecoderDriver(
        "client-command",
        samples: {
            let id = "018bcfe5-6800-7001-8000-000000000001"
            return [
                "orders|placed|PAYLOAD|abc|METADATA|x|EXPECTED_VERSION|5|TIMESTAMP|1700000000000|ACK|DURABLE",
                "orders|placed|EVENT_ID|\(id)|PARTITION_KEY|\(id)|EXPECTED_VERSION|EMPTY", "o|p|EXPECTED_VERSION|ANY",
                "a*[b-d]?\\x|limits.max-frame", "[^a-|abc",
            ].flatMap { text in (0..<2).map { Array(text.utf8).form($0) } }
                + nastyNumbers.map { Array("o|p|EXPECTED_VERSION|\($0)|TIMESTAMP|\($0)".utf8).form(0) }
        },
        forms: [
            { bytes in
                withRequest(bytes) { request in
                    guard request.count >= 2 else { return }
                    var cursor = ArgumentCursor(request, from: 2)
                    do throws(CommandError) {
                        var event = try AppendArguments(streamID: request[0], name: request[1])
                        while try event.takeOption(&cursor, isAlone: true, maxBytes: 1 << 20) {}
                        let key = event.partitionKey ?? PartitionKey(defaultFor: event.streamID)
                        let draft = try event.draft(under: key, strictVersioning: false) {
                            EventID(milliseconds: 1_700_000_000_000, partitionHash: $0.hash, random: 1)
                        }
                        // What a client may ask for is a command that the machine takes.
                        let command = AppendCommand.encode(key: key, event: draft)
                        let outcome = EventSamples.apply(command, to: EventSamples.store())
                        let answer = try? AppendAnswer(decoding: outcome.answer)
                        demand(answer != .refused(.malformed), "\(draft) became a command that is malformed")
                    } catch { demand(!error.message.isEmpty, "a refusal without words") }
                }
            },
            { bytes in
                withRequest(bytes) { request in
                    guard request.count >= 2 else { return }
                    let pattern = GlobPattern(request[0])
                    for number in 1..<request.count { _ = pattern.matches(request[number].text) }
                }
            },
        ])

    /// The bytes as the arguments of a request, split at bars.
    private static func withRequest(_ bytes: ArraySlice<UInt8>, _ body: (Request) -> Void) {
        var ranges: [ArgumentRange] = []
        var start = 0
        let bytes = [UInt8](bytes)
        for word in bytes.split(separator: UInt8(ascii: "|"), omittingEmptySubsequences: false) {
            ranges.append(ArgumentRange(offset: start, count: word.count))
            start += word.count + 1
        }
        bytes.withUnsafeBytes { body(Request(bytes: $0, ranges: ranges)) }
    }

    // MARK: Confirm tokens

    /// Grants and redemptions in any order, beside a model: a token works once, for its words, its state and its time.
    private static let confirmToken = DecoderDriver(
        "confirm-token",
        samples: {
            [[0, 1, 2, 3, 1, 1, 2, 3].form(0), [0, 1, 2, 3, 2, 255, 0, 0, 1, 1, 2, 3].form(0)]
                + [(0..<70).flatMap { [0, $0, 1, 1] }.form(0)]
        },
        forms: [
            { bytes in
                var bytes = bytes
                var tokens = ConfirmTokens()
                var model: [(token: String, word: UInt8, state: UInt8, expiry: UInt64)] = []
                var now: UInt64 = 0
                while bytes.count >= 4 {
                    let fields = bytes.takeFirst(4)
                    let token = "t\(fields[1])"
                    let words = [Array("REMOVE".utf8), [fields[2] % 4]]
                    model.removeAll { $0.expiry <= now }
                    switch fields[0] % 3 {
                    case 0:
                        tokens.grant(token, words: words, state: UInt64(fields[3] % 4), nowNanoseconds: now)
                        if model.count == 64 { model.removeFirst() }
                        model.append((token, fields[2] % 4, fields[3] % 4, now + 60_000_000_000))
                    case 1:
                        let place = model.firstIndex { $0.token == token && $0.word == fields[2] % 4 }
                        let granted = place.map { model.remove(at: $0) }
                        var isRedeemed = false
                        do throws(CommandError) {
                            try tokens.redeem(
                                token, words: words, state: UInt64(fields[3] % 4), nowNanoseconds: now)
                            isRedeemed = true
                        } catch { demand(!error.message.isEmpty, "a refusal without words") }
                        demand(
                            isRedeemed == (granted?.state == fields[3] % 4),
                            "\(token) was \(isRedeemed ? "" : "not ")redeemed, granted: \(String(describing: granted))")
                    default: now += UInt64(fields[1]) * 1_000_000_000
                    }
                }
            }
        ])
}
