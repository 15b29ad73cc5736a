import CordwoodBase

/// Who waits for which entry, keyed by (term, index): only the entry that was proposed can answer, never another one
/// that came to stand at its index.
///
/// Raft indexes of waiting proposals are nearly dense and leave in order, so the table is a ring over an index range.
struct ProposalTable {
    struct Waiter {
        var term: Term
        var tag: UInt64
        var acknowledgement: Acknowledgement
        var observer: any ProposalObserver
    }

    private var slots: [Waiter?] = Array(repeating: nil, count: 1024)
    /// Index of the first slot in use; every waiter lies in `base ..< base + slots.count`.
    private var base: RaftIndex = 1
    private var end: RaftIndex = 1
    private(set) var count = 0

    private func position(_ index: RaftIndex) -> Int { Int(index.rawValue & UInt64(slots.count - 1)) }

    mutating func insert(_ waiter: Waiter, at index: RaftIndex) {
        if count == 0 {
            base = index
            end = index
        }
        invariant(index >= base, "waiter at \(index) below the table's base \(base)")
        while index - base >= UInt64(slots.count) { grow() }
        invariant(slots[position(index)] == nil, "two waiters at index \(index)")
        slots[position(index)] = waiter
        count += 1
        if index >= end { end = index.next }
    }

    /// The waiter of exactly this entry, taken out.
    mutating func take(_ index: RaftIndex, term: Term) -> Waiter? {
        guard count > 0, index >= base, index < end else { return nil }
        guard let waiter = slots[position(index)], waiter.term == term else { return nil }
        remove(at: index)
        return waiter
    }

    /// Takes out the waiter at an index if it asked for durability only.
    mutating func takeDurable(_ index: RaftIndex) -> Waiter? {
        guard count > 0, index >= base, index < end else { return nil }
        guard let waiter = slots[position(index)], waiter.acknowledgement == .durable else { return nil }
        remove(at: index)
        return waiter
    }

    /// All waiters in a range of indexes that proposed in `term`, taken out in ascending order.
    mutating func takeAll(in range: Range<RaftIndex>, term: Term?) -> [Waiter] {
        var taken: [Waiter] = []
        var index = Swift.max(range.lowerBound, base)
        let limit = Swift.min(range.upperBound, end)
        while index < limit, count > 0 {
            if let waiter = slots[position(index)], term == nil || waiter.term == term {
                taken.append(waiter)
                slots[position(index)] = nil
                count -= 1
            }
            index = index.next
        }
        advanceBase()
        return taken
    }

    /// Everyone who still waits, taken out in ascending order of index.
    mutating func takeAll() -> [Waiter] { takeAll(in: base..<end, term: nil) }

    private mutating func remove(at index: RaftIndex) {
        slots[position(index)] = nil
        count -= 1
        if index == base { advanceBase() }
    }

    private mutating func advanceBase() {
        while base < end, slots[position(base)] == nil { base = base.next }
    }

    private mutating func grow() {
        var larger: [Waiter?] = Array(repeating: nil, count: slots.count * 2)
        var index = base
        while index < end {
            larger[Int(index.rawValue & UInt64(larger.count - 1))] = slots[position(index)]
            index = index.next
        }
        slots = larger
    }
}
