import CordwoodBase
import CordwoodLog
import LogTestSupport
import Testing

@Suite("Segment headers")
struct SegmentHeaderTests {
    @Test("a header reads back as written")
    func roundTrip() throws {
        #expect(try decode(encoded(FormatSamples.header)) == FormatSamples.header)
    }

    @Test("each single flipped bit is detected")
    func flips() {
        var bytes = encoded(FormatSamples.header)
        for position in bytes.indices {
            bytes[position] ^= 1 << UInt8(position % 8)
            #expect(throws: SegmentHeader.Fault.self) { try decode(bytes) }
            bytes[position] ^= 1 << UInt8(position % 8)
        }
    }

    @Test("zeros and short zeros are blank, other short bytes are damaged")
    func blanks() {
        #expect(throws: SegmentHeader.Fault.blank) { try decode([]) }
        #expect(throws: SegmentHeader.Fault.blank) { try decode([UInt8](repeating: 0, count: 4096)) }
        #expect(throws: SegmentHeader.Fault.damaged("30 bytes are no header")) {
            try decode([UInt8](encoded(FormatSamples.header)[..<30]))
        }
    }

    @Test("an unknown required feature is refused, an unknown optional one is not")
    func features() throws {
        var header = FormatSamples.header
        header.optionalFeatures = 8
        #expect(try decode(encoded(header)).optionalFeatures == 8)
        header.requiredFeatures = 1
        #expect(throws: SegmentHeader.Fault.unsupported("required feature bits 0000000000000001")) {
            try decode(encoded(header))
        }
    }

    private func encoded(_ header: SegmentHeader) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xFF, count: 4096)
        bytes.withUnsafeMutableBytes { header.encode(into: $0) }
        return bytes
    }

    private func decode(_ bytes: [UInt8]) throws -> SegmentHeader {
        try bytes.withUnsafeBytes { try SegmentHeader(decoding: $0) }
    }
}
