public import CordwoodBase

/// How the files of a stream are made and written. The format is the same for both kinds of log.
public struct FilePolicy: Hashable, Sendable {
    public var kind: LogKind
    /// The partition of a partition log, 0 in the segmented log.
    public var partition: PartitionID
    /// A segment is finished when its next batch would pass this length, in bytes.
    public var segmentBytes: UInt64
    /// How a file grows: whole at once when both bounds are `segmentBytes`, else by doubling steps between the bounds.
    public var growth: ClosedRange<UInt64>
    /// Filled with zeros before use and recycled, so that writing changes no metadata.
    public var isPreallocated: Bool
    /// Written past the page cache, each write durable by itself. Otherwise writes are buffered and synced on demand.
    public var isDurablePerWrite: Bool
    /// Preallocated files that are kept ready for entries.
    public var spareCount = 1
    /// Keeps one more file for the case that no other can be made.
    public var keepsReserve = true

    /// Preallocated, recycled, direct and durable writes.
    public static func segmented(segmentBytes: UInt64 = 64 << 20) -> FilePolicy {
        FilePolicy(
            kind: .segmented, partition: 0, segmentBytes: segmentBytes, growth: segmentBytes...segmentBytes,
            isPreallocated: true, isDurablePerWrite: true)
    }

    /// Grown from 64 KiB by doubling steps up to 8 MiB, buffered writes, synced on demand.
    public static func partition(_ partition: PartitionID, segmentBytes: UInt64 = 64 << 20) -> FilePolicy {
        let first = min(segmentBytes, 64 << 10)
        return FilePolicy(
            kind: .partition, partition: partition, segmentBytes: segmentBytes,
            growth: first...max(first, min(segmentBytes, 8 << 20)), isPreallocated: false, isDurablePerWrite: false)
    }

    /// The length a file of `current` bytes is given so that it holds `needed` bytes.
    func grownBytes(from current: UInt64, toHold needed: UInt64) -> UInt64 {
        var length = max(current, growth.lowerBound)
        while length < needed { length += min(max(length, growth.lowerBound), growth.upperBound) }
        return length
    }
}
