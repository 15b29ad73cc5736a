// `verify`: every stream by itself, then the partition logs against the segmented log and its system checkpoint.

internal import CordwoodBase
internal import CordwoodLog
internal import CordwoodRaft

extension Inspector {
    func verify(_ directory: DataDirectory) async throws(InspectionError) {
        var rows: [Output.Row] = []
        var log: LogInspection?
        if let path = directory.logDirectory {
            let reading = try await readLog(path)
            rows.append(row("log", reading.scan, reading.visitor.segments))
            note(reading.scan.damage)
            if reading.scan.damage == nil { log = reading.visitor }
            for name in reading.scan.unknown { output.note("\(path)/\(name): unknown file") }
        }
        for (partition, path) in directory.partitionDirectories.sorted(by: { $0.key < $1.key }) {
            let line = log?.replay.contents.checkpointLine(of: partition)
            let reading = try await readPartition(partition, in: path, checkpoint: line)
            rows.append(row("partition \(partition)", reading.scan, reading.visitor.segments))
            note(reading.scan.damage)
            if reading.scan.damage == nil, let log { compare(partition, reading, line, log) }
        }
        // The segmented log's own directory says nothing about where the partition logs are.
        if let log, directory.logDirectory != root { checkPresence(directory, log) }
        output.table("stream", rows)
    }

    private func row(_ name: String, _ scan: StreamScan, _ segments: [SegmentID: SegmentSummary]) -> Output.Row {
        let indexes = segments.values.compactMap(\.indexes)
        let first = indexes.map(\.lowerBound).min()
        let last = indexes.map(\.upperBound).max()
        return [
            ("stream", .text(name)), ("class", .text(scan.verdict.className)),
            ("segments", .number(UInt64(scan.segments.count))),
            ("first_index", first.map { .number($0) } ?? .absent),
            ("last_index", last.map { .number($0) } ?? .absent), ("bytes", .number(scan.acceptedBytes)),
            ("end", .text("\(scan.end)")), ("promise", .text("\(scan.promise)")),
            ("detail", scan.verdict.detail.map { .text($0) } ?? .absent),
        ]
    }

    /// A partition log must neither lack what the system checkpoint knows nor have what the segmented log does not.
    private func compare(
        _ partition: PartitionID, _ reading: Reading<PartitionInspection>, _ line: SystemCheckpoint.Line?,
        _ log: LogInspection
    ) {
        let file = reading.scan.segments.last?.path ?? ""
        let end = reading.scan.end.offset
        let persisted = reading.visitor.persisted
        if let line, persisted < line.persisted {
            let until = if case .torn(let until, _, _) = reading.scan.verdict { until } else { end }
            noteLack(partition, has: persisted, line, log, file: file, offsets: end..<max(end, until))
        }
        if let line, let chain = reading.visitor.chainAtCheckpoint, chain != line.chain {
            note(
                Damage(
                    .missing, file: file, offsets: 0..<end,
                    detail: "partition \(partition): record \(line.persisted) is not the one of the system checkpoint"))
        }
        let known = log.replay.contents.tails[partition].partitionIndex
        if known > 0, persisted > known {
            note(
                Damage(
                    .missing, file: file, offsets: 0..<end,
                    detail: "partition \(partition): has \(persisted), the segmented log only \(known): "
                        + "it has lost promised data"))
        }
    }

    private func checkPresence(_ directory: DataDirectory, _ log: LogInspection) {
        for line in log.replay.contents.checkpoint?.partitions ?? []
        where line.persisted > 0 && directory.partitionDirectories[line.partition] == nil {
            noteLack(line.partition, has: 0, line, log, file: root, offsets: 0..<0)
        }
    }

    /// What is lacking is derived, when recovery can write it again from the segmented log; else it is missing.
    private func noteLack(
        _ partition: PartitionID, has: PartitionLogIndex, _ line: SystemCheckpoint.Line, _ log: LogInspection,
        file: String, offsets: Range<UInt64>
    ) {
        let isKept = log.firstKept[partition].map { $0 <= has.next } ?? false
        note(
            Damage(
                isKept ? .derived : .missing, file: file, offsets: offsets,
                detail: "partition \(partition): ends at \(has), the system checkpoint knows \(line.persisted)"
                    + (isKept ? "; the segmented log still has the rest" : "")))
    }
}

extension StreamScan.Verdict {
    /// The class as log lines and errors name it.
    var className: String {
        switch self {
        case .absent, .clean: DamageClass.clean.rawValue
        case .torn: DamageClass.torn.rawValue
        case .damaged(let damage): damage.kind.rawValue
        }
    }

    fileprivate var detail: String? {
        switch self {
        case .absent, .clean: nil
        case .torn(let until, let batches, let reason):
            "never promised up to offset \(until), \(batches) batches: \(reason)"
        case .damaged(let damage): damage.detail
        }
    }
}
