import Testing

@testable import CordwoodEvents

@Suite("SHA-1")
struct SHA1Tests {
    @Test("has the same digest by the processor's own instructions and without them, for every length of a last block")
    func isTheSameOnEveryProcessor() {
        let bytes = (0..<200).map { UInt8(truncatingIfNeeded: $0 * 7) }
        for count in 0...bytes.count {
            bytes[..<count].withUnsafeBytes { bytes in
                let one = SHA1.leadingHalves(prefix: (1, 2), bytes: bytes)
                let other = SHA1.leadingHalves(prefix: (1, 2), bytes: bytes, byProcessor: false)
                #expect(one == other, "\(count) bytes")
            }
        }
    }
}
