/// The words of an inline request, quoted as redis-cli quotes them.
///
/// Words are separated by blanks. Inside double quotes `\n \r \t \b \a \\ \"` and `\xHH` stand for a byte, any other
/// escaped character for itself; inside single quotes only `\'` does. A closing quote ends its word: what follows must
/// be a blank or the end of the line.
enum InlineWords {
    /// Splits `line`, resolving quotes in place; offsets are from the line's start.
    static func split(
        _ line: UnsafeMutableRawBufferPointer, into words: inout [ArgumentRange]
    ) throws(ProtocolError) {
        var cursor = 0
        while true {
            while cursor < line.count, isBlank(line[cursor]) { cursor += 1 }
            if cursor == line.count { return }
            let start = cursor
            var end = cursor
            try word(line, &cursor, &end)
            words.append(ArgumentRange(offset: start, count: end - start))
        }
    }

    /// Reads the word at `cursor` and writes it, resolved, from the same place on; `end` is the end of what was written
    /// and never overtakes `cursor`.
    private static func word(
        _ line: UnsafeMutableRawBufferPointer, _ cursor: inout Int, _ end: inout Int
    ) throws(ProtocolError) {
        while cursor < line.count, !isBlank(line[cursor]) {
            let byte = line[cursor]
            cursor += 1
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                try quoted(line, &cursor, &end, quote: byte)
                if cursor < line.count, !isBlank(line[cursor]) { throw ProtocolError(.unbalancedQuotes) }
                return
            }
            line[end] = byte
            end += 1
        }
    }

    private static func quoted(
        _ line: UnsafeMutableRawBufferPointer, _ cursor: inout Int, _ end: inout Int, quote: UInt8
    ) throws(ProtocolError) {
        while cursor < line.count {
            var byte = line[cursor]
            cursor += 1
            if byte == quote { return }
            if byte == UInt8(ascii: "\\"), cursor < line.count {
                if quote == UInt8(ascii: "\"") {
                    byte = escaped(line, &cursor)
                } else if line[cursor] == quote {
                    byte = quote
                    cursor += 1
                }
            }
            line[end] = byte
            end += 1
        }
        throw ProtocolError(.unbalancedQuotes)
    }

    /// The byte that the escape at `cursor`, behind its backslash, stands for.
    private static func escaped(_ line: UnsafeMutableRawBufferPointer, _ cursor: inout Int) -> UInt8 {
        let byte = line[cursor]
        if byte == UInt8(ascii: "x"), cursor + 2 < line.count,
            let high = hexadecimalValue(line[cursor + 1]), let low = hexadecimalValue(line[cursor + 2])
        {
            cursor += 3
            return high << 4 | low
        }
        cursor += 1
        switch byte {
        case UInt8(ascii: "n"): return 0x0A
        case UInt8(ascii: "r"): return 0x0D
        case UInt8(ascii: "t"): return 0x09
        case UInt8(ascii: "b"): return 0x08
        case UInt8(ascii: "a"): return 0x07
        default: return byte
        }
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) || byte == 0 }

    private static func hexadecimalValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}
