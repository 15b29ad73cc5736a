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

/// Records in index order, taken from the front.
struct RecordQueue {
    private var records: [PartitionLogRecord] = []
    private var head = 0
    private(set) var byteCount = 0

    var count: Int { records.count - head }
    var isEmpty: Bool { head == records.count }
    var first: PartitionLogRecord? { isEmpty ? nil : records[head] }
    var last: PartitionLogRecord? { isEmpty ? nil : records[records.count - 1] }

    /// What one record takes in memory beside its payload.
    static let overheadBytes = 96

    subscript(offset: Int) -> PartitionLogRecord {
        get { records[head + offset] }
        set { records[head + offset] = newValue }
    }

    mutating func append(_ record: PartitionLogRecord) {
        byteCount += record.byteCount + Self.overheadBytes
        records.append(record)
    }

    mutating func removeFirst(_ number: Int) {
        for offset in 0..<number { byteCount -= records[head + offset].byteCount + Self.overheadBytes }
        head += number
        if head == records.count {
            records.removeAll(keepingCapacity: records.capacity <= 1024)
            head = 0
        } else if head > 64, head * 2 > records.count {
            records.removeFirst(head)
            head = 0
        }
    }

    mutating func removeLast() {
        byteCount -= records[records.count - 1].byteCount + Self.overheadBytes
        records.removeLast()
    }
}
