/// Finds requests in the bytes of a connection, without copying them.
///
/// The decoder is handed everything received from the current request's first byte on, again and again until the
/// request is whole; it remembers how far it has looked, so a request that trickles in is scanned once. Arguments are
/// ranges from the request's start. What the bytes announce is checked against the limits before anything is kept for
/// it, and nothing that the bytes say can trap.
///
/// A request is an array whose elements are read as text, or a line of words ("inline"). Quotes of a line are resolved
/// in place, which is why the input is writable: the resolved text is never longer than the quoted one.
public struct RequestDecoder {
    /// What a look at the input found.
    public enum Step: Hashable {
        /// A request of this many bytes; its arguments are in `arguments`.
        case request(byteCount: Int)
        /// An array without elements.
        case emptyArray(byteCount: Int)
        /// A blank line, which asks for nothing.
        case blank(byteCount: Int)
        /// The request is not whole: at least this many bytes, from its start, are needed to go on.
        case incomplete(neededBytes: Int)
        case failed(ProtocolError)
    }

    public var limits: RequestLimits

    /// The arguments of the request found last.
    public private(set) var arguments: [ArgumentRange] = []

    /// How far the current request has been read.
    private var position = 0
    /// Elements still to come; `nil` before the array's header has been read.
    private var missingArguments: Int?
    private var failure: ProtocolError?

    /// Digits of a length, sign included, beyond which it is no length.
    private static let maxLengthDigits = 20

    public init(limits: RequestLimits) { self.limits = limits }

    /// Looks for the request that starts with the first of `bytes`. After an error every further call fails the same
    /// way.
    public mutating func decode(_ bytes: UnsafeMutableRawBufferPointer) -> Step {
        if let failure { return .failed(failure) }
        do {
            return try next(bytes)
        } catch {
            failure = error
            return .failed(error)
        }
    }

    private mutating func next(_ bytes: UnsafeMutableRawBufferPointer) throws(ProtocolError) -> Step {
        if missingArguments == nil {
            if position == 0 { arguments.removeAll(keepingCapacity: true) }
            guard let first = bytes.first else { return .incomplete(neededBytes: 1) }
            guard first == UInt8(ascii: "*") else {
                if RequestDecoder.isTypeByte(first) { throw ProtocolError(.expectedArray) }
                return try inlineRequest(bytes)
            }
            position = 1
            guard let count = try length(UnsafeRawBufferPointer(bytes), .invalidArgumentCount) else {
                position = 0
                return .incomplete(neededBytes: bytes.count + 1)
            }
            if count < 0 { throw ProtocolError(.invalidArgumentCount) }
            if count > limits.maxArguments { throw refusal(.tooManyArguments, limits.maxArguments) }
            if count == 0 { return .emptyArray(byteCount: finish()) }
            missingArguments = count
        }
        return try elements(UnsafeRawBufferPointer(bytes))
    }

    private mutating func elements(_ bytes: UnsafeRawBufferPointer) throws(ProtocolError) -> Step {
        var missing = missingArguments ?? 0
        while missing > 0 {
            let start = position
            guard let element = try element(bytes) else {
                missingArguments = missing
                let needed = max(position, bytes.count + 1)
                position = start
                return .incomplete(neededBytes: needed)
            }
            arguments.append(element)
            missing -= 1
        }
        return .request(byteCount: finish())
    }

    /// The element at `position`. `nil` when it is not whole; `position` is then where it will end, as far as that is
    /// known.
    @inline(__always)
    private mutating func element(_ bytes: UnsafeRawBufferPointer) throws(ProtocolError) -> ArgumentRange? {
        guard position < bytes.count else { return nil }
        let type = bytes[position]
        position += 1
        if type == UInt8(ascii: "$") { return try counted(bytes, prefixCount: 0) }
        switch type {
        case UInt8(ascii: "="): return try counted(bytes, prefixCount: 4)
        case UInt8(ascii: "+"), UInt8(ascii: ":"), UInt8(ascii: "("), UInt8(ascii: ","): return try line(bytes)
        case UInt8(ascii: "*"), UInt8(ascii: "%"), UInt8(ascii: "~"), UInt8(ascii: ">"):
            throw ProtocolError(.nestedArray)
        default: throw ProtocolError(.expectedText(found: type))
        }
    }

    /// A string that announces its length; the first `prefixCount` bytes, a verbatim string's format, are no text.
    @inline(__always)
    private mutating func counted(
        _ bytes: UnsafeRawBufferPointer, prefixCount: Int
    ) throws(ProtocolError) -> ArgumentRange? {
        guard let count = try length(bytes, .invalidLength) else { return nil }
        if count < prefixCount { throw ProtocolError(.invalidLength) }
        if count > limits.maxFrameBytes || position + count + 2 > limits.maxFrameBytes {
            throw refusal(.frameTooLarge, limits.maxFrameBytes)
        }
        let start = position
        position = start + count + 2
        guard position <= bytes.count else { return nil }
        if bytes[position - 2] != UInt8(ascii: "\r") || bytes[position - 1] != UInt8(ascii: "\n") {
            throw ProtocolError(.missingLineEnd)
        }
        return ArgumentRange(offset: start + prefixCount, count: count - prefixCount)
    }

    /// A string or number that ends with its line.
    private mutating func line(_ bytes: UnsafeRawBufferPointer) throws(ProtocolError) -> ArgumentRange? {
        let start = position
        while position < bytes.count, bytes[position] != UInt8(ascii: "\r") {
            if bytes[position] == UInt8(ascii: "\n") { throw ProtocolError(.missingLineEnd) }
            position += 1
            if position - start > limits.maxInlineBytes { throw ProtocolError(.lineTooLong) }
            if position > limits.maxFrameBytes { throw refusal(.frameTooLarge, limits.maxFrameBytes) }
        }
        guard position + 1 < bytes.count else { return nil }
        if bytes[position + 1] != UInt8(ascii: "\n") { throw ProtocolError(.missingLineEnd) }
        position += 2
        return ArgumentRange(offset: start, count: position - 2 - start)
    }

    /// The decimal number that fills the line at `position`, which moves behind the line end. `nil` when the line is
    /// not whole.
    @inline(__always)
    private mutating func length(
        _ bytes: UnsafeRawBufferPointer, _ reason: ProtocolError.Reason
    ) throws(ProtocolError) -> Int? {
        var value = 0
        var cursor = position
        var isNegative = false
        if cursor < bytes.count, bytes[cursor] == UInt8(ascii: "-") {
            isNegative = true
            cursor += 1
        }
        let digits = cursor
        while cursor < bytes.count {
            let digit = bytes[cursor] &- 0x30
            guard digit < 10 else { break }
            let (scaled, overflowed) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflowedAgain) = scaled.addingReportingOverflow(Int(digit))
            if overflowed || overflowedAgain || cursor - digits >= RequestDecoder.maxLengthDigits {
                throw ProtocolError(reason)
            }
            value = sum
            cursor += 1
        }
        guard cursor < bytes.count else { return nil }
        if bytes[cursor] != UInt8(ascii: "\r") || cursor == digits { throw ProtocolError(reason) }
        guard cursor + 1 < bytes.count else { return nil }
        if bytes[cursor + 1] != UInt8(ascii: "\n") { throw ProtocolError(reason) }
        position = cursor + 2
        return isNegative ? -value : value
    }

    private func refusal(_ reason: ProtocolError.Reason, _ limit: Int) -> ProtocolError {
        ProtocolError(reason, limit: limit, isUnauthenticated: limits.isUnauthenticated)
    }

    private mutating func finish() -> Int {
        let byteCount = position
        position = 0
        missingArguments = nil
        return byteCount
    }

    private mutating func inlineRequest(_ bytes: UnsafeMutableRawBufferPointer) throws(ProtocolError) -> Step {
        var cursor = position
        while cursor < bytes.count, bytes[cursor] != UInt8(ascii: "\n") { cursor += 1 }
        let isWhole = cursor < bytes.count
        let hasReturn = cursor > 0 && bytes[cursor - 1] == UInt8(ascii: "\r")
        if cursor - (hasReturn ? 1 : 0) > limits.maxInlineBytes { throw ProtocolError(.lineTooLong) }
        guard isWhole else {
            position = cursor
            return .incomplete(neededBytes: bytes.count + 1)
        }
        let line = UnsafeMutableRawBufferPointer(rebasing: bytes[..<(cursor - (hasReturn ? 1 : 0))])
        try InlineWords.split(line, into: &arguments)
        if arguments.count > limits.maxArguments { throw refusal(.tooManyArguments, limits.maxArguments) }
        position = cursor + 1
        return arguments.isEmpty ? .blank(byteCount: finish()) : .request(byteCount: finish())
    }

    /// True for a byte that starts a frame of either protocol version.
    private static func isTypeByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "*"), UInt8(ascii: "$"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ":"),
            UInt8(ascii: "_"), UInt8(ascii: "#"), UInt8(ascii: ","), UInt8(ascii: "("), UInt8(ascii: "!"),
            UInt8(ascii: "="), UInt8(ascii: "%"), UInt8(ascii: "~"), UInt8(ascii: ">"), UInt8(ascii: "|"):
            true
        default: false
        }
    }
}
