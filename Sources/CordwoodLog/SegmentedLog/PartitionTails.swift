package import CordwoodBase

/// The last entry of each partition in this log, uncommitted ones included: where next(p) comes from. Moved by append,
/// truncation, installation and the registry of a system checkpoint; never by a scan.
package struct PartitionTails {
    package struct Tail: Hashable {
        /// 0 when the partition has no entry.
        package var partitionIndex: PartitionLogIndex
        package var raftIndex: RaftIndex

        static let none = Tail(partitionIndex: 0, raftIndex: 0)
    }

    /// By partition, as far as one has been written.
    private var tails: [Tail] = []
    /// Entries up to this index are gone from the log or have not been read: a tail at or below it that a registry has
    /// stated, or no tail, may be followed by some of them.
    private(set) var unknownThrough: RaftIndex = 0

    package subscript(partition: PartitionID) -> Tail {
        partition.rawValue < UInt64(tails.count) ? tails[Int(partition.rawValue)] : .none
    }

    /// Why a slice cannot be the next one of its partition; `nil` when it is.
    func refusal(of slice: EntrySlice) -> String? {
        guard slice.partition.rawValue < LogFormat.maximumPartitions else {
            return "partition \(slice.partition) is beyond \(LogFormat.maximumPartitions)"
        }
        let tail = self[slice.partition]
        if slice.partitionIndex == tail.partitionIndex.next, slice.previousRaftIndex == tail.raftIndex { return nil }
        // Behind a gap the first entry of a partition says where it stands: at least one entry lies in the gap, behind
        // all that a registry could state.
        let liesBehindGap = slice.previousRaftIndex > tail.raftIndex && slice.previousRaftIndex <= unknownThrough
        if liesBehindGap, slice.partitionIndex > tail.partitionIndex.next { return nil }
        return "partition \(slice.partition) is at index \(tail.partitionIndex) of entry \(tail.raftIndex), "
            + "the slice says \(slice.partitionIndex) after entry \(slice.previousRaftIndex)"
    }

    mutating func advance(_ slice: EntrySlice, raftIndex: RaftIndex) {
        set(slice.partition, Tail(partitionIndex: slice.partitionIndex, raftIndex: raftIndex))
    }

    /// Takes back what an entry with this slice did.
    mutating func retreat(_ slice: EntrySlice) {
        set(
            slice.partition,
            Tail(partitionIndex: slice.partitionIndex.previous, raftIndex: slice.previousRaftIndex))
    }

    /// Takes the registry of a checkpoint: what the log itself does not show any more. A registry is as old as its
    /// checkpoint: one that was read may be followed by entries that were purged under a later one.
    mutating func merge(_ lines: [SystemCheckpoint.Line]) {
        for line in lines where self[line.partition].raftIndex < line.raftIndex {
            if self[line.partition].raftIndex > unknownThrough { continue }
            set(line.partition, Tail(partitionIndex: line.persisted, raftIndex: line.raftIndex))
        }
    }

    /// All that there is has been read, or stated by the newest registry: from here on a partition's next entry follows
    /// its tail.
    mutating func closeGap() { unknownThrough = 0 }

    /// Forgets every tail: entries up to `index` are not in this log.
    mutating func forget(through index: RaftIndex) {
        tails = []
        unknownThrough = index
    }

    private mutating func set(_ partition: PartitionID, _ tail: Tail) {
        let position = Int(partition.rawValue)
        if position >= tails.count {
            tails.append(contentsOf: repeatElement(.none, count: max(position + 1, tails.count * 2) - tails.count))
        }
        tails[position] = tail
    }
}
