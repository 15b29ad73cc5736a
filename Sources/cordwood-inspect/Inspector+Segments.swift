// `segments`: one row a segment file that is part of a stream.

internal import CordwoodBase
internal import CordwoodLog
internal import CordwoodRaft

extension Inspector {
    func segments(_ directory: DataDirectory) async throws(InspectionError) {
        var rows: [Output.Row] = []
        let estimate = try await floorEstimate(directory)
        if let reading = estimate.log {
            for segment in reading.scan.segments {
                let summary = reading.visitor.segments[segment.header.segment] ?? SegmentSummary()
                let lastIndex = summary.indexes?.upperBound ?? 0
                let isBelowFloor = segment.seal != nil && lastIndex < estimate.floor.rawValue
                let holder: Output.Value =
                    segment.seal == nil ? .text("active") : isBelowFloor ? .absent : .text(estimate.holderText)
                rows.append(row("log", segment, summary, heldBy: holder))
            }
        }
        for (partition, reading) in estimate.partitions.sorted(by: { $0.key < $1.key }) {
            for segment in reading.scan.segments {
                let summary = reading.visitor.segments[segment.header.segment] ?? SegmentSummary()
                rows.append(row("partition \(partition)", segment, summary, heldBy: .absent))
            }
        }
        output.table("segment", rows)
    }

    private func row(
        _ stream: String, _ segment: StreamScan.Segment, _ summary: SegmentSummary, heldBy holder: Output.Value
    ) -> Output.Row {
        [
            ("stream", .text(stream)), ("segment", .number(segment.header.segment.rawValue)),
            ("incarnation", .text(hexadecimal(segment.header.incarnation.rawValue))),
            ("epoch", .number(segment.epoch.rawValue)), ("base", .number(segment.carry.last.index.rawValue + 1)),
            ("entries", .number(UInt64(summary.entryCount))),
            ("first_index", summary.indexes.map { .number($0.lowerBound) } ?? .absent),
            ("last_index", summary.indexes.map { .number($0.upperBound) } ?? .absent),
            ("first_term", summary.terms.map { .number($0.lowerBound.rawValue) } ?? .absent),
            ("last_term", summary.terms.map { .number($0.upperBound.rawValue) } ?? .absent),
            ("bytes", .number(segment.fileBytes)), ("used", .number(segment.endOffset)),
            ("sealed", .flag(segment.seal != nil)), ("promise", .text("\(summary.promise)")), ("held_by", holder),
            ("file", .text(segment.path)),
        ]
    }
}
