public import CordwoodBase
public import CordwoodIO

/// Frames records into one batch, straight in the memory that is written to disk: a payload is copied once and nothing
/// is allocated per record. The header is filled in last, when the batch's place is known.
public final class BatchBuilder {
    public let alignmentBytes: Int
    private let filling: Owned<Filling>

    private struct Filling {
        var buffer: IOBuffer
        var recordCount: UInt32 = 0
        var end = LogFormat.batchHeaderBytes

        /// Claims the next `length` bytes and zeroes the padding behind them.
        mutating func room(for length: Int, alignmentBytes: Int) -> UnsafeMutableRawBufferPointer {
            let framed = BatchBuilder.framedBytes(length)
            if end + framed > buffer.count {
                invariant(recordCount == 0, "record of \(framed) bytes behind \(end) of \(buffer.count)")
                buffer = IOBuffer(count: LogFormat.padded(end + framed, to: alignmentBytes))
            }
            let start = end
            end += framed
            recordCount += 1
            if framed > length {
                UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[start + length..<end]).initializeMemory(
                    as: UInt8.self, repeating: 0)
            }
            return UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[start..<start + length])
        }
    }

    public var buffer: IOBuffer { filling.value.buffer }
    public var recordCount: UInt32 { filling.value.recordCount }
    private var end: Int { filling.value.end }

    /// Room for at least one batch of `capacityBytes`; a larger record still fits when it comes first.
    public init(capacityBytes: Int, alignmentBytes: Int) {
        self.alignmentBytes = alignmentBytes
        filling = Owned(Filling(buffer: IOBuffer(count: LogFormat.padded(capacityBytes, to: alignmentBytes))))
    }

    public var isEmpty: Bool { recordCount == 0 }

    /// What the batch takes on disk as it stands.
    public var lengthBytes: Int { LogFormat.padded(end, to: alignmentBytes) }

    /// What one record takes within a batch.
    public static func framedBytes(_ recordBytes: Int) -> Int {
        LogFormat.padded(recordBytes, to: LogFormat.recordAlignment)
    }

    /// What an entry takes within a batch.
    public static func framedBytes(of entry: Entry) -> Int {
        framedBytes(EntryRecord.lengthBytes(slices: entry.slices.count, payload: entry.payload.count))
    }

    /// What a partition record takes within a batch.
    public static func framedBytes(ofPartitionPayload payloadBytes: Int) -> Int {
        framedBytes(PartitionRecord.lengthBytes(payload: payloadBytes))
    }

    /// True when a record of so many framed bytes can join: it fits, or it would be the first.
    public func hasRoom(forFramed bytes: Int) -> Bool { isEmpty || end + bytes <= filling.value.buffer.count }

    /// Adds an entry and returns its chain value.
    public func append(_ entry: Entry, after previous: ChainValue) -> ChainValue {
        let length = EntryRecord.lengthBytes(slices: entry.slices.count, payload: entry.payload.count)
        return EntryRecord.encode(entry, after: previous, into: room(for: length))
    }

    /// Adds a partition log's record and returns its chain value.
    public func append(
        _ position: PartitionRecordPosition, payload: UnsafeRawBufferPointer, after previous: ChainValue,
        isRefused: Bool = false
    ) -> ChainValue {
        let length = PartitionRecord.lengthBytes(payload: payload.count)
        return PartitionRecord.encode(
            position, payload: payload, after: previous, isRefused: isRefused, into: room(for: length))
    }

    /// Adds records as they stand, framed with their padding; they have been verified.
    func append(framed records: UnsafeRawBufferPointer, count: UInt32) {
        invariant(
            records.count > 0 && records.count % LogFormat.recordAlignment == 0,
            "\(count) framed records of \(records.count) bytes")
        room(for: records.count).copyMemory(from: records)
        filling.value.recordCount += count - 1
    }

    public func append(_ control: ControlRecord) {
        let bytes = control.encoded()
        bytes.withUnsafeBytes { room(for: bytes.count).copyMemory(from: $0) }
    }

    private func room(for length: Int) -> UnsafeMutableRawBufferPointer {
        filling.value.room(for: length, alignmentBytes: alignmentBytes)
    }

    /// Where a batch goes and what its header says.
    public struct Place {
        public var seed: LinkSeed
        public var offset: UInt64
        public var epoch: StreamEpoch
        public var promise: StreamPosition
        public var previousLink: PhysicalLink
        public var commitHint: RaftIndex

        public init(
            seed: LinkSeed, offset: UInt64, epoch: StreamEpoch, promise: StreamPosition, previousLink: PhysicalLink,
            commitHint: RaftIndex
        ) {
            self.seed = seed
            self.offset = offset
            self.epoch = epoch
            self.promise = promise
            self.previousLink = previousLink
            self.commitHint = commitHint
        }
    }

    /// Pads the batch and fills in its header. The first `lengthBytes` of the buffer are then what is written. Returns
    /// the batch's link.
    public func finish(at place: Place) -> PhysicalLink {
        invariant(!isEmpty, "a batch without records")
        let length = lengthBytes
        UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[end..<length]).initializeMemory(
            as: UInt8.self, repeating: 0)
        let seed = place.seed.batchSeed(epoch: place.epoch, offset: place.offset)
        let header = BatchHeader(
            lengthBytes: UInt32(length), bodyBytes: UInt32(end - LogFormat.batchHeaderBytes), recordCount: recordCount,
            epoch: place.epoch, promise: place.promise, previousLink: place.previousLink,
            commitHint: place.commitHint,
            bodyChecksum: Checksum.xxh3(buffer[LogFormat.batchHeaderBytes..<end], seed: seed))
        return header.encode(into: buffer.bytes, seed: seed)
    }

    /// Empties the builder for its next batch.
    public func reset() {
        filling.value.recordCount = 0
        filling.value.end = LogFormat.batchHeaderBytes
    }
}
