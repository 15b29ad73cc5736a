import CordwoodBase
import CordwoodLog

/// Replicas are byte-identical where it counts: the canonical exports of their partition logs, the records as they are
/// stored behind the point that they follow, are the same bytes for the same run of indexes.
final class ExportChecker {
    private struct Run: Hashable {
        var partition: PartitionID
        var indexes: ClosedRange<PartitionLogIndex>
    }

    private let judge: Judge
    private var known: [Run: (bytes: [UInt8], host: String)] = [:]
    private(set) var comparedCount = 0

    init(_ judge: Judge) { self.judge = judge }

    /// A run of records as a replica gives it.
    func take(_ bytes: [UInt8], from host: String) {
        let export: PartitionExport
        do throws(DecodeError) { export = try PartitionExport(decoding: bytes) } catch {
            return judge.report("exports are whole", "\(host): \(error)")
        }
        compare(bytes, of: export.partition, export.first...export.last.partitionIndex, from: host)
    }

    func compare(
        _ bytes: [UInt8], of partition: PartitionID, _ indexes: ClosedRange<PartitionLogIndex>, from host: String
    ) {
        let run = Run(partition: partition, indexes: indexes)
        guard let (other, name) = known[run] else {
            known[run] = (bytes, host)
            return
        }
        comparedCount += 1
        judge.require(
            bytes == other, "canonical exports are identical",
            "those of \(partition)/\(indexes) differ on \(name) and \(host), first at byte "
                + "\(zip(bytes, other).prefix { $0 == $1 }.count)")
    }
}
