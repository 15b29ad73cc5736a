import CordwoodBase
import CordwoodEvents
import CordwoodMachine
import Testing

/// The bytes of format 1, written down by hand: they are in logs, so they stay.
@Suite("Byte forms")
struct FormatTests {
    private let key = PartitionKey(UUID(high: 0x0011_2233_4455_6677, low: 0x8899_AABB_CCDD_EEFF))
    private let id = EventID(UUID(high: 0x0190_0000_0001_0007, low: 0x8000_0000_0000_0001))

    private func encode(_ events: [(stream: String, expected: ExpectedVersion, timestamp: Int64?)]) -> [UInt8] {
        let bytes = Array("abname".utf8) + [9, 8, 7]
        return bytes.withUnsafeBytes { all in
            func part(_ range: Range<Int>) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: all[range]) }
            let drafts = events.map {
                EventDraft(
                    streamID: $0.stream == "a" ? part(0..<1) : part(0..<2), name: part(2..<6), id: id,
                    idIsSupplied: $0.timestamp != nil, expectedVersion: $0.expected,
                    timestampMilliseconds: $0.timestamp, metadata: part(6..<7), payload: part(7..<9))
            }
            return AppendCommand.encode(key: key, events: drafts)
        }
    }

    private let header: [UInt8] = [
        0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00, 0xFF, 0xEE, 0xDD, 0xCC, 0xBB, 0xAA, 0x99, 0x88,
    ]
    private let idBytes: [UInt8] = [7, 0, 1, 0, 0, 0, 0x90, 0x01, 1, 0, 0, 0, 0, 0, 0, 0x80]

    @Test("an append of one event")
    func single() {
        let expected: [UInt8] =
            [1, 0, 1, 0] + header
            + [0, 2, 4, 0, 1, 0, 0, 0, 2, 0, 0, 0] + idBytes
            + Array("abname".utf8) + [9, 8, 7]
        #expect(encode([("ab", .any, nil)]) == expected)
    }

    @Test("an append of several events, with every optional field")
    func several() {
        let first: [UInt8] =
            [0b1101, 1, 4, 0, 1, 0, 0, 0, 2, 0, 0, 0] + idBytes + [5, 0, 0, 0, 0, 0, 0, 0]
            + [0x10, 0x27, 0, 0, 0, 0, 0, 0] + Array("aname".utf8) + [9, 8, 7]
        let second: [UInt8] = [0b10, 2, 4, 0, 1, 0, 0, 0, 2, 0, 0, 0] + idBytes + Array("abname".utf8) + [9, 8, 7]
        let third: [UInt8] = [0b11, 2, 4, 0, 1, 0, 0, 0, 2, 0, 0, 0] + idBytes + Array("abname".utf8) + [9, 8, 7]
        #expect(
            encode([("a", .exactly(5), 10_000), ("ab", .empty, nil), ("ab", .exists, nil)])
                == [1, 0, 3, 0] + header + first + second + third)
    }

    @Test("a tool's line about a command names its events, and nothing else is taken for one")
    func summaries() {
        encode([("ab", .any, nil), ("a", .empty, nil)]).withUnsafeBytes {
            #expect(
                AppendCommand.summary(of: $0)
                    == "ab name \(id) 2+1 bytes; a name \(id) 2+1 bytes")
        }
        [UInt8]([1, 0, 1, 0, 3]).withUnsafeBytes { #expect(AppendCommand.summary(of: $0) == nil) }
    }

    @Test("the answers")
    func answers() {
        let bench = Workbench()
        bench.clock = 41_999_000
        let event = TestEvent(1, supplied: true)
        let stored = bench.apply(TestEvent.encode([event])).answer
        var expected: [UInt8] = [1]
        for word in [event.id.uuid.high, event.id.uuid.low, 0, 0, 42_000] { expected.append(littleEndian: word) }
        #expect(stored == expected)
        #expect(bench.apply(TestEvent.encode([event])).answer == [2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0])
        let refused = bench.apply(TestEvent.encode([TestEvent(2, expected: .empty)])).answer
        #expect(refused == [3, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
    }
}
