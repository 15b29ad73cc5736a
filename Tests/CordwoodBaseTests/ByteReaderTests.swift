import CordwoodBase
import Testing

@Suite("A reader of untrusted bytes")
struct ByteReaderTests {
    private func read<Value>(
        _ bytes: [UInt8], _ body: (inout ByteReader) throws(DecodeError) -> Value
    ) -> Result<Value, DecodeError> {
        bytes.withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            do throws(DecodeError) { return .success(try body(&reader)) } catch { return .failure(error) }
        }
    }

    private func bytes(_ number: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: number)
        return bytes
    }

    @Test("refuses a number that nothing counts to, and takes the one before it")
    func positions() {
        let last = UInt64(Int64.max) - 1
        #expect(
            read(bytes(last)) { reader throws(DecodeError) in try reader.position(RaftIndex.self) }
                == .success(RaftIndex(last)))
        for number in [last + 1, last + 2, .max] {
            let result = read(bytes(number)) { reader throws(DecodeError) in try reader.position(RaftIndex.self) }
            #expect(throws: DecodeError.self) { try result.get() }
        }
    }

    @Test("never reads beyond its end, whatever is asked for", arguments: [-1, 9, .max, .min])
    func ends(count: Int) {
        let result = read(bytes(1)) { reader throws(DecodeError) in try reader.take(count).count }
        #expect(result == .failure(.truncated(needed: count, available: 8)))
        let integer = read([1, 2, 3]) { reader throws(DecodeError) in try reader.integer(UInt32.self) }
        #expect(integer == .failure(.truncated(needed: 4, available: 3)))
    }
}
