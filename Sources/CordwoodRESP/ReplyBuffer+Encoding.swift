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
        var digits = 1
        var rest = magnitude / 10
        while rest > 0 {
            digits += 1
            rest /= 10
        }
        var cursor = 1
        if isNegative {
            target.storeBytes(of: UInt8(ascii: "-"), toByteOffset: 1, as: UInt8.self)
            cursor = 2
        }
        let end = cursor + digits
        rest = magnitude
        cursor = end
        for _ in 0..<digits {
            cursor -= 1
            target.storeBytes(of: 0x30 + UInt8(truncatingIfNeeded: rest % 10), toByteOffset: cursor, as: UInt8.self)
            rest /= 10
        }
        target.storeBytes(of: UInt8(ascii: "\r"), toByteOffset: end, as: UInt8.self)
        target.storeBytes(of: UInt8(ascii: "\n"), toByteOffset: end + 1, as: UInt8.self)
        advance(end + 2)
    }

    private func writeUUID(high: UInt64, low: UInt64, to target: UnsafeMutableRawPointer) {
        var cursor = 0
        for position in 0..<16 {
            if position == 4 || position == 6 || position == 8 || position == 10 {
                target.storeBytes(of: UInt8(ascii: "-"), toByteOffset: cursor, as: UInt8.self)
                cursor += 1
            }
            let word = position < 8 ? high : low
            let byte = UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * (position & 7)))
            target.storeBytes(of: hexadecimalDigit(byte >> 4), toByteOffset: cursor, as: UInt8.self)
            target.storeBytes(of: hexadecimalDigit(byte & 15), toByteOffset: cursor + 1, as: UInt8.self)
            cursor += 2
        }
    }

    private func hexadecimalDigit(_ nibble: UInt8) -> UInt8 { nibble < 10 ? 0x30 + nibble : 0x57 + nibble }
}
