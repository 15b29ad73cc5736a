internal import CordwoodBase

/// A record where it stands in a verified batch. Valid as long as the bytes below it are.
public struct RecordView {
    /// The record with its header, without padding.
    public let bytes: UnsafeRawBufferPointer
    public let header: RecordHeader
}

/// A verified batch where it stands in memory. Valid as long as the bytes below it are.
public struct BatchView {
    public let header: BatchHeader
    /// The batch's own link.
    public let link: PhysicalLink
    /// Where the batch begins in its segment, in bytes.
    public let offset: UInt64
    let body: UnsafeRawBufferPointer

    /// Where the batch ends in its segment, padding included.
    public var end: UInt64 { offset + UInt64(header.lengthBytes) }

    /// The records in order. Their common headers have been checked when the batch was decoded.
    public func forEachRecord<Failure: Error>(
        _ body: (RecordView) throws(Failure) -> Void
    ) throws(Failure) {
        var iterator = RecordIterator(self)
        while let record = iterator.next() { try body(record) }
    }

    public var records: RecordIterator { RecordIterator(self) }
}

/// Walks the records of a verified batch.
public struct RecordIterator: IteratorProtocol, Sequence {
    private let body: UnsafeRawBufferPointer
    private var offset = 0

    init(_ batch: BatchView) { body = batch.body }

    public mutating func next() -> RecordView? {
        guard offset < body.count else { return nil }
        var reader = ByteReader(body, offset: offset)
        guard let header = try? RecordHeader(decoding: &reader), offset + Int(header.lengthBytes) <= body.count else {
            brokenInvariant("record at \(offset) of a verified body of \(body.count) bytes")
        }
        let record = RecordView(
            bytes: UnsafeRawBufferPointer(rebasing: body[offset..<offset + Int(header.lengthBytes)]), header: header)
        offset += header.paddedBytes
        return record
    }
}

/// What stands at an aligned offset of a segment.
public enum BatchReading {
    case batch(BatchView)
    /// A header that verifies, of a batch that reaches beyond the bytes at hand: read at least so many from its start.
    case incomplete(BatchHeader, neededBytes: Int)
    /// A header that verifies, above a body that does not.
    case brokenBody(BatchHeader, reason: String)
    /// Sound bytes that this version cannot read.
    case unsupported(BatchHeader, reason: String)
    /// No header that verifies here.
    case none
}

extension BatchReading {
    /// Decodes and verifies what begins at `bytes`, which were read from `offset` of the segment with `seed`. Total:
    /// any bytes give one of the answers.
    public static func decode(
        _ bytes: UnsafeRawBufferPointer, at offset: UInt64, seed: LinkSeed, alignmentBytes: Int
    ) -> BatchReading {
        guard
            let (header, link) = BatchHeader.decode(bytes, at: offset, seed: seed, alignmentBytes: alignmentBytes)
        else { return .none }
        let length = Int(header.lengthBytes)
        guard bytes.count >= length else { return .incomplete(header, neededBytes: length) }
        let bodyEnd = LogFormat.batchHeaderBytes + Int(header.bodyBytes)
        let body = UnsafeRawBufferPointer(rebasing: bytes[LogFormat.batchHeaderBytes..<bodyEnd])
        guard Checksum.xxh3(body, seed: seed.batchSeed(epoch: header.epoch, offset: offset)) == header.bodyChecksum
        else { return .brokenBody(header, reason: "body checksum differs") }
        guard isZero(UnsafeRawBufferPointer(rebasing: bytes[bodyEnd..<length])) else {
            return .brokenBody(header, reason: "padding is not zero")
        }
        switch checkRecords(body, count: header.recordCount) {
        case .sound: return .batch(BatchView(header: header, link: link, offset: offset, body: body))
        case .broken(let reason): return .brokenBody(header, reason: reason)
        case .unsupported(let reason): return .unsupported(header, reason: reason)
        }
    }

    private enum RecordCheck {
        case sound
        case broken(String)
        case unsupported(String)
    }

    private static func checkRecords(_ body: UnsafeRawBufferPointer, count: UInt32) -> RecordCheck {
        var reader = ByteReader(body)
        var found: UInt32 = 0
        while reader.remaining > 0 {
            let start = reader.offset
            let header: RecordHeader
            do { header = try RecordHeader(decoding: &reader) } catch { return .broken("record at \(start): \(error)") }
            guard body.count - start >= header.paddedBytes else {
                return .broken("record at \(start) of \(header.lengthBytes) bytes passes the body's end")
            }
            let end = start + Int(header.lengthBytes)
            let next = start + header.paddedBytes
            guard isZero(UnsafeRawBufferPointer(rebasing: body[end..<next])) else {
                return .broken("padding behind the record at \(start) is not zero")
            }
            if header.kind == nil, !header.flags.contains(.skippable) {
                return .unsupported("record kind \(header.rawKind)")
            }
            if header.kind != nil {
                if header.version != 1 { return .unsupported("record version \(header.version)") }
                if header.codec != 0 { return .unsupported("codec \(header.codec)") }
                if header.group != 0 { return .unsupported("group \(header.group)") }
            }
            found &+= 1
            reader.offset = next
        }
        return found == count ? .sound : .broken("\(found) records, the header says \(count)")
    }

    static func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var offset = 0
        var seen: UInt64 = 0
        while offset + 8 <= bytes.count {
            seen |= bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            offset += 8
        }
        while offset < bytes.count {
            seen |= UInt64(bytes[offset])
            offset += 1
        }
        return seen == 0
    }
}
