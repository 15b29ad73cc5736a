public import CordwoodBase

/// How bytes on disk fail to be what they should. The names are stable: log lines, errors, exit codes and tests use
/// them.
public enum DamageClass: String, Hashable, Sendable, CaseIterable {
    case clean
    case torn
    case corrupt
    case misdirected
    case missing
    case needsSnapshot = "needs-snapshot"
    case partitionAhead = "partition-ahead"
    case derived
    case foreign
}

/// Damage, with its place.
public struct Damage: Hashable, Sendable, CustomStringConvertible {
    public var kind: DamageClass
    public var file: String
    /// Offsets in bytes within the file.
    public var offsets: Range<UInt64>
    /// Raft indexes that cannot be trusted, as far as they are known.
    public var indexes: Range<RaftIndex>?
    /// What was expected and what was found, in one line.
    public var detail: String

    public init(
        _ kind: DamageClass, file: String, offsets: Range<UInt64>, indexes: Range<RaftIndex>? = nil, detail: String
    ) {
        self.kind = kind
        self.file = file
        self.offsets = offsets
        self.indexes = indexes
        self.detail = detail
    }

    public var description: String {
        let range = indexes.map { " indexes \($0.lowerBound)..<\($0.upperBound)" } ?? ""
        return "\(kind.rawValue): \(file) at \(offsets.lowerBound)..<\(offsets.upperBound)\(range): \(detail)"
    }
}

/// Why a log store could not do what it was asked.
public enum LogError: Error, Hashable, Sendable {
    /// There is no entry at the index yet.
    case notFound(RaftIndex)
    /// The index is below the start of the log.
    case purged(RaftIndex)
    /// Damaged bytes, with their place.
    case corrupt(Damage)
    /// A write or sync failed earlier; the text is the first failure.
    case poisoned(String)
    /// No room, and nothing was written.
    case noSpace(String)
    /// Another process holds the directory.
    case locked(String)
    /// The directory belongs to another cluster, node or store, or to another configuration.
    case wrongIdentity(String)
    case unsupportedVersion(String)
    /// The call contradicts the log: a gap, an index that is there already, a truncation below the start.
    case invalidArgument(String)
    /// What the ticket named was dropped by a truncation.
    case stale
    case closed
    /// Reading or opening failed below the log.
    case unavailable(String)
}
