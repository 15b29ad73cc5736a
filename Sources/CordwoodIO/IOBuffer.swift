internal import CordwoodBase

/// Memory for I/O, aligned for direct I/O and owned until the last operation on it has completed: an operation holds a
/// reference, so the kernel never writes into freed memory.
public final class IOBuffer {
    /// Alignment in bytes; the largest that file systems ask for in practice.
    public static let alignment = 4096

    public let bytes: UnsafeMutableRawBufferPointer

    public var count: Int { bytes.count }

    /// Uninitialised memory. `count` may be anything; direct I/O needs multiples of the file's alignment.
    public init(count: Int) {
        invariant(count > 0, "I/O buffer of \(count) bytes")
        bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: IOBuffer.alignment)
    }

    deinit { bytes.deallocate() }

    /// The bytes in a range, valid while the buffer is.
    public subscript(range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[range])
    }
}
