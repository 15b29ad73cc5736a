import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual

/// A pool over a virtual disk, and records whose contents follow from their index.
struct PartitionLogFixture {
    let pool: PartitionLogPool

    init(
        _ seams: Seams, partitions: Int = 300, registry: [SystemCheckpoint.Line] = [],
        configure: (inout PartitionLogPool.Configuration) -> Void = { _ in }
    ) {
        var configuration = PartitionLogPool.Configuration(
            directory: "partitions",
            identity: LogIdentity(
                cluster: UniqueID(high: 1, low: 1), node: UniqueID(high: 2, low: 2), replica: 1,
                store: UniqueID(high: 3, low: 3), log: .none))
        configure(&configuration)
        pool = PartitionLogPool(
            configuration: configuration, seams: seams, partitionCount: partitions, registry: registry)
    }

    /// The record at an index of a partition: its Raft index is ten times as high.
    static func record(_ index: UInt64, of partition: PartitionID = 0, bytes: Int = 40, term: Term = 3)
        -> PartitionLogRecord
    {
        PartitionLogRecord(
            position: PartitionRecordPosition(
                partitionIndex: PartitionLogIndex(index), raftIndex: RaftIndex(index * 10), term: term,
                timestampMicroseconds: Int64(index) * 1000, type: .application),
            payload: (0..<bytes).map { UInt8(truncatingIfNeeded: Int(index) &* 31 &+ $0 &+ Int(partition.rawValue)) }[
                ...])
    }

    func fill(_ partition: PartitionID, _ indexes: ClosedRange<UInt64>, bytes: Int = 40) {
        for index in indexes { pool.store(of: partition).append(Self.record(index, of: partition, bytes: bytes)) }
    }

    /// All records of a partition, read in small pieces.
    func readAll(_ partition: PartitionID = 0) async throws -> [PartitionLogRecord] {
        let store = pool.store(of: partition)
        try await store.open()
        var records: [PartitionLogRecord] = []
        var next = store.startIndex
        while next < store.nextIndex {
            let page = try await store.records(from: next, maxCount: 7, maxBytes: 1 << 20)
            records += page
            next = PartitionLogIndex(next.rawValue + UInt64(page.count))
            if page.isEmpty { break }
        }
        return records
    }

    static func records(_ partition: PartitionID = 0, _ indexes: ClosedRange<UInt64>, bytes: Int = 40)
        -> [PartitionLogRecord]
    { indexes.map { record($0, of: partition, bytes: bytes) } }
}
