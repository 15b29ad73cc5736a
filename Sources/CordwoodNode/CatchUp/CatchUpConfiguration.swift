/// How a node brings itself up from others, and what it keeps for those that do.
public struct CatchUpConfiguration: Hashable, Sendable {
    /// Pieces fetched in a second, in bytes; `nil` takes as much as comes.
    public var bytesPerSecond: UInt64?
    /// Size of one piece, in bytes; a record that is larger travels alone.
    public var pieceBytes: Int
    /// Partitions fetched at one time.
    public var partitionsAtOnce: Int
    /// How long the answer to one request may take.
    public var timeoutNanoseconds: UInt64
    /// What one transfer may hold back in the source's segmented log.
    public var maxPinnedBytes: UInt64
    public var maxPinnedNanoseconds: UInt64
    /// A transfer from which nothing has been heard for so long holds nothing back any more.
    public var idleNanoseconds: UInt64

    public init() {
        bytesPerSecond = 64 << 20
        pieceBytes = 1 << 20
        partitionsAtOnce = 8
        timeoutNanoseconds = 30_000_000_000
        maxPinnedBytes = 10 << 30
        maxPinnedNanoseconds = 24 * 3600 * 1_000_000_000
        idleNanoseconds = 600 * 1_000_000_000
    }
}
