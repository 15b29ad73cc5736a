/// Why bytes could not be decoded.
public enum DecodeError: Error, Hashable, Sendable {
    /// More bytes were asked for than there are.
    case truncated(needed: Int, available: Int)
    /// A field holds a value that the format does not allow.
    case invalid(field: String, value: UInt64)
}

/// A cursor over untrusted little-endian bytes. Every read is checked; nothing traps on what the bytes say.
///
/// The bytes must stay valid as long as the reader is in use.
@frozen
public struct ByteReader {
    public let bytes: UnsafeRawBufferPointer
    public var offset: Int

    @inlinable
    public init(_ bytes: UnsafeRawBufferPointer, offset: Int = 0) {
        invariant(offset >= 0 && offset <= bytes.count, "reader at \(offset) of \(bytes.count) bytes")
        self.bytes = bytes
        self.offset = offset
    }

    @inlinable
    public var remaining: Int { bytes.count - offset }

    @inlinable
    @inline(__always)
    public mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) throws(DecodeError) -> Value
    {
        let size = MemoryLayout<Value>.size
        guard remaining >= size else { throw .truncated(needed: size, available: remaining) }
        let value = bytes.loadUnaligned(fromByteOffset: offset, as: Value.self)
        offset += size
        return Value(littleEndian: value)
    }

    /// The next `count` bytes, without copying them.
    @inlinable
    public mutating func take(_ count: Int) throws(DecodeError) -> UnsafeRawBufferPointer {
        guard count >= 0, remaining >= count else { throw .truncated(needed: count, available: remaining) }
        let taken = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
        offset += count
        return taken
    }

    @inlinable
    public mutating func chainValue() throws(DecodeError) -> ChainValue {
        let low = try integer(UInt64.self)
        let high = try integer(UInt64.self)
        return ChainValue(high: high, low: low)
    }

    @inlinable
    public mutating func uniqueID() throws(DecodeError) -> UniqueID {
        let high = try integer(UInt64.self)
        let low = try integer(UInt64.self)
        return UniqueID(high: high, low: low)
    }

    /// A number that counts on from what it is. Nothing that counts comes near the end of its range; what does is
    /// refused, since arithmetic behind this door would trap.
    @inlinable
    @inline(__always)
    public mutating func position<Value: Ordinal>(_ type: Value.Type = Value.self) throws(DecodeError) -> Value {
        let value = try integer(UInt64.self)
        guard value < UInt64(Int64.max) else { throw .invalid(field: "number near the end of its range", value: value) }
        return Value(rawValue: value)
    }

    @inlinable
    @inline(__always)
    public mutating func ordinal<Value: Ordinal>(_ type: Value.Type = Value.self) throws(DecodeError) -> Value {
        Value(rawValue: try integer(UInt64.self))
    }
}
