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
        /// The tick at which nobody waits any longer.
        var expiryTick: UInt64 = .max
        var observer: any ProposalObserver
    }

    private var slots: [Waiter?] = Array(repeating: nil, count: 1024)
    /// Index of the first slot in use; every waiter lies in `base ..< base + slots.count`.
    private var base: RaftIndex = 1
    private var end: RaftIndex = 1
    private(set) var count = 0
    /// Waiters of an earlier leadership, ascending by index. What they wait for may still be committed, while other
    /// entries take its place in this replica's log.
    private var stranded: [(index: RaftIndex, waiter: Waiter)] = []

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

    /// Whether nobody waits.
    var isEmpty: Bool { count == 0 && stranded.isEmpty }

    /// Leadership is over: those who wait keep waiting for their own entries, and make room for others.
    mutating func strand() {
        guard count > 0 else { return }
        var index = base
        while index < end, count > 0 {
            if let waiter = slots[position(index)] {
                stranded.append((index, waiter))
                slots[position(index)] = nil
                count -= 1
            }
            index = index.next
        }
        stranded.sort { $0.index < $1.index }
        base = end
    }

    private mutating func takeStranded(_ index: RaftIndex, term: Term) -> Waiter? {
        guard let at = stranded.firstIndex(where: { $0.index == index && $0.waiter.term == term }) else { return nil }
        return stranded.remove(at: at).waiter
    }

    /// Those who have waited long enough, oldest first.
    mutating func takeExpired(at tick: UInt64) -> [Waiter] {
        var expired = stranded.filter { $0.waiter.expiryTick <= tick }.map(\.waiter)
        stranded.removeAll { $0.waiter.expiryTick <= tick }
        // They were inserted in the order in which they expire.
        while count > 0, let oldest = slots[position(base)], oldest.expiryTick <= tick {
            expired.append(oldest)
            _ = remove(at: base)
        }
        return expired
    }

    /// The waiter of exactly this entry, taken out.
    mutating func take(_ index: RaftIndex, term: Term) -> Waiter? {
        if !stranded.isEmpty, let waiter = takeStranded(index, term: term) { return waiter }
        guard count > 0, index >= base, index < end else { return nil }
        guard slots[position(index)]?.term == term else { return nil }
        return remove(at: index)
    }

    /// Takes out the waiter at an index if it asked for durability only.
    mutating func takeDurable(_ index: RaftIndex) -> Waiter? { take(index, asking: .durable) }

    /// Takes out the waiter at an index if it asked for this acknowledgement.
    mutating func take(_ index: RaftIndex, asking acknowledgement: Acknowledgement) -> Waiter? {
        guard count > 0, index >= base, index < end else { return nil }
        guard slots[position(index)]?.acknowledgement == acknowledgement else { return nil }
        return remove(at: index)
    }

    /// All waiters in a range of indexes that proposed in `term`, taken out in ascending order.
    mutating func takeAll(in range: Range<RaftIndex>, term: Term?) -> [Waiter] {
        var taken: [Waiter] = []
        if !stranded.isEmpty {
            let isMeant = { (entry: (index: RaftIndex, waiter: Waiter)) in
                range.contains(entry.index) && (term == nil || entry.waiter.term == term)
            }
            taken = stranded.filter(isMeant).map(\.waiter)
            stranded.removeAll(where: isMeant)
        }
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
    mutating func takeAll() -> [Waiter] {
        takeAll(in: min(base, stranded.first?.index ?? base)..<max(end, stranded.last?.index.next ?? end), term: nil)
    }

    private mutating func remove(at index: RaftIndex) -> Waiter? {
        let waiter = slots[position(index)].take()
        count -= 1
        if index == base { advanceBase() }
        return waiter
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
