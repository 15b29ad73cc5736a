import CordwoodBase

/// The newest entries of the log, as the node handed them to the store: what is not yet dispatched is found here and
/// never read back from disk, and older ones stay while they fit the capacity.
///
/// A dense run of indexes; a suffix truncation cuts it, eviction takes from its front and never passes `pinned`.
struct TailCache {
    private var entries: [Entry?] = Array(repeating: nil, count: 1024)
    private(set) var firstIndex: RaftIndex
    private(set) var nextIndex: RaftIndex
    private(set) var byteCount = 0
    let capacityBytes: Int

    init(nextIndex: RaftIndex, capacityBytes: Int) {
        firstIndex = nextIndex
        self.nextIndex = nextIndex
        self.capacityBytes = capacityBytes
    }

    private func position(_ index: RaftIndex) -> Int { Int(index.rawValue & UInt64(entries.count - 1)) }

    mutating func append(_ entry: Entry) {
        invariant(entry.index == nextIndex, "tail entry \(entry.index) where \(nextIndex) is next")
        if nextIndex - firstIndex == UInt64(entries.count) { grow() }
        byteCount += entry.payload.count
        entries[position(entry.index)] = entry
        nextIndex = nextIndex.next
    }

    /// The entry, or `nil` when it is not held.
    subscript(index: RaftIndex) -> Entry? {
        index >= firstIndex && index < nextIndex ? entries[position(index)] : nil
    }

    /// Drops `index` and everything after it.
    mutating func truncate(from index: RaftIndex) {
        while nextIndex > index, nextIndex > firstIndex {
            nextIndex = nextIndex.previous
            drop(nextIndex)
        }
        if nextIndex > index {
            firstIndex = index
            nextIndex = index
        }
    }

    /// Lets go of entries below `pinned`, oldest first, until the rest fits the capacity.
    mutating func evict(below pinned: RaftIndex) {
        while byteCount > capacityBytes || nextIndex - firstIndex > UInt64(maximumEntries), firstIndex < pinned,
            firstIndex < nextIndex
        {
            drop(firstIndex)
            firstIndex = firstIndex.next
        }
    }

    /// Starts anew behind an installed snapshot.
    mutating func reset(nextIndex: RaftIndex) {
        truncate(from: firstIndex)
        firstIndex = nextIndex
        self.nextIndex = nextIndex
    }

    /// Small payloads are bounded by count, so that the ring itself stays small.
    private var maximumEntries: Int { 65_536 }

    private mutating func drop(_ index: RaftIndex) {
        if let entry = entries[position(index)] { byteCount -= entry.payload.count }
        entries[position(index)] = nil
    }

    private mutating func grow() {
        var larger: [Entry?] = Array(repeating: nil, count: entries.count * 2)
        var index = firstIndex
        while index < nextIndex {
            larger[Int(index.rawValue & UInt64(larger.count - 1))] = entries[position(index)]
            index = index.next
        }
        entries = larger
    }
}
