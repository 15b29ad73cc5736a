/// Bytes that are not a request. The connection is told once and then closed: what follows cannot be understood.
public struct ProtocolError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Reason: Hashable, Sendable {
        /// The first byte of a frame other than an array, or an element that is no text.
        case expectedArray
        case expectedText(found: UInt8)
        case nestedArray
        case invalidArgumentCount
        case invalidLength
        case tooManyArguments
        case frameTooLarge
        case lineTooLong
        case unbalancedQuotes
        /// A frame's bytes are not followed by a line end.
        case missingLineEnd
    }

    public var reason: Reason
    /// The limit that was met, 0 where none was.
    public var limit: Int
    public var isUnauthenticated: Bool

    public init(_ reason: Reason, limit: Int = 0, isUnauthenticated: Bool = false) {
        self.reason = reason
        self.limit = limit
        self.isUnauthenticated = isUnauthenticated
    }

    /// The text of the error reply, behind its code `ERR`.
    public var description: String { "Protocol error: " + detail }

    private var detail: String {
        switch reason {
        case .expectedArray: "expected array command"
        case .expectedText(let byte): "expected '$', got '\(printable(byte))'"
        case .nestedArray: "nested array in request"
        case .invalidArgumentCount: "invalid multibulk length"
        case .invalidLength: "invalid bulk length"
        case .tooManyArguments where isUnauthenticated: "unauthenticated multibulk length"
        case .tooManyArguments: "more than \(limit) arguments"
        case .frameTooLarge where isUnauthenticated: "unauthenticated bulk length"
        case .frameTooLarge: "request larger than \(limit) bytes"
        case .lineTooLong: "too big inline request"
        case .unbalancedQuotes: "unbalanced quotes in request"
        case .missingLineEnd: "expected line end"
        }
    }

    private func printable(_ byte: UInt8) -> String {
        (0x20..<0x7F).contains(byte)
            ? String(UnicodeScalar(byte)) : "\\x" + String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
    }
}
