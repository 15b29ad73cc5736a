import CordwoodBase
import CordwoodIO

/// What a connection has received and not yet understood. It starts small, grows to what a request needs, and gives the
/// memory back when the connection is quiet.
struct InputBuffer {
    private(set) var storage: IOBuffer
    /// First byte that is not consumed, and the byte behind the last one received.
    private var start = 0
    private var end = 0

    private static let initialBytes = 4 << 10
    /// What a busy connection receives at once.
    private static let busyBytes = 64 << 10

    init() { storage = IOBuffer(count: InputBuffer.initialBytes) }

    var capacityBytes: Int { storage.count }

    var count: Int { end - start }

    /// The bytes not consumed, valid until the next call that changes the buffer.
    var unread: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(rebasing: storage.bytes[start..<end])
    }

    /// Where the next bytes go. Never empty after `prepare`.
    var free: Range<Int> { end..<storage.count }

    mutating func received(_ count: Int) {
        let wasFilled = end + count == storage.count
        end += count
        if wasFilled, storage.count < InputBuffer.busyBytes { grow(to: InputBuffer.busyBytes) }
    }

    mutating func consume(_ count: Int) {
        invariant(count >= 0 && count <= end - start, "\(count) bytes consumed of \(end - start)")
        start += count
    }

    /// Makes room so that the unread bytes can become `needed` ones, at least one more than there are.
    mutating func prepare(needed: Int) {
        if start == end {
            start = 0
            end = 0
            if storage.count > InputBuffer.busyBytes { storage = IOBuffer(count: InputBuffer.initialBytes) }
        }
        let needed = max(needed, count + 1)
        if needed <= storage.count - start { return }
        if needed > storage.count {
            grow(to: max(needed, min(storage.count * 2, InputBuffer.busyBytes)))
        } else {
            moveToFront()
        }
    }

    private mutating func moveToFront() {
        let waiting = count
        storage.bytes.copyMemory(from: storage[start..<end])
        start = 0
        end = waiting
    }

    private mutating func grow(to bytes: Int) {
        let larger = IOBuffer(count: bytes)
        let waiting = count
        larger.bytes.copyMemory(from: storage[start..<end])
        storage = larger
        start = 0
        end = waiting
    }
}
