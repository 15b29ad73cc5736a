internal import CProcessor
internal import CordwoodBase

/// An open-addressing table from hashes to 32-bit numbers, 8 bytes a slot, that grows without a long pause.
///
/// It knows only 32 bits of each hash, the fingerprint: whoever looks something up compares what the candidates stand
/// for. The top bits of a fingerprint choose a segment through a directory, the bits behind them a place in the
/// segment; probing is linear. A full segment grows by a sixth until it holds `maxSegmentEntries`, then it splits in
/// two by the next bit. So one insertion moves at most that many slots, wherever the table stands, and between 73 and
/// 86 % of the slots are in use.
struct FingerprintTable: ~Copyable {
    /// Number that no entry has: it marks an empty slot.
    static let noNumber = UInt32.max

    private static let empty = UInt64.max
    private static let maxSegmentEntries = 4096
    private static let smallestCapacity = 8

    struct Segment {
        var slots: UnsafeMutablePointer<UInt64>
        var capacity: Int
        var entries: Int
        /// Top bits of the fingerprint that all entries of the segment share.
        var depth: Int
        /// Entries at which the segment grows or splits.
        var limit: Int { capacity - capacity / 7 }
    }

    private var segments: [Segment]
    /// Number of the segment for each value of the top `depth` bits of a fingerprint.
    private var directory: [UInt32]
    private var depth = 0
    private(set) var count = 0

    init() {
        segments = [
            Segment(
                slots: Self.emptySlots(Self.smallestCapacity), capacity: Self.smallestCapacity, entries: 0, depth: 0)
        ]
        directory = [0]
    }

    deinit {
        for segment in segments { segment.slots.deallocate() }
    }

    /// Bytes of memory taken by slots and directory.
    var allocatedBytes: Int { segments.reduce(directory.count * 4) { $0 + $1.capacity * 8 + 32 } }

    /// The first number stored under `fingerprint` for which `matches` holds.
    @inline(__always)
    func first(_ fingerprint: UInt32, where matches: (UInt32) -> Bool) -> UInt32? {
        let segment = segments[segmentNumber(of: fingerprint)]
        var position = Self.home(of: fingerprint, depth: segment.depth, capacity: segment.capacity)
        while true {
            let slot = segment.slots[position]
            if slot == Self.empty { return nil }
            if UInt32(truncatingIfNeeded: slot >> 32) == fingerprint {
                let number = UInt32(truncatingIfNeeded: slot)
                if matches(number) { return number }
            }
            position += 1
            if position == segment.capacity { position = 0 }
        }
    }

    /// Lets the memory come at which a search for `fingerprint` begins.
    @inline(__always)
    func prefetch(_ fingerprint: UInt32) {
        let segment = segments[segmentNumber(of: fingerprint)]
        cprocessor_prefetch(
            segment.slots + Self.home(of: fingerprint, depth: segment.depth, capacity: segment.capacity))
    }

    /// Adds an entry; several may share a fingerprint.
    @inline(__always)
    mutating func insert(_ fingerprint: UInt32, _ number: UInt32) {
        invariant(number != Self.noNumber, "the number that marks an empty slot was inserted")
        var segmentNumber = segmentNumber(of: fingerprint)
        if segments[segmentNumber].entries >= segments[segmentNumber].limit {
            makeRoom(in: segmentNumber)
            segmentNumber = self.segmentNumber(of: fingerprint)
        }
        segments[segmentNumber].entries += 1
        count += 1
        let segment = segments[segmentNumber]
        Self.place(UInt64(fingerprint) << 32 | UInt64(number), in: segment)
    }

    /// Calls `body` with every entry, in no particular order.
    func forEach(_ body: (_ fingerprint: UInt32, _ number: UInt32) -> Void) {
        for segment in segments {
            for position in 0..<segment.capacity where segment.slots[position] != Self.empty {
                let slot = segment.slots[position]
                body(UInt32(truncatingIfNeeded: slot >> 32), UInt32(truncatingIfNeeded: slot))
            }
        }
    }

    @inline(__always)
    private func segmentNumber(of fingerprint: UInt32) -> Int {
        Int(directory[Int(UInt64(fingerprint) >> UInt64(32 - depth))])
    }

    /// Where probing for a fingerprint begins: its bits behind the first `depth`, as a fraction of the capacity.
    @inline(__always)
    private static func home(of fingerprint: UInt32, depth: Int, capacity: Int) -> Int {
        let fraction = UInt64(truncatingIfNeeded: fingerprint << UInt32(truncatingIfNeeded: depth))
        return Int(truncatingIfNeeded: (fraction &* UInt64(truncatingIfNeeded: capacity)) >> 32)
    }

    @inline(__always)
    private static func place(_ slot: UInt64, in segment: Segment) {
        let fingerprint = UInt32(truncatingIfNeeded: slot >> 32)
        var position = home(of: fingerprint, depth: segment.depth, capacity: segment.capacity)
        while segment.slots[position] != empty {
            position += 1
            if position == segment.capacity { position = 0 }
        }
        segment.slots[position] = slot
    }

    private static func emptySlots(_ capacity: Int) -> UnsafeMutablePointer<UInt64> {
        let slots = UnsafeMutablePointer<UInt64>.allocate(capacity: capacity)
        slots.initialize(repeating: empty, count: capacity)
        return slots
    }

    @inline(never)
    private mutating func makeRoom(in segmentNumber: Int) {
        let full = segments[segmentNumber]
        // Entries with equal fingerprints cannot be told apart by splitting: a directory that has outgrown the segments
        // is a sign of many such, and the segment grows instead.
        let isDegenerate = full.depth == depth && directory.count >= 8 * segments.count
        if full.entries < Self.maxSegmentEntries || isDegenerate {
            let capacity = full.capacity + max(4, full.capacity / 6)
            let grown = Segment(
                slots: Self.emptySlots(capacity), capacity: capacity, entries: full.entries, depth: full.depth)
            for position in 0..<full.capacity where full.slots[position] != Self.empty {
                Self.place(full.slots[position], in: grown)
            }
            segments[segmentNumber] = grown
            full.slots.deallocate()
        } else {
            split(segmentNumber)
        }
    }

    private mutating func split(_ segmentNumber: Int) {
        let full = segments[segmentNumber]
        if full.depth == depth { doubleDirectory() }
        let newDepth = full.depth + 1
        let bit = UInt64(1) << UInt64(63 - full.depth)
        var upperEntries = 0
        var prefix: UInt32 = 0
        for position in 0..<full.capacity where full.slots[position] != Self.empty {
            if full.slots[position] & bit != 0 { upperEntries += 1 }
            prefix = UInt32(truncatingIfNeeded: full.slots[position] >> 32)
        }
        let lower = Self.half(entries: full.entries - upperEntries, depth: newDepth)
        let upper = Self.half(entries: upperEntries, depth: newDepth)
        for position in 0..<full.capacity where full.slots[position] != Self.empty {
            Self.place(full.slots[position], in: full.slots[position] & bit == 0 ? lower : upper)
        }
        full.slots.deallocate()
        segments[segmentNumber] = lower
        segments.append(upper)

        let span = 1 << (depth - full.depth)
        let first = Int(UInt64(prefix) >> UInt64(32 - depth)) & ~(span - 1)
        for position in first + span / 2..<first + span { directory[position] = UInt32(segments.count - 1) }
    }

    private static func half(entries: Int, depth: Int) -> Segment {
        let capacity = max(smallestCapacity, entries + entries / 3)
        return Segment(slots: emptySlots(capacity), capacity: capacity, entries: entries, depth: depth)
    }

    private mutating func doubleDirectory() {
        var doubled: [UInt32] = []
        doubled.reserveCapacity(directory.count * 2)
        for number in directory {
            doubled.append(number)
            doubled.append(number)
        }
        directory = doubled
        depth += 1
    }
}
