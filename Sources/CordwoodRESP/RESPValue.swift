/// One decoded reply or push of either version: what a client sees.
public indirect enum RESPValue: Hashable, Sendable {
    case simple(String)
    case error(String)
    case integer(Int64)
    case bulk([UInt8])
    case array([RESPValue])
    case null
    case boolean(Bool)
    /// The digits as sent, so that equal replies compare equal.
    case double(String)
    case bigNumber(String)
    case verbatim(format: String, [UInt8])
    case map([Pair])
    case set([RESPValue])
    case push([RESPValue])

    /// One pair of a map, in the order sent.
    public struct Pair: Hashable, Sendable {
        public var key: RESPValue
        public var value: RESPValue

        public init(_ key: RESPValue, _ value: RESPValue) {
            self.key = key
            self.value = value
        }
    }

    /// The same value as a connection that speaks the older version sees it.
    public var renderedInRESP2: RESPValue {
        switch self {
        case .simple, .error, .integer, .bulk, .null: self
        case .array(let elements), .set(let elements), .push(let elements): .array(elements.map(\.renderedInRESP2))
        case .boolean(let value): .integer(value ? 1 : 0)
        case .double(let text), .bigNumber(let text): .bulk(Array(text.utf8))
        case .verbatim(_, let bytes): .bulk(bytes)
        case .map(let pairs): .array(pairs.flatMap { [$0.key.renderedInRESP2, $0.value.renderedInRESP2] })
        }
    }

    /// The text of a simple, bulk or verbatim string, `nil` for anything else.
    public var text: String? {
        switch self {
        case .simple(let text): text
        case .bulk(let bytes), .verbatim(_, let bytes): String(decoding: bytes, as: UTF8.self)
        default: nil
        }
    }

    /// The value under a key, in a map or in a flat array of keys and values; `nil` when there is none.
    public subscript(key: String) -> RESPValue? {
        switch self {
        case .map(let pairs): return pairs.first { $0.key.text == key }?.value
        case .array(let elements):
            for position in stride(from: 0, to: elements.count - 1, by: 2) where elements[position].text == key {
                return elements[position + 1]
            }
            return nil
        default: return nil
        }
    }
}
