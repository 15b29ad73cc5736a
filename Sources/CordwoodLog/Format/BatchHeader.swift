public import CordwoodBase

/// The header of a batch, the atomic unit of a stream: 96 bytes, then the records, then zeros up to the alignment.
public struct BatchHeader: Hashable, Sendable {
    /// The whole batch with header and padding, in bytes; a multiple of the alignment.
    public var lengthBytes: UInt32
    /// The records alone, in bytes.
    public var bodyBytes: UInt32
    public var recordCount: UInt32
    public var epoch: StreamEpoch
    /// Everything before this place was durable when the batch was submitted.
    public var promise: StreamPosition
    /// The link of the batch before this one in the stream, across segments.
    public var previousLink: PhysicalLink
    /// An index known to be committed when the batch was submitted.
    public var commitHint: RaftIndex
    public var bodyChecksum: UInt64

    public init(
        lengthBytes: UInt32, bodyBytes: UInt32, recordCount: UInt32, epoch: StreamEpoch, promise: StreamPosition,
        previousLink: PhysicalLink, commitHint: RaftIndex, bodyChecksum: UInt64
    ) {
        self.lengthBytes = lengthBytes
        self.bodyBytes = bodyBytes
        self.recordCount = recordCount
        self.epoch = epoch
        self.promise = promise
        self.previousLink = previousLink
        self.commitHint = commitHint
        self.bodyChecksum = bodyChecksum
    }

    /// Fills the first 96 bytes of `bytes` and returns the batch's link.
    func encode(into bytes: UnsafeMutableRawBufferPointer, seed: UInt64) -> PhysicalLink {
        var writer = ByteWriter(
            UnsafeMutableRawBufferPointer(rebasing: bytes[..<LogFormat.batchHeaderBytes]), offset: 8)
        writer.integer(LogFormat.batchMarker)
        writer.integer(lengthBytes)
        writer.integer(bodyBytes)
        writer.integer(recordCount)
        writer.ordinal(epoch)
        writer.ordinal(promise.segment)
        writer.integer(promise.offset)
        writer.integer(previousLink.rawValue)
        writer.ordinal(commitHint)
        writer.integer(bodyChecksum)
        writer.zeros(24)  // room for an authentication tag, and zero
        let link = Self.checksum(UnsafeRawBufferPointer(writer.bytes), seed: seed)
        writer.offset = 0
        writer.integer(link.rawValue)
        return link
    }

    /// Reads and verifies a header that stands at `offset` of a segment. `nil` when there is none: the marker or the
    /// checksum differs, or a field contradicts the format.
    static func decode(
        _ bytes: UnsafeRawBufferPointer, at offset: UInt64, seed: LinkSeed, alignmentBytes: Int
    ) -> (header: BatchHeader, link: PhysicalLink)? {
        guard bytes.count >= LogFormat.batchHeaderBytes,
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self)) == LogFormat.batchMarker
        else { return nil }
        let block = UnsafeRawBufferPointer(rebasing: bytes[..<LogFormat.batchHeaderBytes])
        var reader = ByteReader(block)
        do {
            let stored = PhysicalLink(rawValue: try reader.integer())
            _ = try reader.integer(UInt32.self)
            let header = BatchHeader(
                lengthBytes: try reader.integer(), bodyBytes: try reader.integer(), recordCount: try reader.integer(),
                epoch: try reader.ordinal(),
                promise: StreamPosition(segment: try reader.ordinal(), offset: try reader.integer()),
                previousLink: PhysicalLink(rawValue: try reader.integer()), commitHint: try reader.ordinal(),
                bodyChecksum: try reader.integer())
            let batchSeed = seed.batchSeed(epoch: header.epoch, offset: offset)
            guard stored == checksum(block, seed: batchSeed), header.isPlausible(alignmentBytes) else { return nil }
            return (header, stored)
        } catch {
            return nil
        }
    }

    private func isPlausible(_ alignmentBytes: Int) -> Bool {
        recordCount > 0 && epoch.rawValue < UInt64(Int64.max) && Int(lengthBytes) % alignmentBytes == 0
            && Int(lengthBytes)
                == LogFormat.padded(LogFormat.batchHeaderBytes + Int(bodyBytes), to: alignmentBytes)
    }

    private static func checksum(_ block: UnsafeRawBufferPointer, seed: UInt64) -> PhysicalLink {
        PhysicalLink(rawValue: Checksum.xxh3(UnsafeRawBufferPointer(rebasing: block[8...]), seed: seed))
    }
}
