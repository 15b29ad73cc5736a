internal import CordwoodBase

/// A 128-bit universally unique identifier.
///
/// Written in lower case with hyphens; read in either case, with or without hyphens.
@frozen
public struct UUID: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// Bytes 0 to 7, the first byte highest.
    public let high: UInt64
    /// Bytes 8 to 15.
    public let low: UInt64

    @inlinable
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Length of the written form.
    public static let textLength = 36

    /// Reads the text of a UUID: 32 hexadecimal digits, or 36 characters with hyphens behind the 8th, 12th, 16th and
    /// 20th digit. `nil` for anything else.
    public init?(text: UnsafeRawBufferPointer) {
        let hyphenated = text.count == Self.textLength
        guard hyphenated || text.count == 32 else { return nil }
        var halves: (UInt64, UInt64) = (0, 0)
        var digits = 0
        for (position, character) in text.enumerated() {
            if hyphenated && Self.isHyphenPosition(position) {
                guard character == UInt8(ascii: "-") else { return nil }
                continue
            }
            guard let digit = Self.digit(character) else { return nil }
            if digits < 16 {
                halves.0 = halves.0 << 4 | digit
            } else {
                halves.1 = halves.1 << 4 | digit
            }
            digits += 1
        }
        self.init(high: halves.0, low: halves.1)
    }

    public init?(_ text: String) {
        var text = text
        guard let value = text.withUTF8({ UUID(text: UnsafeRawBufferPointer($0)) }) else { return nil }
        self = value
    }

    /// Writes the 36 characters of the written form to the start of `bytes`.
    public func write(to bytes: UnsafeMutableRawBufferPointer) {
        invariant(bytes.count >= Self.textLength, "a UUID written into \(bytes.count) bytes")
        var shift = 60
        for position in 0..<Self.textLength {
            if Self.isHyphenPosition(position) {
                bytes[position] = UInt8(ascii: "-")
                continue
            }
            let half = position < 18 ? high : low
            let digit = UInt8(truncatingIfNeeded: half >> UInt64(shift)) & 0xF
            bytes[position] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
            shift = shift == 0 ? 60 : shift - 4
        }
    }

    public var description: String {
        String(unsafeUninitializedCapacity: Self.textLength) { buffer in
            write(to: UnsafeMutableRawBufferPointer(buffer))
            return Self.textLength
        }
    }

    public static func < (left: UUID, right: UUID) -> Bool { (left.high, left.low) < (right.high, right.low) }

    private static func isHyphenPosition(_ position: Int) -> Bool {
        position == 8 || position == 13 || position == 18 || position == 23
    }

    private static func digit(_ character: UInt8) -> UInt64? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(character - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(character - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(character - UInt8(ascii: "A") + 10)
        default: nil
        }
    }
}
