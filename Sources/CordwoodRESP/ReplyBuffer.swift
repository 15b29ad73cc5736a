internal import CordwoodBase

/// Replies on their way out: bytes that grow at the end and leave at the front.
///
/// The encoder writes straight into it, in the version that the connection speaks now. What the older version has no
/// form for is rendered by the rules of the protocol: a map as a flat array, a set or a push as an array, null as the
/// null bulk string, a boolean as 1 or 0, a double, a big number or a verbatim string as a bulk string.
public struct ReplyBuffer: ~Copyable {
    public var version: ProtocolVersion

    private var base: UnsafeMutableRawPointer
    /// Memory taken, in bytes.
    public private(set) var capacity: Int
    /// First byte that has not left, and the byte behind the last one.
    private var start = 0
    private var end = 0

    /// Memory beyond which an emptied buffer gives back what a large reply made it take.
    private static let keptCapacity = 64 << 10

    public init(version: ProtocolVersion = .resp2, capacity: Int = 1024) {
        self.version = version
        self.capacity = max(capacity, 64)
        base = UnsafeMutableRawPointer.allocate(byteCount: self.capacity, alignment: 16)
    }

    deinit { base.deallocate() }

    /// Bytes that wait to leave.
    public var count: Int { end - start }

    public var isEmpty: Bool { end == start }

    /// The bytes that wait, valid until the next call that changes the buffer.
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base + start, count: end - start) }

    /// Takes away the first `count` bytes, which have left.
    public mutating func removeFirst(_ count: Int) {
        invariant(count >= 0 && count <= end - start, "\(count) bytes leave of \(end - start)")
        start += count
        guard start == end else { return }
        start = 0
        end = 0
        if capacity > ReplyBuffer.keptCapacity {
            base.deallocate()
            capacity = ReplyBuffer.keptCapacity
            base = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
        }
    }

    public mutating func removeAll() { removeFirst(count) }

    /// Makes room for `additional` bytes and returns where they go.
    @inline(__always)
    mutating func reserve(_ additional: Int) -> UnsafeMutableRawPointer {
        if capacity - end < additional { grow(additional) }
        return base + end
    }

    /// Counts bytes written behind `reserve`.
    @inline(__always)
    mutating func advance(_ written: Int) { end += written }

    private mutating func grow(_ additional: Int) {
        let waiting = end - start
        if waiting + additional <= capacity / 2 {
            base.copyMemory(from: base + start, byteCount: waiting)
        } else {
            let grown = max(capacity * 2, waiting + additional)
            let replacement = UnsafeMutableRawPointer.allocate(byteCount: grown, alignment: 16)
            replacement.copyMemory(from: base + start, byteCount: waiting)
            base.deallocate()
            base = replacement
            capacity = grown
        }
        start = 0
        end = waiting
    }
}
