import CordwoodBase
import CordwoodIO
import CordwoodRaft
import LogTestSupport

@testable import CordwoodLog

/// What the log's files hold when nobody has touched them.
enum LogSamples {
    static let headerBytes: [UInt8] = {
        var bytes = [UInt8](repeating: 0, count: LogFormat.segmentHeaderBytes)
        bytes.withUnsafeMutableBytes { FormatSamples.header.encode(into: $0) }
        return bytes
    }()

    static let entries: [Entry] = [
        Entry(index: 1, term: 1, type: .noOperation, timestampMicroseconds: -1, slices: .none),
        Entry(
            index: 2, term: 1, type: .application, timestampMicroseconds: 5,
            slices: .one(
                EntrySlice(partition: 3, partitionIndex: 1, previousRaftIndex: 0, offset: 0, length: 5)),
            payload: [1, 2, 3, 4, 5]),
        Entry(
            index: 3, term: 2, type: .multiPartition, timestampMicroseconds: .max,
            slices: .many([
                EntrySlice(partition: 3, partitionIndex: 2, previousRaftIndex: 2, offset: 0, length: 2),
                EntrySlice(partition: 9, partitionIndex: 1, previousRaftIndex: 0, offset: 2, length: 2),
            ]), payload: [6, 7, 8, 9]),
    ]

    static func content(of entry: Entry) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: EntryContent.lengthBytes(of: entry))
        bytes.withUnsafeMutableBytes {
            var writer = ByteWriter($0)
            EntryContent.encode(entry, into: &writer)
        }
        return bytes
    }

    static let checkpoint = SystemCheckpoint(
        configuration: [1, 2], sessions: [3], routingEpoch: 1,
        partitions: [
            .init(partition: 0, persisted: 1, raftIndex: 2, chain: ChainValue(high: 1, low: 1)),
            .init(partition: 7, persisted: 3, raftIndex: 9, chain: ChainValue(high: 2, low: 2)),
        ])

    static let partitionExport: [UInt8] = {
        var bytes = PartitionExport.begin(7, after: .start, capacityBytes: 512)
        for record in partitionRecords { bytes += record + [UInt8](repeating: 0, count: padding(of: record)) }
        PartitionExport.finish(&bytes, count: partitionRecords.count)
        return bytes
    }()

    // MARK: Records

    static let entryRecords: [[UInt8]] = {
        var chain = ChainValue.zero
        return entries.map { entry in
            let length = EntryRecord.lengthBytes(slices: entry.slices.count, payload: entry.payload.count)
            var bytes = [UInt8](repeating: 0, count: length)
            bytes.withUnsafeMutableBytes { chain = EntryRecord.encode(entry, after: chain, into: $0) }
            return bytes
        }
    }()

    static let partitionRecords: [[UInt8]] = {
        var chain = ChainValue.zero
        let payloads: [[UInt8]] = [[], [1, 2, 3]]
        return payloads.enumerated().map { number, payload in
            var bytes = [UInt8](repeating: 0, count: PartitionRecord.lengthBytes(payload: payload.count))
            let position = PartitionRecordPosition(
                partitionIndex: PartitionLogIndex(UInt64(number) + 1), raftIndex: RaftIndex(UInt64(number) * 2 + 1),
                term: 1, timestampMicroseconds: 5, type: .application)
            bytes.withUnsafeMutableBytes { memory in
                payload.withUnsafeBytes {
                    chain = PartitionRecord.encode(position, payload: $0, after: chain, into: memory)
                }
            }
            return bytes
        }
    }()

    static let records = entryRecords + partitionRecords + FormatSamples.controls.map { $0.encoded() }

    private static func padding(of record: [UInt8]) -> Int {
        LogFormat.padded(record.count, to: LogFormat.recordAlignment) - record.count
    }

    // MARK: Batches

    /// Bodies of batches: each record alone, and all together.
    static let bodies: [[UInt8]] = {
        let framed = records.map { $0 + [UInt8](repeating: 0, count: padding(of: $0)) }
        return framed + [framed.reduce([], +)]
    }()

    /// The fields of a batch header that a form lets the bytes decide: those between the marker and the checksum.
    static let headerFields: [UInt8] =
        [UInt8](littleEndian: UInt32(512)) + [UInt8](littleEndian: UInt32(416)) + [UInt8](littleEndian: UInt32(1))
        + [4, 3, 4096, 42, 8].flatMap { [UInt8](littleEndian: UInt64($0)) }

    static func batch() -> [UInt8] {
        let builder = BatchBuilder(capacityBytes: 4096, alignmentBytes: 512)
        _ = builder.append(entries[0], after: .zero)
        _ = builder.finish(
            at: .init(
                seed: FormatSamples.seed, offset: 8192, epoch: 4, promise: StreamPosition(segment: 3, offset: 4096),
                previousLink: PhysicalLink(rawValue: 42), commitHint: 1))
        return [UInt8](builder.buffer[0..<builder.lengthBytes])
    }

    /// Records that the bytes seem to hold.
    static func recordCount(of body: ArraySlice<UInt8>) -> UInt32 {
        [UInt8](body).withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            var count: UInt32 = 0
            while reader.remaining > 0 {
                let start = reader.offset
                guard let header = try? RecordHeader(decoding: &reader), header.paddedBytes <= raw.count - start else {
                    break
                }
                reader.offset = start + header.paddedBytes
                count += 1
            }
            return count
        }
    }

    /// A batch around a body, with checksums and lengths that are right.
    static func sealedBatch(body: [UInt8], count: UInt32) -> [UInt8] {
        let length = LogFormat.padded(LogFormat.batchHeaderBytes + body.count, to: 512)
        return sealedBatch(
            BatchHeader(
                lengthBytes: UInt32(length), bodyBytes: UInt32(body.count), recordCount: count, epoch: 4,
                promise: StreamPosition(segment: 3, offset: 4096), previousLink: PhysicalLink(rawValue: 42),
                commitHint: 1, bodyChecksum: 0), body)
    }

    /// A batch with the fields that the bytes name, and checksums that are right.
    static func sealedBatch(fields: [UInt8], body: [UInt8]) -> [UInt8] {
        let header: BatchHeader? = fields.withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            do throws(DecodeError) {
                return BatchHeader(
                    lengthBytes: try reader.integer(), bodyBytes: try reader.integer(),
                    recordCount: try reader.integer(), epoch: try reader.ordinal(),
                    promise: StreamPosition(segment: try reader.ordinal(), offset: try reader.integer()),
                    previousLink: PhysicalLink(rawValue: try reader.integer()), commitHint: try reader.ordinal(),
                    bodyChecksum: 0)
            } catch { return nil }
        }
        guard let header else { brokenInvariant("\(fields.count) bytes of header fields") }
        return sealedBatch(header, body)
    }

    private static func sealedBatch(_ header: BatchHeader, _ body: [UInt8]) -> [UInt8] {
        var header = header
        let length = LogFormat.padded(LogFormat.batchHeaderBytes + body.count, to: 512)
        var bytes = [UInt8](repeating: 0, count: LogFormat.batchHeaderBytes) + body
        bytes += [UInt8](repeating: 0, count: length - bytes.count)
        let batchSeed = FormatSamples.seed.batchSeed(epoch: header.epoch, offset: 8192)
        let covered = min(Int(header.bodyBytes), length - LogFormat.batchHeaderBytes)
        bytes.withUnsafeMutableBytes { raw in
            let covers = raw[LogFormat.batchHeaderBytes..<LogFormat.batchHeaderBytes + covered]
            header.bodyChecksum = Checksum.xxh3(UnsafeRawBufferPointer(rebasing: covers), seed: batchSeed)
            _ = header.encode(into: raw, seed: batchSeed)
        }
        return bytes
    }
}
