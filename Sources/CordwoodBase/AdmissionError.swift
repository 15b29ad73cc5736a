/// Why a proposal was not taken. Nothing was written and no index consumed: trying again later is safe.
public enum AdmissionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The directory has no such partition.
    case partitionMissing(PartitionID)
    /// Too many entries wait for their apply.
    case backpressure(PartitionID, inflight: Int, limit: Int)
    /// Too many bytes wait for their apply.
    case bytesExceeded(PartitionID, bytes: Int, limit: Int)
    /// The oldest waiting entry is too old.
    case ageExceeded(PartitionID, ageNanoseconds: UInt64, limit: UInt64)
    /// The oldest waiting entry is too far from the end of the log.
    case lagExceeded(PartitionID, lag: UInt64, maximum: UInt64)
    /// The disk has no room for the entry in both logs.
    case noSpace(PartitionID, neededBytes: UInt64, availableBytes: UInt64)
    /// The partition stands still and holds back as much of the segmented log as it may.
    case pinned(PartitionID, pinnedBytes: UInt64, limit: UInt64)
    /// The caller's index is not the partition's next one.
    case indexMismatch(PartitionID, expected: PartitionLogIndex, given: PartitionLogIndex)

    /// False when no later attempt can succeed either.
    public var isRetryable: Bool {
        if case .partitionMissing = self { false } else { true }
    }

    public var description: String {
        switch self {
        case .partitionMissing(let partition): "partition \(partition) not registered"
        case .backpressure(let partition, let inflight, let limit):
            "partition \(partition): \(inflight) entries in flight, limit \(limit)"
        case .bytesExceeded(let partition, let bytes, let limit):
            "partition \(partition): \(bytes) bytes in flight, limit \(limit)"
        case .ageExceeded(let partition, let age, let limit):
            "partition \(partition): oldest entry in flight for \(age / 1_000_000) ms, limit \(limit / 1_000_000) ms"
        case .lagExceeded(let partition, let lag, let maximum):
            "partition \(partition): \(lag) Raft indexes behind, limit \(maximum)"
        case .noSpace(let partition, let needed, let available):
            "partition \(partition): \(needed) bytes needed, \(available) bytes of disk available"
        case .pinned(let partition, let pinned, let limit):
            "partition \(partition): stands still and holds back \(pinned) bytes, limit \(limit)"
        case .indexMismatch(let partition, let expected, let given):
            "partition \(partition): next index is \(expected), not \(given)"
        }
    }
}
