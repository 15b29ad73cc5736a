/// How the files of a stream are made: filled with zeros before use and recycled, so that writing changes no metadata,
/// and written past the page cache, each write durable by itself unless durability is relaxed.
public struct FilePolicy: Hashable, Sendable {
    /// The length of a segment, in bytes.
    public var segmentBytes: UInt64
    /// Files that are kept ready for entries.
    public var spareCount: Int
    /// Keeps one more file for the case that no other can be made.
    public var keepsReserve: Bool
    /// Batches are durable when they are written; otherwise only what `AppendOnlyFile.sync` has covered is.
    public var syncsBatches: Bool

    public init(
        segmentBytes: UInt64 = 64 << 20, spareCount: Int = 1, keepsReserve: Bool = true, syncsBatches: Bool = true
    ) {
        self.segmentBytes = segmentBytes
        self.spareCount = spareCount
        self.keepsReserve = keepsReserve
        self.syncsBatches = syncsBatches
    }
}
