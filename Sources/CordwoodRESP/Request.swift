public import CordwoodBase

/// Where an argument lies, in bytes from the start of its request.
@frozen
public struct ArgumentRange: Hashable, Sendable {
    public var offset: UInt32
    public var count: UInt32

    @inlinable
    public init(offset: Int, count: Int) {
        self.offset = UInt32(truncatingIfNeeded: offset)
        self.count = UInt32(truncatingIfNeeded: count)
    }
}

/// One decoded request: a view into the connection's input, valid until that input is moved or overwritten.
@frozen
public struct Request {
    /// The bytes from the request's start on.
    public let bytes: UnsafeRawBufferPointer
    public let ranges: [ArgumentRange]

    @inlinable
    public init(bytes: UnsafeRawBufferPointer, ranges: [ArgumentRange]) {
        self.bytes = bytes
        self.ranges = ranges
    }

    /// Arguments, the command's name included.
    @inlinable
    public var count: Int { ranges.count }

    @inlinable
    public subscript(position: Int) -> UnsafeRawBufferPointer {
        let range = ranges[position]
        let end = Int(range.offset) + Int(range.count)
        invariant(end <= bytes.count, "argument up to \(end) of \(bytes.count) bytes")
        return UnsafeRawBufferPointer(rebasing: bytes[Int(range.offset)..<end])
    }
}

extension UnsafeRawBufferPointer {
    /// True when the bytes are this ASCII word, in either case.
    @inlinable
    public func matches(_ word: StaticString) -> Bool {
        guard count == word.utf8CodeUnitCount else { return false }
        let start = word.utf8Start
        for position in 0..<count where foldedToUpper(self[position]) != foldedToUpper(start[position]) { return false }
        return true
    }

    /// The bytes as text; what is not UTF-8 is replaced. For edges and messages, not for the hot path.
    public var text: String { String(decoding: self, as: UTF8.self) }
}

/// An ASCII letter in upper case, any other byte as it is.
@inlinable
public func foldedToUpper(_ byte: UInt8) -> UInt8 { byte &- 0x61 < 26 ? byte & 0xDF : byte }
