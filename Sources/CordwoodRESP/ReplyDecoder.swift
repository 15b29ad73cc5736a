/// Decodes replies and pushes: the client's side of the protocol, for programs that talk to a node.
///
/// What is announced is never trusted: nothing is allocated for a length before its bytes are there, and nesting is
/// bounded, so that no input can trap or exhaust memory.
public struct ReplyDecoder: Sendable {
    public enum Failure: Error, Hashable, Sendable {
        /// The bytes break the protocol at this offset.
        case malformed(offset: Int)
        case tooDeep
    }

    /// Levels of arrays, maps and sets inside each other.
    public static let maxDepth = 32

    private let bytes: [UInt8]
    private var position: Int

    private init(_ bytes: [UInt8], from offset: Int) {
        self.bytes = bytes
        position = offset
    }

    /// The value that starts at `offset` and the offset behind it; `nil` when it is not whole yet.
    public static func decode(
        _ bytes: [UInt8], from offset: Int = 0
    ) throws(Failure) -> (value: RESPValue, end: Int)? {
        var decoder = ReplyDecoder(bytes, from: offset)
        guard let value = try decoder.value(depth: 0) else { return nil }
        return (value, decoder.position)
    }

    private mutating func value(depth: Int) throws(Failure) -> RESPValue? {
        if depth > ReplyDecoder.maxDepth { throw .tooDeep }
        let start = position
        guard let line = try line() else { return nil }
        guard let type = line.first else { throw .malformed(offset: start) }
        let rest = line.dropFirst()
        let text = String(decoding: rest, as: UTF8.self)
        switch type {
        case UInt8(ascii: "+"): return .simple(text)
        case UInt8(ascii: "-"): return .error(text)
        case UInt8(ascii: ":"):
            guard let number = Int64(text) else { throw .malformed(offset: start) }
            return .integer(number)
        case UInt8(ascii: ","): return .double(text)
        case UInt8(ascii: "("): return .bigNumber(text)
        case UInt8(ascii: "_"):
            if !rest.isEmpty { throw .malformed(offset: start) }
            return .null
        case UInt8(ascii: "#"):
            if text != "t" && text != "f" { throw .malformed(offset: start) }
            return .boolean(text == "t")
        case UInt8(ascii: "$"):
            if text == "-1" { return .null }
            return try counted(text, start).map { .bulk($0) }
        case UInt8(ascii: "="):
            guard let body = try counted(text, start) else { return nil }
            guard body.count >= 4, body[3] == UInt8(ascii: ":") else { throw .malformed(offset: start) }
            return .verbatim(format: String(decoding: body[..<3], as: UTF8.self), Array(body[4...]))
        case UInt8(ascii: "*"):
            if text == "-1" { return .null }
            return try elements(text, start, depth).map { .array($0) }
        case UInt8(ascii: "~"): return try elements(text, start, depth).map { .set($0) }
        case UInt8(ascii: ">"): return try elements(text, start, depth).map { .push($0) }
        case UInt8(ascii: "%"): return try pairs(text, start, depth).map { .map($0) }
        default: throw .malformed(offset: start)
        }
    }

    private mutating func elements(_ text: String, _ start: Int, _ depth: Int) throws(Failure) -> [RESPValue]? {
        let count = try length(text, start)
        var elements: [RESPValue] = []
        for _ in 0..<count {
            guard let element = try value(depth: depth + 1) else { return nil }
            elements.append(element)
        }
        return elements
    }

    private mutating func pairs(_ text: String, _ start: Int, _ depth: Int) throws(Failure) -> [RESPValue.Pair]? {
        let count = try length(text, start)
        var pairs: [RESPValue.Pair] = []
        for _ in 0..<count {
            guard let key = try value(depth: depth + 1), let value = try value(depth: depth + 1) else { return nil }
            pairs.append(RESPValue.Pair(key, value))
        }
        return pairs
    }

    private mutating func counted(_ text: String, _ start: Int) throws(Failure) -> [UInt8]? {
        let count = try length(text, start)
        guard bytes.count - position >= 2, bytes.count - position - 2 >= count else { return nil }
        let end = position + count
        if bytes[end] != UInt8(ascii: "\r") || bytes[end + 1] != UInt8(ascii: "\n") { throw .malformed(offset: end) }
        defer { position = end + 2 }
        return Array(bytes[position..<end])
    }

    private func length(_ text: String, _ start: Int) throws(Failure) -> Int {
        guard let count = Int(text), count >= 0 else { throw .malformed(offset: start) }
        return count
    }

    /// The line at `position`, without its end.
    private mutating func line() throws(Failure) -> ArraySlice<UInt8>? {
        var cursor = position
        while cursor < bytes.count, bytes[cursor] != UInt8(ascii: "\r") {
            if bytes[cursor] == UInt8(ascii: "\n") { throw .malformed(offset: cursor) }
            cursor += 1
        }
        guard cursor + 1 < bytes.count else { return nil }
        if bytes[cursor + 1] != UInt8(ascii: "\n") { throw .malformed(offset: cursor) }
        defer { position = cursor + 2 }
        return bytes[position..<cursor]
    }
}
