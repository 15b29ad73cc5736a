import CordwoodBase
import CordwoodIO
import CordwoodRaft
import LogTestSupport

@testable import CordwoodLog

// Files of the segmented log and of partition logs, and runs of their records that travel between replicas.

extension DecoderDriver {
    static let logDrivers = [segmentHeader, batch, record, checkpoint, export]

    // MARK: Segment header

    private static let segmentHeader = DecoderDriver(
        "segment-header",
        samples: {
            [LogSamples.headerBytes.form(0), [UInt8](LogSamples.headerBytes.dropLast(8)).form(1)]
        },
        forms: [
            { readHeader([UInt8]($0)) },
            { bytes in
                // Sealed: a magic number and a checksum that are right.
                var block = [UInt8](bytes.prefix(LogFormat.segmentHeaderBytes - 8))
                block += [UInt8](repeating: 0, count: LogFormat.segmentHeaderBytes - block.count)
                block.replaceSubrange(0..<8, with: [UInt8](littleEndian: LogFormat.magic))
                let check = block.withUnsafeBytes {
                    Checksum.xxh3(
                        UnsafeRawBufferPointer(rebasing: $0[..<SegmentHeader.checksumOffset]),
                        seed: SegmentHeader.checksumSeed)
                }
                block.replaceSubrange(SegmentHeader.checksumOffset..., with: [UInt8](littleEndian: check))
                readHeader(block)
            },
        ])

    private static func readHeader(_ bytes: [UInt8]) {
        func decode(_ bytes: [UInt8]) -> SegmentHeader? {
            bytes.withUnsafeBytes { try? SegmentHeader(decoding: $0) }
        }
        guard let header = decode(bytes) else { return }
        var again = [UInt8](repeating: 0, count: LogFormat.segmentHeaderBytes)
        again.withUnsafeMutableBytes { header.encode(into: $0) }
        demand(decode(again) == header, "\(header) was read back as \(String(describing: decode(again)))")
        demand(header.firstBatchOffset <= header.allocatedBytes, "no place for a batch in \(header)")
        _ = LinkSeed(header)
    }

    // MARK: Batch

    private static let alignmentBytes = 512

    private static let batch = DecoderDriver(
        "batch",
        samples: {
            [LogSamples.batch().form(0)] + LogSamples.bodies.map { $0.form(1) }
                + LogSamples.bodies.map { LogSamples.headerFields + $0 }.map { $0.form(2) }
        },
        forms: [
            { readBatch([UInt8]($0)) },
            { bytes in
                // Sealed: a whole batch around a body.
                readBatch(LogSamples.sealedBatch(body: [UInt8](bytes), count: LogSamples.recordCount(of: bytes)))
            },
            { bytes in
                // Sealed, with the number of records, lengths, epoch and the rest as the bytes say.
                var bytes = bytes
                let fields = bytes.takeFirst(LogSamples.headerFields.count)
                readBatch(LogSamples.sealedBatch(fields: fields, body: [UInt8](bytes)))
            },
        ])

    private static func readBatch(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { raw in
            switch BatchReading.decode(raw, at: 8192, seed: FormatSamples.seed, alignmentBytes: alignmentBytes) {
            case .batch(let view):
                demand(view.end <= 8192 + UInt64(raw.count), "a batch up to \(view.end) of \(raw.count) bytes")
                var count: UInt32 = 0
                for record in view.records {
                    readRecord(record)
                    count += 1
                }
                demand(count == view.header.recordCount, "\(count) records, the header says \(view.header.recordCount)")
                if let batch = try? PartitionBatch(view) {
                    _ = batch.records(from: PartitionLogIndex(batch.firstIndex), maxCount: 4)
                    _ = batch.line(at: PartitionLogIndex(batch.firstIndex), of: 1)
                }
            case .incomplete(_, let neededBytes):
                demand(neededBytes > raw.count, "\(neededBytes) bytes needed of \(raw.count)")
            case .brokenBody, .unsupported, .none: break
            }
        }
    }

    // MARK: Record

    private static let record = DecoderDriver(
        "record", samples: { LogSamples.records.map { $0.form(0) } },
        forms: [
            { bytes in
                [UInt8](bytes).withUnsafeBytes { raw in
                    var reader = ByteReader(raw)
                    guard let header = try? RecordHeader(decoding: &reader) else { return }
                    reader.offset = 0
                    guard let whole = try? reader.take(Int(header.lengthBytes)) else { return }
                    readRecord(RecordView(bytes: whole, header: header))
                }
            }
        ])

    private static func readRecord(_ record: RecordView) {
        if let entry = try? record.entry() {
            demand(
                EntryContent.lengthBytes(of: entry) == record.chainedContent.count, "\(entry) in \(record.bytes.count)")
        }
        if let header = try? record.partitionHeader() {
            demand(record.payload.count == header.payloadBytes, "\(header) in \(record.bytes.count) bytes")
        }
        if let control = try? record.control() {
            let encoded = control.encoded()
            let again: ControlRecord? = encoded.withUnsafeBytes { raw in
                var reader = ByteReader(raw)
                guard let header = try? RecordHeader(decoding: &reader) else { return nil }
                return try? RecordView(bytes: raw, header: header).control()
            }
            demand(again == control, "\(control) was read back as \(String(describing: again))")
        }
        _ = record.entryChain(after: .zero)
        _ = record.partitionChain(after: .zero)
        _ = record.header.kind
    }

    // MARK: Checkpoint

    private static let checkpoint = DecoderDriver(
        "checkpoint", samples: { [LogSamples.checkpoint.encoded().form(0), SystemCheckpoint().encoded().form(0)] },
        forms: [
            { bytes in
                roundTrip(
                    bytes, { bytes in try bytes.withUnsafeBytes { try SystemCheckpoint(decoding: $0) } },
                    { $0.encoded() })
            }
        ])

    // MARK: Runs of records

    private static let export = DecoderDriver(
        "export",
        samples: {
            let log = LogExport.encode(LogSamples.entries, after: .zero)
            let partition = LogSamples.partitionExport
            return [
                log.form(0), [UInt8](log.dropLast(16)).form(1), partition.form(2),
                [UInt8](partition.dropLast(16)).form(3),
                LogSamples.entries.reduce(into: [UInt8]()) { $0 += LogSamples.content(of: $1) }.form(4),
            ]
        },
        forms: [
            { readLogExport([UInt8]($0)) },
            { bytes in
                readLogExport(
                    rechained(
                        [UInt8](bytes), from: LogExport.frame.headerBytes, chainAt: 40, LogExport.frame.checksumSeed
                    ) {
                        $0.entryChain(after: $1)
                    })
            },
            { readPartitionExport([UInt8]($0)) },
            { bytes in
                let header = PartitionExport.frame.headerBytes
                readPartitionExport(
                    rechained([UInt8](bytes), from: header, chainAt: header - 24, PartitionExport.frame.checksumSeed) {
                        $0.partitionChain(after: $1)
                    })
            },
            { readEntries([UInt8]($0)) },
        ])

    private static func readLogExport(_ bytes: [UInt8]) {
        guard let (previous, entries) = bytes.withUnsafeBytes({ try? LogExport.decode($0) }) else { return }
        let encoded = LogExport.encode(entries, after: previous)
        let again = encoded.withUnsafeBytes { try? LogExport.decode($0) }
        demand(again?.1 == entries && again?.0 == previous, "\(entries.count) entries were read back as others")
    }

    private static func readPartitionExport(_ bytes: [UInt8]) {
        guard let export = try? PartitionExport(decoding: bytes) else { return }
        demand(export.count > 0 && export.first > 0, "a run of \(export.count) records from \(export.first)")
        for position in -1..<export.count { _ = export.point(at: position) }
        let framed = (0..<export.count).reduce(0) { $0 + export.framedBytes(at: $1) }
        demand(framed == export.byteCount, "\(framed) bytes of records, the run says \(export.byteCount)")
    }

    /// Contents of entries one behind the other, as many as there seem to be.
    private static func readEntries(_ bytes: [UInt8]) {
        for count in [Int.max, bytes.count / EntryContent.minimumBytes, 3, 2, 1, 0, -1] {
            let decoded: ([Entry], Int)? = bytes.withUnsafeBytes { raw in
                var reader = ByteReader(raw)
                guard let entries = try? EntryContent.decode(count, from: &reader) else { return nil }
                return (entries, reader.offset)
            }
            guard let (entries, end) = decoded else { continue }
            let again = entries.reduce(into: [UInt8]()) { $0 += LogSamples.content(of: $1) }
            demand(again == [UInt8](bytes[..<end]), "\(entries) were written differently")
        }
    }

    /// A run of records in which every chain value and the checksum are put right, as far as there are records.
    private static func rechained(
        _ bytes: [UInt8], from headerBytes: Int, chainAt: Int, _ seed: UInt64,
        _ chain: (RecordView, ChainValue) -> ChainValue
    ) -> [UInt8] {
        var bytes = bytes + [UInt8](repeating: 0, count: max(0, headerBytes - bytes.count))
        bytes.withUnsafeMutableBytes { raw in
            let view = UnsafeRawBufferPointer(raw)
            var reader = ByteReader(view, offset: chainAt)
            guard var value = try? reader.chainValue() else { return }
            var offset = headerBytes
            while offset < view.count {
                reader.offset = offset
                guard let header = try? RecordHeader(decoding: &reader) else { return }
                reader.offset = offset
                guard let whole = try? reader.take(Int(header.lengthBytes)),
                    whole.count >= EntryRecord.contentOffset
                else { return }
                value = chain(RecordView(bytes: whole, header: header), value)
                var writer = ByteWriter(raw, offset: offset + EntryRecord.chainOffset)
                writer.chainValue(value)
                offset += header.paddedBytes
            }
        }
        let check = bytes.withUnsafeBytes { Checksum.xxh3Wide($0, seed: seed) }
        return bytes + [UInt8](littleEndian: check.low) + [UInt8](littleEndian: check.high)
    }
}

extension [UInt8] {
    init(littleEndian value: some FixedWidthInteger) {
        self = Swift.withUnsafeBytes(of: value.littleEndian) { [UInt8]($0) }
    }
}
