internal import CordwoodBase

/// Where entries stand: one mark every 64 KiB of stream, at each segment's first entry and behind each truncation.
///
/// A mark says that the entries from its index up to the next mark's stand between its place and the next mark's place,
/// all in one segment. Derived from the stream and rebuilt when it is opened.
struct SparseIndex {
    struct Mark {
        var first: RaftIndex
        var position: StreamPosition
        /// Link of the batch before the one at `position`.
        var previousLink: PhysicalLink
    }

    static let strideBytes: UInt64 = 64 << 10

    /// Ascending by index and by place.
    private var marks: [Mark] = []

    /// Notes a batch that begins with the entry at `first`. The first batch behind a truncation must be marked: what
    /// stands between the last mark and its place has been dropped.
    mutating func note(first: RaftIndex, position: StreamPosition, previousLink: PhysicalLink, isForced: Bool) {
        if !isForced, let last = marks.last, last.position.segment == position.segment,
            position.offset - last.position.offset < Self.strideBytes
        {
            return
        }
        marks.append(Mark(first: first, position: position, previousLink: previousLink))
    }

    /// Entries behind `index` stand elsewhere from now on.
    mutating func truncate(after index: RaftIndex) {
        while let last = marks.last, last.first > index { marks.removeLast() }
    }

    mutating func removeAll() { marks = [] }

    /// Forgets segments that are gone.
    mutating func release(before segment: SegmentID) {
        let drop = marks.firstIndex { $0.position.segment >= segment } ?? marks.count
        marks.removeFirst(drop)
    }

    /// The first entry in the segments behind one, if any stands there.
    func firstEntry(behind segment: SegmentID) -> RaftIndex? {
        marks.first { $0.position.segment > segment }?.first
    }

    /// The mark at or before an index, and the one behind it.
    func lookup(_ index: RaftIndex) -> (mark: Mark, next: Mark?)? {
        var low = 0
        var high = marks.count
        while low < high {
            let middle = (low + high) / 2
            if marks[middle].first <= index { low = middle + 1 } else { high = middle }
        }
        guard low > 0 else { return nil }
        return (marks[low - 1], low < marks.count ? marks[low] : nil)
    }
}
