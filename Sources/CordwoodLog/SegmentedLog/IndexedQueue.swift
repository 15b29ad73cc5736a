internal import CordwoodBase

/// Values for a contiguous range of Raft indexes: grows at the end, shrinks at both.
struct IndexedQueue<Value> {
    private var values: [Value] = []
    /// Values before this one have been dropped from the front.
    private var head = 0
    private(set) var firstIndex: RaftIndex

    init(firstIndex: RaftIndex) { self.firstIndex = firstIndex }

    var count: Int { values.count - head }
    var isEmpty: Bool { count == 0 }
    /// Index behind the last value.
    var endIndex: RaftIndex { firstIndex + UInt64(count) }

    /// Looks at the first value without copying it. There must be one.
    func withFirst<Result>(_ body: (borrowing Value) -> Result) -> Result { body(values[head]) }

    subscript(index: RaftIndex) -> Value? {
        guard index >= firstIndex, index < endIndex else { return nil }
        return values[head + Int(index - firstIndex)]
    }

    mutating func append(_ value: Value) { values.append(value) }

    /// Changes the last value where it lies. There must be one.
    mutating func changeLast(_ body: (inout Value) -> Void) { body(&values[values.count - 1]) }

    mutating func removeLast() -> Value? {
        guard !isEmpty else { return nil }
        return values.removeLast()
    }

    mutating func removeFirst() {
        head += 1
        firstIndex = firstIndex.next
        compactIfNeeded()
    }

    /// Drops the values up to an index, telling each.
    mutating func dropFirst(through index: RaftIndex, _ body: (Value) -> Void) {
        while !isEmpty, firstIndex <= index {
            body(values[head])
            removeFirst()
        }
    }

    mutating func reset(firstIndex: RaftIndex) {
        values = []
        head = 0
        self.firstIndex = firstIndex
    }

    /// A slice of the values in a range that is held.
    func values(in range: Range<RaftIndex>) -> ArraySlice<Value> {
        let start = head + Int(range.lowerBound - firstIndex)
        return values[start..<start + Int(range.upperBound - range.lowerBound)]
    }

    private mutating func compactIfNeeded() {
        // Moving the rest costs as much as what was dropped: amortised constant. The freed values go at once.
        if head >= 1024, head * 2 >= values.count {
            values.removeFirst(head)
            head = 0
        }
    }
}
