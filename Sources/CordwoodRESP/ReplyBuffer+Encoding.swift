extension ReplyBuffer {
    /// Longest error reply, from its code to before the line end.
    public static let maxErrorBytes = 512

    // MARK: What both versions write alike

    /// A simple string. The text must hold neither CR nor LF.
    public mutating func simple(_ text: StaticString) {
        line(UInt8(ascii: "+"), UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// A simple string of text that is known to be one line.
    public mutating func simple(_ text: String) {
        var text = text
        text.withUTF8 { line(UInt8(ascii: "+"), UnsafeRawBufferPointer($0)) }
    }

    /// A UUID as a simple string: 36 characters, lower case, with hyphens.
    public mutating func uuid(high: UInt64, low: UInt64) {
        let target = reserve(39)
        target.storeBytes(of: UInt8(ascii: "+"), as: UInt8.self)
        writeUUID(high: high, low: low, to: target + 1)
        target.storeBytes(of: UInt8(ascii: "\r"), toByteOffset: 37, as: UInt8.self)
        target.storeBytes(of: UInt8(ascii: "\n"), toByteOffset: 38, as: UInt8.self)
        advance(39)
    }

    /// An error: a code in capitals and a message, which is cut to one line of at most `maxErrorBytes`.
    public mutating func error(_ code: String, _ message: String) {
        let target = reserve(ReplyBuffer.maxErrorBytes + 3)
        target.storeBytes(of: UInt8(ascii: "-"), as: UInt8.self)
        var written = 1
        for byte in code.utf8.prefix(64) {
            target.storeBytes(of: byte, toByteOffset: written, as: UInt8.self)
            written += 1
        }
        if !message.isEmpty {
            target.storeBytes(of: 0x20, toByteOffset: written, as: UInt8.self)
            written += 1
        }
        var room = ReplyBuffer.maxErrorBytes + 1 - written
        for scalar in message.unicodeScalars {
            let encoded = UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter
            if encoded.count > room { break }
            room -= encoded.count
            for byte in encoded {
                target.storeBytes(of: byte < 0x20 ? 0x20 : byte, toByteOffset: written, as: UInt8.self)
                written += 1
            }
        }
        target.storeBytes(of: UInt8(ascii: "\r"), toByteOffset: written, as: UInt8.self)
        target.storeBytes(of: UInt8(ascii: "\n"), toByteOffset: written + 1, as: UInt8.self)
        advance(written + 2)
    }

    public mutating func integer(_ value: Int64) {
        number(UInt8(ascii: ":"), isNegative: value < 0, magnitude: value.magnitude)
    }

    public mutating func integer(_ value: UInt64) {
        number(UInt8(ascii: ":"), isNegative: false, magnitude: value)
    }

    public mutating func integer(_ value: Int) { integer(Int64(value)) }

    public mutating func bulk(_ bytes: UnsafeRawBufferPointer) {
        header(UInt8(ascii: "$"), bytes.count)
        let target = reserve(bytes.count + 2)
        if let source = bytes.baseAddress { target.copyMemory(from: source, byteCount: bytes.count) }
        target.storeBytes(of: UInt8(ascii: "\r"), toByteOffset: bytes.count, as: UInt8.self)
        target.storeBytes(of: UInt8(ascii: "\n"), toByteOffset: bytes.count + 1, as: UInt8.self)
        advance(bytes.count + 2)
    }

    public mutating func bulk(_ text: String) {
        var text = text
        text.withUTF8 { bulk(UnsafeRawBufferPointer($0)) }
    }

    /// Announces `count` elements.
    public mutating func array(_ count: Int) { header(UInt8(ascii: "*"), count) }

    /// Bytes that are a whole reply already.
    public mutating func encoded(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress else { return }
        reserve(bytes.count).copyMemory(from: source, byteCount: bytes.count)
        advance(bytes.count)
    }

    /// Text that is a whole reply or a whole run of elements already, the same in both versions.
    public mutating func encoded(_ text: StaticString) {
        encoded(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    // MARK: What the versions write differently

    /// Announces `count` pairs of key and value.
    public mutating func map(_ count: Int) {
        if version == .resp3 { header(UInt8(ascii: "%"), count) } else { header(UInt8(ascii: "*"), count * 2) }
    }

    /// Announces `count` members.
    public mutating func set(_ count: Int) {
        header(version == .resp3 ? UInt8(ascii: "~") : UInt8(ascii: "*"), count)
    }

    /// Announces a push of `count` elements, its kind included.
    public mutating func push(_ count: Int) {
        header(version == .resp3 ? UInt8(ascii: ">") : UInt8(ascii: "*"), count)
    }

    public mutating func null() {
        if version == .resp3 { encoded("_\r\n") } else { encoded("$-1\r\n") }
    }

    public mutating func boolean(_ value: Bool) {
        if version == .resp3 {
            encoded(value ? "#t\r\n" : "#f\r\n")
        } else {
            encoded(value ? ":1\r\n" : ":0\r\n")
        }
    }

    public mutating func double(_ value: Double) {
        var text = value.isInfinite ? (value < 0 ? "-inf" : "inf") : value.isNaN ? "nan" : "\(value)"
        if text.hasSuffix(".0") { text.removeLast(2) }
        if version == .resp3 {
            text.withUTF8 { line(UInt8(ascii: ","), UnsafeRawBufferPointer($0)) }
        } else {
            bulk(text)
        }
    }

    /// A number too big for 64 bits, as its decimal digits.
    public mutating func bigNumber(_ digits: String) {
        guard version == .resp3 else { return bulk(digits) }
        var digits = digits
        digits.withUTF8 { line(UInt8(ascii: "("), UnsafeRawBufferPointer($0)) }
    }

    /// Text for people to read.
    public mutating func verbatim(_ text: String) {
        guard version == .resp3 else { return bulk(text) }
        header(UInt8(ascii: "="), text.utf8.count + 4)
        encoded("txt:")
        var text = text
        text.withUTF8 { encoded(UnsafeRawBufferPointer($0)) }
        encoded("\r\n")
    }

    // MARK: Shared

    private mutating func line(_ type: UInt8, _ bytes: UnsafeRawBufferPointer) {
        let target = reserve(bytes.count + 3)
        target.storeBytes(of: type, as: UInt8.self)
        if let source = bytes.baseAddress { (target + 1).copyMemory(from: source, byteCount: bytes.count) }
        target.storeBytes(of: UInt8(ascii: "\r"), toByteOffset: bytes.count + 1, as: UInt8.self)
        target.storeBytes(of: UInt8(ascii: "\n"), toByteOffset: bytes.count + 2, as: UInt8.self)
        advance(bytes.count + 3)
    }

    private mutating func header(_ type: UInt8, _ count: Int) {
        number(type, isNegative: false, magnitude: UInt64(count))
    }

    private mutating func number(_ type: UInt8, isNegative: Bool, magnitude: UInt64) {
        // A type byte, a sign, at most 20 digits and the line end.
        let target = reserve(24)
        target.storeBytes(of: type, as: UInt8.self)
        if isNegative { target.storeBytes(of: UInt8(ascii: "-"), toByteOffset: 1, as: UInt8.self) }
        let end = (isNegative ? 2 : 1) + decimalDigitCount(magnitude)
        var cursor = end
        var rest = magnitude
        repeat {
            cursor -= 1
            target.storeBytes(of: 0x30 + UInt8(truncatingIfNeeded: rest % 10), toByteOffset: cursor, as: UInt8.self)
            rest /= 10
        } while rest > 0
        target.storeBytes(of: UInt8(ascii: "\r"), toByteOffset: end, as: UInt8.self)
        target.storeBytes(of: UInt8(ascii: "\n"), toByteOffset: end + 1, as: UInt8.self)
        advance(end + 2)
    }

    private func writeUUID(high: UInt64, low: UInt64, to target: UnsafeMutableRawPointer) {
        let second = hexadecimal(UInt32(truncatingIfNeeded: high))
        let third = hexadecimal(UInt32(truncatingIfNeeded: low >> 32))
        store(hexadecimal(UInt32(truncatingIfNeeded: high >> 32)), at: target)
        target.storeBytes(of: UInt8(ascii: "-"), toByteOffset: 8, as: UInt8.self)
        store(UInt32(truncatingIfNeeded: second >> 32), at: target + 9)
        target.storeBytes(of: UInt8(ascii: "-"), toByteOffset: 13, as: UInt8.self)
        store(UInt32(truncatingIfNeeded: second), at: target + 14)
        target.storeBytes(of: UInt8(ascii: "-"), toByteOffset: 18, as: UInt8.self)
        store(UInt32(truncatingIfNeeded: third >> 32), at: target + 19)
        target.storeBytes(of: UInt8(ascii: "-"), toByteOffset: 23, as: UInt8.self)
        store(UInt32(truncatingIfNeeded: third), at: target + 24)
        store(hexadecimal(UInt32(truncatingIfNeeded: low)), at: target + 28)
    }

    @inline(__always)
    private func store<Characters: FixedWidthInteger>(_ characters: Characters, at target: UnsafeMutableRawPointer) {
        target.storeBytes(of: characters.bigEndian, as: Characters.self)
    }
}

/// The eight hexadecimal digits of a number as characters, the first one in the highest byte.
@inline(__always)
private func hexadecimal(_ number: UInt32) -> UInt64 {
    // Each half moves away from the other until every digit has a byte.
    var digits = UInt64(number)
    digits = (digits << 16 | digits) & 0x0000_FFFF_0000_FFFF
    digits = (digits << 8 | digits) & 0x00FF_00FF_00FF_00FF
    digits = (digits << 4 | digits) & 0x0F0F_0F0F_0F0F_0F0F
    // A digit of 10 or more carries into its byte's bit 4 when 6 is added; letters lie 39 behind the decimal digits.
    let letters = (digits &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
    return digits &+ 0x3030_3030_3030_3030 &+ letters &* 39
}

private func decimalDigitCount(_ number: UInt64) -> Int {
    var count = 1
    var bound: UInt64 = 10
    while number >= bound {
        count += 1
        let (next, overflowed) = bound.multipliedReportingOverflow(by: 10)
        if overflowed { break }
        bound = next
    }
    return count
}
