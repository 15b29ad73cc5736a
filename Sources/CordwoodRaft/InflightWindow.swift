internal import CordwoodBase

/// The appends on their way to one peer that it has not acknowledged: bounded by number and by bytes.
///
/// A ring of (last index, bytes), oldest first. It grows by doubling up to its limit and is then reused, so that a
/// steady stream allocates nothing.
public struct InflightWindow: Sendable {
    private struct Flight: Sendable {
        var last: RaftIndex
        var bytes: UInt64
    }

    /// Most messages in flight.
    public let maxMessages: Int
    /// Bytes at which the window closes; 0 is no limit. The message that reaches it is still sent.
    public let maxBytes: UInt64
    public private(set) var count = 0
    public private(set) var bytes: UInt64 = 0
    private var ring: [Flight] = []
    private var head = 0

    public init(maxMessages: Int, maxBytes: UInt64 = 0) {
        self.maxMessages = maxMessages
        self.maxBytes = maxBytes
    }

    public var isFull: Bool { count == maxMessages || (maxBytes != 0 && bytes >= maxBytes) }

    mutating func add(last: RaftIndex, bytes size: UInt64) {
        invariant(!isFull, "append through \(last) into a full window of \(count) messages and \(bytes) bytes")
        if count == ring.count { grow() }
        ring[slot(count)] = Flight(last: last, bytes: size)
        count += 1
        bytes += size
    }

    /// Frees every flight that ends at or below `index`.
    mutating func free(through index: RaftIndex) {
        while count > 0, ring[head].last <= index {
            bytes -= ring[head].bytes
            head = slot(1)
            count -= 1
        }
    }

    mutating func removeAll() {
        count = 0
        bytes = 0
        head = 0
    }

    private func slot(_ offset: Int) -> Int {
        let place = head + offset
        return place >= ring.count ? place - ring.count : place
    }

    private mutating func grow() {
        let capacity = min(max(ring.count * 2, 4), maxMessages)
        var larger: [Flight] = []
        larger.reserveCapacity(capacity)
        for offset in 0..<count { larger.append(ring[slot(offset)]) }
        larger.append(contentsOf: repeatElement(Flight(last: 0, bytes: 0), count: capacity - count))
        ring = larger
        head = 0
    }
}
