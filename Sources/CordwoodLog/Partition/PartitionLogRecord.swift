public import CordwoodBase

/// One committed slice, as a partition log takes it and gives it back.
public struct PartitionLogRecord: Sendable, Hashable {
    public var position: PartitionRecordPosition
    public var payload: ArraySlice<UInt8>
    public var verdict: Verdict

    /// Whether the partition's machine is to see the command. Decided once, in log order, and stored with the record,
    /// so that applying it again needs nothing but the partition's own log.
    public enum Verdict: UInt8, Sendable, Hashable {
        /// The machine decides.
        case apply
        /// Another participant of the entry has objected, or the command's session was not open.
        case refused
        /// The participants have not met yet. Never written to a file.
        case undecided
    }

    public init(position: PartitionRecordPosition, payload: ArraySlice<UInt8>, verdict: Verdict = .apply) {
        self.position = position
        self.payload = payload
        self.verdict = verdict
    }

    @inlinable
    public var partitionIndex: PartitionLogIndex { position.partitionIndex }

    /// Bytes of the entry's payload that belong to the partition.
    @inlinable
    public var byteCount: Int { payload.count }
}
