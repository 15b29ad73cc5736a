import CordwoodEvents
import CordwoodRESP

/// Walks the arguments of a request behind the command's name; what it cannot take as asked is an `INVALIDARG` that
/// names the word and what was expected.
struct ArgumentCursor {
    let request: Request
    private(set) var position: Int

    init(_ request: Request, from position: Int = 1) {
        self.request = request
        self.position = position
    }

    var isAtEnd: Bool { position >= request.count }

    /// The next argument, left where it is.
    var peeked: UnsafeRawBufferPointer? { isAtEnd ? nil : request[position] }

    /// The next argument, whatever it is.
    mutating func next(_ expected: StaticString) throws(CommandError) -> UnsafeRawBufferPointer {
        guard position < request.count else { throw .unfinished(expected: "\(expected)") }
        position += 1
        return request[position - 1]
    }

    /// Takes the next argument if it is this word.
    mutating func take(_ word: StaticString) -> Bool {
        guard position < request.count, request[position].matches(word) else { return false }
        position += 1
        return true
    }

    /// Nothing may follow.
    func end(expected: StaticString = "end of command") throws(CommandError) {
        if let extra = peeked { throw .unexpected(extra, expected: "\(expected)") }
    }

    /// A decimal number without a sign.
    mutating func number(_ expected: StaticString) throws(CommandError) -> UInt64 {
        let argument = try next(expected)
        guard let value = decimal(argument) else { throw .unexpected(argument, expected: "\(expected)") }
        return value
    }

    mutating func uuid(_ expected: StaticString) throws(CommandError) -> UUID {
        let argument = try next(expected)
        guard let value = UUID(text: argument) else { throw .unexpected(argument, expected: "\(expected)") }
        return value
    }
}

/// The number that all of these bytes spell in decimal digits; `nil` when they do not, or when it does not fit.
func decimal(_ bytes: UnsafeRawBufferPointer) -> UInt64? {
    guard !bytes.isEmpty, bytes.count <= 20 else { return nil }
    var value: UInt64 = 0
    for byte in bytes {
        let digit = byte &- 0x30
        guard digit < 10 else { return nil }
        let (scaled, overflowed) = value.multipliedReportingOverflow(by: 10)
        let (sum, overflowedAgain) = scaled.addingReportingOverflow(UInt64(digit))
        if overflowed || overflowedAgain { return nil }
        value = sum
    }
    return value
}
