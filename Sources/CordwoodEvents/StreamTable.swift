internal import CProcessor
internal import CordwoodBase

/// The streams of a partition: each is a partition key with a stream id and has a list of the sequences of its events
/// by version.
///
/// A stream's record lies in one piece in an arena of 8-byte words, so that finding it costs one access to memory
/// beside that of the table. The word at which it begins is the stream's place, and places ascend in order of the
/// streams' first events:
///
/// | words | field |
/// |---|---|
/// | 1 | its `VersionList` |
/// | 2 | partition key |
/// | rest | length of the stream id in one byte, the id |
struct StreamTable: ~Copyable {
    private static let wordSize = 8
    private static let identityOffset = 24
    private static let chunkShift = 13
    private static let maxRecordWords = words(forIDOf: AppendCommand.maxStreamIDLength)

    private var table = FingerprintTable()
    private var records = ChunkedBuffer<UInt64>(chunkShift: chunkShift)
    private var blocks = VersionBlocks()

    var count: Int { table.count }
    var allocatedBytes: Int { table.allocatedBytes + records.allocatedBytes + blocks.allocatedBytes }

    /// True when this many events can still be added, each to a new stream or to one that needs a new block.
    func hasRoom(forEvents count: Int) -> Bool {
        records.count + (count + 1) * Self.maxRecordWords + 1 << Self.chunkShift < Int(UInt32.max)
            && blocks.hasRoom(forBlocks: count)
    }

    /// The hash by which a stream is found: equal on all replicas, in all processes.
    @inline(__always)
    static func hash(_ streamID: UnsafeRawBufferPointer, under key: PartitionKey) -> UInt64 {
        Checksum.xxh3(streamID, seed: key.uuid.high ^ (key.uuid.low << 32 | key.uuid.low >> 32))
    }

    /// The place of a stream, if it has an event.
    @inline(__always)
    func place(of streamID: UnsafeRawBufferPointer, under key: PartitionKey, hash: UInt64) -> UInt32? {
        table.first(Self.fingerprint(hash)) { isIdentity(of: $0, streamID, key) }
    }

    /// Lets the memory come that finding a stream looks at first: the table's.
    @inline(__always)
    func prefetch(_ hash: UInt64) { table.prefetch(Self.fingerprint(hash)) }

    /// And then its record's, when the table's is there. Returns the place of the stream that it probably is.
    @inline(__always)
    func prefetchRecord(_ hash: UInt64) -> UInt32? {
        guard let place = table.first(Self.fingerprint(hash), where: { _ in true }) else { return nil }
        // A record of ordinary length lies in two lines more often than in one.
        let record = UnsafeRawPointer(records.pointer(at: Int(place)))
        cprocessor_prefetch(record)
        cprocessor_prefetch(record + Self.identityOffset + Self.wordSize)
        return place
    }

    /// And then that of the place for its next event, when the record is there.
    @inline(__always)
    func prefetchEnd(of stream: UInt32) { blocks.prefetchEnd(of: versions(of: stream).pointee) }

    /// Adds a stream that has no event yet.
    mutating func add(_ streamID: UnsafeRawBufferPointer, under key: PartitionKey, hash: UInt64) -> UInt32 {
        let size = Self.words(forIDOf: streamID.count)
        let place = UInt32(records.allocate(size))
        var writer = ByteWriter(
            UnsafeMutableRawBufferPointer(start: records.pointer(at: Int(place)), count: size * Self.wordSize))
        writer.zeros(Self.wordSize)
        writer.integer(key.uuid.high)
        writer.integer(key.uuid.low)
        writer.integer(UInt8(streamID.count))
        writer.raw(streamID)
        table.insert(Self.fingerprint(hash), place)
        return place
    }

    /// Events that the stream has.
    @inline(__always)
    func eventCount(of stream: UInt32) -> UInt32 { versions(of: stream).pointee.count }

    /// Adds an event to the stream; its version is the event count before.
    @inline(__always)
    mutating func append(_ sequence: UInt32, to stream: UInt32) {
        blocks.append(sequence, to: &versions(of: stream).pointee)
    }

    /// Events of the stream whose sequence is below `bound`: their versions are 0 to the result - 1.
    func eventCount(of stream: UInt32, below bound: UInt64) -> UInt32 {
        guard let bound = UInt32(exactly: bound) else { return eventCount(of: stream) }
        return blocks.count(of: versions(of: stream).pointee, below: bound)
    }

    /// Calls `body` with the sequence of each of these versions, in order.
    func forEachSequence(of stream: UInt32, versions range: Range<UInt32>, _ body: (UInt32) -> Void) {
        blocks.forEachSequence(of: versions(of: stream).pointee, versions: range, body)
    }

    /// The places of all streams in order of their first events.
    func places() -> [UInt32] {
        var places: [UInt32] = []
        places.reserveCapacity(count)
        table.forEach { _, place in places.append(place) }
        places.sort()
        return places
    }

    /// Key and id of a stream. The bytes are valid until the next stream is added.
    @inline(__always)
    func identity(of stream: UInt32) -> (key: PartitionKey, streamID: UnsafeRawBufferPointer) {
        let record = UnsafeRawPointer(records.pointer(at: Int(stream)))
        let key = PartitionKey(
            UUID(
                high: UInt64(littleEndian: record.load(fromByteOffset: 8, as: UInt64.self)),
                low: UInt64(littleEndian: record.load(fromByteOffset: 16, as: UInt64.self))))
        let length = Int(record.load(fromByteOffset: Self.identityOffset, as: UInt8.self))
        return (key, UnsafeRawBufferPointer(start: record + Self.identityOffset + 1, count: length))
    }

    @inline(__always)
    private static func fingerprint(_ hash: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: hash >> 32) }

    private static func words(forIDOf length: Int) -> Int { (identityOffset + 1 + length + wordSize - 1) / wordSize }

    @inline(__always)
    private func versions(of stream: UInt32) -> UnsafeMutablePointer<VersionList> {
        UnsafeMutableRawPointer(records.pointer(at: Int(stream))).assumingMemoryBound(to: VersionList.self)
    }

    @inline(__always)
    private func isIdentity(of stream: UInt32, _ streamID: UnsafeRawBufferPointer, _ key: PartitionKey) -> Bool {
        let identity = identity(of: stream)
        return identity.key == key && identity.streamID.hasSameBytes(as: streamID)
    }
}

extension UnsafeRawBufferPointer {
    /// True when both have the same bytes.
    @inline(__always)
    func hasSameBytes(as other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        var position = 0
        while position + 8 <= count {
            let word = loadUnaligned(fromByteOffset: position, as: UInt64.self)
            if word != other.loadUnaligned(fromByteOffset: position, as: UInt64.self) { return false }
            position += 8
        }
        while position < count {
            if self[position] != other[position] { return false }
            position += 1
        }
        return true
    }
}
