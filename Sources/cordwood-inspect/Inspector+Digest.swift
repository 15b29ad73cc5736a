// `digest`: what each partition's log holds, as one value over its records in the form in which replicas have them in
// common. Replicas that hold the same records print the same lines.

internal import CordwoodBase
internal import CordwoodLog
internal import CordwoodRaft

extension Inspector {
    func digest(_ directory: DataDirectory) async throws(InspectionError) {
        var rows: [Output.Row] = []
        for (partition, path) in directory.partitionDirectories.sorted(by: { $0.key < $1.key }) {
            let reading = try await readPartition(partition, in: path, checkpoint: nil)
            note(reading.scan.damage)
            if reading.scan.damage != nil { continue }
            let digest = try await digest(of: partition, in: path, from: reading.visitor.start.next)
            rows.append([
                ("partition", .number(partition.rawValue)), ("first_index", .number(digest.first.rawValue)),
                ("last_index", .number(digest.last.rawValue)), ("bytes", .number(digest.bytes)),
                ("chain", .text("\(digest.chain)")), ("digest", .text("\(digest.value)")),
            ])
        }
        output.table("partition", rows)
    }

    private func digest(
        of partition: PartitionID, in path: String, from first: PartitionLogIndex
    ) async throws(InspectionError) -> RecordDigest {
        let digest = RecordDigest(from: first)
        var options = StreamScanner.Options.inspecting
        options.naming = .partition
        let scanner = StreamScanner(
            directory: path, prefix: PartitionFileName.prefix(of: partition), kind: .partition, partition: partition,
            files: files, options: options)
        do throws(LogError) {
            _ = try await scanner.run {
                digest.clear()
                let visitor = PartitionInspection(checkpoint: nil)
                visitor.onRecord = { record, _, _ in digest.take(record) }
                return visitor
            }
        } catch { throw .unreadable("\(error)") }
        return digest
    }
}

/// A value over the whole bytes of records in their order: XXH3-128 over the value before and that of the record.
private final class RecordDigest {
    let first: PartitionLogIndex
    private(set) var chain = ChainValue.zero
    /// What has been made of each record, so that a truncation can go back.
    private var values: [(value: ChainValue, bytes: UInt64)] = []

    init(from first: PartitionLogIndex) { self.first = first }

    var last: PartitionLogIndex { PartitionLogIndex(first.rawValue + UInt64(values.count) - 1) }
    var value: ChainValue { values.last?.value ?? .zero }
    var bytes: UInt64 { values.last?.bytes ?? 0 }

    func clear() { values = [] }

    func take(_ record: RecordView) {
        if let found = try? record.partitionHeader() {
            chain = found.chain
            let inner = Checksum.xxh3Wide(record.bytes, seed: 0)
            let words = (value.low, value.high, inner.low, inner.high)
            let next = withUnsafeBytes(of: words) { Checksum.xxh3Wide($0, seed: 0) }
            values.append((next, bytes + UInt64(record.bytes.count)))
        } else if case .truncation(let truncation)? = try? record.control() {
            let count = truncation.last.index.rawValue + 1 - min(truncation.last.index.rawValue + 1, first.rawValue)
            values.removeLast(values.count - min(values.count, Int(count)))
            chain = truncation.last.chain
        }
    }
}
