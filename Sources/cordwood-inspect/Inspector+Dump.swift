// `dump`: the accepted records of one stream, in order, one a line.

internal import CordwoodBase
internal import CordwoodEvents
internal import CordwoodLog
internal import CordwoodRaft

extension Inspector {
    func dump(_ directory: DataDirectory, _ filter: DumpFilter) async throws(InspectionError) {
        if let partition = filter.partition {
            guard let path = directory.partitionDirectories[partition] else {
                throw .unreadable("\(root): partition \(partition) has no log")
            }
            note(try await readPartition(partition, in: path, checkpoint: nil).scan.damage)
            try await print(path, PartitionFileName.prefix(of: partition), .partition, partition, filter) {
                PartitionInspection(checkpoint: nil)
            } hook: {
                $0.onRecord = $1
            }
        } else {
            guard let path = directory.logDirectory else { throw .unreadable("\(root): no segmented log") }
            note(try await readLog(path).scan.damage)
            try await print(path, "", .segmented, 0, filter) {
                LogInspection()
            } hook: {
                $0.onRecord = $1
            }
        }
    }

    /// What is to be printed has been judged before: here it is read once more and printed as it comes.
    private func print<Visitor: StreamVisitor>(
        _ path: String, _ prefix: String, _ kind: LogKind, _ partition: PartitionID, _ filter: DumpFilter,
        _ makeVisitor: () -> Visitor, hook: (Visitor, @escaping (RecordView, SegmentID, BatchView) -> Void) -> Void
    ) async throws(InspectionError) {
        var options = StreamScanner.Options.inspecting
        if kind == .partition { options.naming = .partition }
        let scanner = StreamScanner(
            directory: path, prefix: prefix, kind: kind, partition: partition, files: files, options: options)
        do throws(LogError) {
            _ = try await scanner.run {
                let visitor = makeVisitor()
                hook(visitor) { [output] record, segment, batch in
                    guard let row = record.row(filter) else { return }
                    let place: Output.Row = [
                        ("segment", .number(segment.rawValue)), ("offset", .number(batch.offset)),
                        ("epoch", .number(batch.header.epoch.rawValue)),
                    ]
                    output.line(row.kind, row.fields + place)
                }
                return visitor
            }
        } catch {
            throw .unreadable("\(error)")
        }
    }
}

extension RecordView {
    /// What `dump` says of a record; `nil` when the filter leaves it out. Control records have no index of their own,
    /// so a filter by index or term leaves all of them out.
    fileprivate func row(_ filter: DumpFilter) -> (kind: String, fields: Output.Row)? {
        if let entry = try? entryHeader() {
            guard filter.indexes.contains(entry.raftIndex.rawValue), filter.term.map({ $0 == entry.term }) ?? true
            else { return nil }
            let slices = entry.slices.map { "\($0.partition):\($0.partitionIndex)" }.joined(separator: ",")
            return (
                "entry",
                [
                    ("index", .number(entry.raftIndex.rawValue)), ("term", .number(entry.term.rawValue)),
                    ("type", .text("\(entry.type)")), ("timestamp_us", .text("\(entry.timestampMicroseconds)")),
                    ("slices", slices.isEmpty ? .absent : .text(slices)), ("chain", .text("\(entry.chain)")),
                ] + payloadFields(filter)
            )
        }
        if let entry = try? partitionHeader() {
            let position = entry.position
            guard filter.indexes.contains(position.partitionIndex.rawValue),
                filter.term.map({ $0 == position.term }) ?? true
            else { return nil }
            return (
                "record",
                [
                    ("index", .number(position.partitionIndex.rawValue)),
                    ("raft_index", .number(position.raftIndex.rawValue)), ("term", .number(position.term.rawValue)),
                    ("type", .text("\(position.type)")),
                    ("timestamp_us", .text("\(position.timestampMicroseconds)")), ("chain", .text("\(entry.chain)")),
                ] + payloadFields(filter)
            )
        }
        guard filter.indexes == 0...UInt64.max, filter.term == nil else { return nil }
        guard let control = try? control() else { return ("unknown", [("code", .number(UInt64(header.rawKind)))]) }
        return ("\(control.kind)", control.fields)
    }

    private func payloadFields(_ filter: DumpFilter) -> Output.Row {
        let bytes = payload
        var fields: Output.Row = [("payload_bytes", .number(UInt64(bytes.count)))]
        if filter.isRaw {
            fields.append(("payload", .text(bytes.map { Self.digits(of: $0) }.joined())))
        } else if let summary = AppendCommand.summary(of: bytes) {
            fields.append(("events", .text(summary)))
        }
        return fields
    }

    private static func digits(of byte: UInt8) -> String {
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
}

extension ControlRecord {
    fileprivate var fields: Output.Row {
        switch self {
        case .truncation(let record):
            [("last_index", .number(record.last.index.rawValue)), ("new_epoch", .number(record.epoch.rawValue))]
        case .vote(let vote):
            [("term", .number(vote.term.rawValue)), ("candidate", .number(vote.candidate.rawValue))]
        case .carry(let record):
            [
                ("last_index", .number(record.last.index.rawValue)),
                ("boundary_index", .number(record.boundary.index.rawValue)),
                ("term", .number(record.vote.term.rawValue)), ("commit", .number(record.commitHint.rawValue)),
                ("first_segment", .number(record.firstSegment.rawValue)),
                ("checkpoint", record.checkpoint.map { .text("\($0)") } ?? .absent),
            ]
        case .seal(let record):
            [("successor", .number(record.successor.rawValue)), ("final_bytes", .number(record.finalBytes))]
        case .checkpoint(let piece):
            [
                ("number", .number(piece.number)), ("piece", .number(UInt64(piece.piece))),
                ("pieces", .number(UInt64(piece.pieceCount))), ("bytes", .number(UInt64(piece.bytes.count))),
            ]
        case .recovery(let record):
            [
                ("new_epoch", .number(record.epoch.rawValue)), ("accepted_end", .text("\(record.acceptedEnd)")),
                ("discarded_bytes", .number(record.discardedBytes)),
            ]
        case .boundary(let boundary):
            [("boundary_index", .number(boundary.index.rawValue)), ("term", .number(boundary.term.rawValue))]
        case .install(let record):
            [
                ("boundary_index", .number(record.boundary.index.rawValue)),
                ("new_epoch", .number(record.epoch.rawValue)),
            ]
        case .gate(let record): [("gate", .text("\(record.gate)")), ("from_index", .number(record.from.rawValue))]
        case .promise: []
        case .release(let segment): [("first_segment", .number(segment.rawValue))]
        }
    }
}
