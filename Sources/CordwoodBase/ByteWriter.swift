/// A cursor that writes little-endian values into memory of a known size. Writing past the end is our own mistake and
/// stops the process.
@frozen
public struct ByteWriter {
    public let bytes: UnsafeMutableRawBufferPointer
    public var offset: Int

    @inlinable
    public init(_ bytes: UnsafeMutableRawBufferPointer, offset: Int = 0) {
        invariant(offset >= 0 && offset <= bytes.count, "writer at \(offset) of \(bytes.count) bytes")
        self.bytes = bytes
        self.offset = offset
    }

    @inlinable
    @inline(__always)
    public mutating func integer<Value: FixedWidthInteger>(_ value: Value) {
        let size = MemoryLayout<Value>.size
        invariant(bytes.count - offset >= size, "write of \(size) bytes at \(offset) of \(bytes.count)")
        bytes.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Value.self)
        offset += size
    }

    @inlinable
    @inline(__always)
    public mutating func raw(_ source: UnsafeRawBufferPointer) {
        invariant(bytes.count - offset >= source.count, "write of \(source.count) bytes at \(offset) of \(bytes.count)")
        if source.count > 0 {
            UnsafeMutableRawBufferPointer(rebasing: bytes[offset..<offset + source.count]).copyMemory(from: source)
        }
        offset += source.count
    }

    @inlinable
    public mutating func zeros(_ count: Int) {
        invariant(count >= 0 && bytes.count - offset >= count, "\(count) zeros at \(offset) of \(bytes.count)")
        UnsafeMutableRawBufferPointer(rebasing: bytes[offset..<offset + count]).initializeMemory(
            as: UInt8.self, repeating: 0)
        offset += count
    }

    @inlinable
    public mutating func chainValue(_ value: ChainValue) {
        integer(value.low)
        integer(value.high)
    }

    @inlinable
    public mutating func uniqueID(_ value: UniqueID) {
        integer(value.high)
        integer(value.low)
    }

    @inlinable
    public mutating func ordinal<Value: Ordinal>(_ value: Value) { integer(value.rawValue) }
}

extension Array where Element == UInt8 {
    /// Appends an integer in little-endian order.
    @inlinable
    public mutating func append<Value: FixedWidthInteger>(littleEndian value: Value) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }
}
