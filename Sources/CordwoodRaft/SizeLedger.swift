internal import CordwoodBase

/// The sizes of the newest entries: those whose payloads the node has at hand.
///
/// Kept as running totals in a ring indexed by Raft index, so that the bytes of any range are one subtraction and the
/// end of a message of bounded size is one search. The ring doubles when more is held and then is reused.
struct SizeLedger: Sendable {
    /// Total of all sizes through an index, modulo 2^64, at `index & mask`; held for `floor ... last`.
    private var totals: [UInt64]
    /// Entries above this index are held.
    private(set) var floor: RaftIndex
    private(set) var last: RaftIndex

    /// Holds nothing; the next entry is `last + 1`.
    init(last: RaftIndex) {
        totals = Array(repeating: 0, count: 64)
        floor = last
        self.last = last
    }

    @inline(__always)
    private func total(_ index: RaftIndex) -> UInt64 {
        totals[Int(truncatingIfNeeded: index.rawValue) & (totals.count - 1)]
    }

    @inline(__always)
    mutating func append(_ size: UInt64) {
        if last - floor + 2 > UInt64(totals.count) { grow() }
        let sum = total(last) &+ size
        last = last.next
        totals[Int(truncatingIfNeeded: last.rawValue) & (totals.count - 1)] = sum
    }

    /// Drops everything after `index`.
    mutating func truncate(after index: RaftIndex) {
        if index >= last { return }
        last = index
        if index < floor { floor = index }
    }

    /// Drops everything through `index`, which is not beyond the end.
    mutating func evict(through index: RaftIndex) { floor = max(floor, min(index, last)) }

    /// Starts again behind `index`.
    mutating func restart(after index: RaftIndex) {
        floor = index
        last = index
    }

    /// Bytes of the entries in `range`, all of which are held.
    func bytes(after lower: RaftIndex, through upper: RaftIndex) -> UInt64 { total(upper) &- total(lower) }

    /// The last index of the longest run from `first` on that fits `maxBytes`, at least one entry.
    func end(from first: RaftIndex, maxBytes: UInt64) -> RaftIndex {
        let base = total(first.previous)
        if total(last) &- base <= maxBytes { return last }
        // Between `low`, which fits or is the first, and `high`, which does not fit.
        var low = first
        var high = last
        while low.next < high {
            let middle = low + (high - low) / 2
            if total(middle) &- base <= maxBytes { low = middle } else { high = middle }
        }
        return low
    }

    private mutating func grow() {
        var larger = Array(repeating: UInt64(0), count: totals.count * 2)
        for index in floor.rawValue...last.rawValue {
            larger[Int(truncatingIfNeeded: index) & (larger.count - 1)] = total(RaftIndex(index))
        }
        totals = larger
    }
}
