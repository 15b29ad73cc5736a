internal import CordwoodBase

/// What the tracker keeps of one slice: 24 bytes.
///
/// Of the partition index only the low half is kept; the other half follows from the partition's counters, because the
/// entries tracked at one time lie within 2^32 indexes of each other.
struct TrackedSlice {
    var previousRaftIndex: UInt64
    var indexLow: UInt32
    var byteCount: UInt32
    var partition: UInt16
    var flags: Flags

    struct Flags: OptionSet {
        let rawValue: UInt16

        /// The Raft entry has one slice, this one.
        static let one = Flags(rawValue: 1)
        /// The Raft entry has several; they are in the ring's side table.
        static let many = Flags(rawValue: 2)
        /// An outcome has shown the entry satisfied.
        static let reported = Flags(rawValue: 4)
    }

    static let empty = TrackedSlice(previousRaftIndex: 0, indexLow: 0, byteCount: 0, partition: 0, flags: [])

    /// The whole index, which lies within 2^31 of `near`.
    @inline(__always)
    func index(near: UInt64) -> UInt64 {
        near &+ UInt64(bitPattern: Int64(Int32(bitPattern: indexLow &- UInt32(truncatingIfNeeded: near))))
    }
}

/// The tracked slices in Raft order: one place for each Raft index from `first` to `end`, so that an index is found by
/// subtraction. Entries without slices leave their place empty; the few with several keep them in a side table.
struct TrackedRing {
    private var places: [TrackedSlice]
    private var head = 0
    /// Raft index of the first place.
    private(set) var first: UInt64
    private(set) var count = 0
    private var severals: [UInt64: [TrackedSlice]] = [:]

    init(first: UInt64) {
        self.first = first
        places = Array(repeating: .empty, count: 64)
    }

    /// Raft index behind the last place.
    @inline(__always)
    var end: UInt64 { first &+ UInt64(count) }

    @inline(__always)
    private func position(_ raft: UInt64) -> Int { (head &+ Int(raft &- first)) & (places.count &- 1) }

    @inline(__always)
    private func holds(_ raft: UInt64) -> Bool { raft >= first && raft < end }

    var isFull: Bool { count == places.count }

    /// Starts anew at an index; everything held is forgotten.
    mutating func restart(at raft: UInt64) {
        head = 0
        count = 0
        first = raft
        severals.removeAll()
    }

    /// Adds a slice at the last place or behind it, leaving places between them empty.
    mutating func append(_ slice: TrackedSlice, at raft: UInt64) {
        if count == 0 { first = raft }
        if raft < end {
            invariant(raft == end - 1, "slice at Raft index \(raft) tracked behind \(end - 1)")
            addToLast(slice, raft)
            return
        }
        while end < raft { appendPlace(.empty) }
        var slice = slice
        slice.flags = .one
        appendPlace(slice)
    }

    @inline(__always)
    private mutating func appendPlace(_ slice: TrackedSlice) {
        if count == places.count { grow() }
        places[(head &+ count) & (places.count &- 1)] = slice
        count &+= 1
    }

    private mutating func addToLast(_ slice: TrackedSlice, _ raft: UInt64) {
        let place = position(raft)
        if places[place].flags.isEmpty {
            places[place] = slice
            places[place].flags = .one
            return
        }
        if places[place].flags.contains(.one) {
            severals[raft] = [places[place]]
            places[place] = .empty
            places[place].flags = .many
        }
        var slice = slice
        slice.flags = .one
        severals[raft, default: []].append(slice)
    }

    private mutating func grow() {
        var larger = [TrackedSlice](repeating: .empty, count: places.count * 2)
        for offset in 0..<count { larger[offset] = places[(head &+ offset) & (places.count &- 1)] }
        places = larger
        head = 0
    }

    /// Calls `body` with each slice of the entry at a Raft index, if there are any.
    @inline(__always)
    func forEach(at raft: UInt64, _ body: (TrackedSlice) -> Void) {
        guard holds(raft) else { return }
        let slice = places[position(raft)]
        if slice.flags.contains(.one) {
            body(slice)
        } else if slice.flags.contains(.many) {
            severals[raft]?.forEach(body)
        }
    }

    /// True when every slice of the entry satisfies `condition`; true for an entry without slices.
    @inline(__always)
    func allSatisfy(at raft: UInt64, _ condition: (TrackedSlice) -> Bool) -> Bool {
        let slice = places[position(raft)]
        if slice.flags.contains(.one) { return condition(slice) }
        if slice.flags.contains(.many) { return severals[raft]?.allSatisfy(condition) ?? true }
        return true
    }

    /// The slice of one partition at a Raft index.
    func slice(of partition: UInt16, at raft: UInt64) -> TrackedSlice? {
        var found: TrackedSlice?
        forEach(at: raft) { if $0.partition == partition { found = $0 } }
        return found
    }

    mutating func markReported(_ partition: UInt16, at raft: UInt64) {
        guard holds(raft) else { return }
        let place = position(raft)
        if places[place].flags.contains(.one), places[place].partition == partition {
            places[place].flags.insert(.reported)
        } else if let slices = severals[raft], let at = slices.firstIndex(where: { $0.partition == partition }) {
            severals[raft]?[at].flags.insert(.reported)
        }
    }

    /// Takes one partition's slice out of its place.
    mutating func remove(_ partition: UInt16, at raft: UInt64) {
        guard holds(raft) else { return }
        let place = position(raft)
        if places[place].flags.contains(.one), places[place].partition == partition {
            places[place] = .empty
        } else if places[place].flags.contains(.many) {
            severals[raft]?.removeAll { $0.partition == partition }
        }
    }

    mutating func dropFirst() {
        if places[head].flags.contains(.many) { severals[first] = nil }
        head = (head &+ 1) & (places.count &- 1)
        first &+= 1
        count &-= 1
    }

    mutating func dropLast() {
        let last = end - 1
        if places[position(last)].flags.contains(.many) { severals[last] = nil }
        count -= 1
    }
}
