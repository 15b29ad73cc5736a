import CordwoodBase
import Testing

@testable import CordwoodLog

@Suite("A run of records from another replica") struct ExportTests {
    private func export(after previous: PartitionPoint, _ records: [[UInt8]]) -> [UInt8] {
        var bytes = PartitionExport.begin(7, after: previous, capacityBytes: 1024)
        for record in records {
            bytes += record
            bytes += [UInt8](
                repeating: 0,
                count: LogFormat.padded(record.count, to: LogFormat.recordAlignment) - record.count)
        }
        PartitionExport.finish(&bytes, count: records.count)
        return bytes
    }

    @Test func isTakenWhereItFollows() throws {
        let run = try PartitionExport(decoding: export(after: .start, LogSamples.partitionRecords))
        #expect(run.count == LogSamples.partitionRecords.count)
    }

    @Test func isRefusedBehindAnotherHistory() {
        var elsewhere = PartitionPoint.start
        elsewhere.chain = ChainValue(high: 1, low: 1)
        let bytes = export(after: elsewhere, LogSamples.partitionRecords)
        #expect(throws: DecodeError.self) { try PartitionExport(decoding: bytes) }
    }

    @Test func isRefusedWithARecordMissingOrTwice() {
        let records = LogSamples.partitionRecords
        for broken in [[records[1]], [records[0], records[0]], [records[1], records[0]]] {
            #expect(throws: DecodeError.self) { try PartitionExport(decoding: export(after: .start, broken)) }
        }
    }
}
