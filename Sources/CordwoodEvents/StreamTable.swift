internal import CordwoodBase

/// The streams of a partition: each is a partition key with a stream id, has a number in order of its first event, and
/// a list of the sequences of its events by version.
struct StreamTable: ~Copyable {
    /// Streams and bytes of identities are numbered by 32 bits.
    private static let maxPosition = Int(UInt32.max)
    private static let identityChunkShift = 16
    private static let identityHeadSize = 17
    private static let maxIdentitySize = identityHeadSize + AppendCommand.maxStreamIDLength

    private struct Stream {
        /// Where key, length and stream id lie among the identities.
        var identity: UInt32
        var versions: VersionList
    }

    private var table = FingerprintTable()
    private let streams = ChunkedBuffer<Stream>(chunkShift: 10)
    private let identities = ChunkedBuffer<UInt8>(chunkShift: identityChunkShift)
    private let blocks = VersionBlocks()

    var count: Int { streams.count }
    var allocatedBytes: Int {
        table.allocatedBytes + streams.allocatedBytes + identities.allocatedBytes + blocks.allocatedBytes
    }

    /// True when this many events can still be added, each to a new stream or to one that needs a new block.
    func hasRoom(forEvents count: Int) -> Bool {
        identities.count + count * Self.maxIdentitySize < Self.maxPosition - 1 << Self.identityChunkShift
            && streams.count + count < Self.maxPosition && blocks.hasRoom(forBlocks: count)
    }

    /// The hash by which a stream is found: equal on all replicas, in all processes.
    @inline(__always)
    static func hash(_ streamID: UnsafeRawBufferPointer, under key: PartitionKey) -> UInt64 {
        Checksum.xxh3(streamID, seed: key.uuid.high ^ (key.uuid.low << 32 | key.uuid.low >> 32))
    }

    /// The number of a stream, if it has an event.
    @inline(__always)
    func number(of streamID: UnsafeRawBufferPointer, under key: PartitionKey, hash: UInt64) -> UInt32? {
        table.first(Self.fingerprint(hash)) { isIdentity(of: $0, streamID, key) }
    }

    /// Adds a stream that has no event yet.
    mutating func add(_ streamID: UnsafeRawBufferPointer, under key: PartitionKey, hash: UInt64) -> UInt32 {
        let number = UInt32(streams.count)
        let size = Self.identityHeadSize + streamID.count
        let identity = identities.allocate(size)
        let bytes = UnsafeMutableRawBufferPointer(start: identities.pointer(at: identity), count: size)
        var writer = ByteWriter(bytes)
        writer.integer(key.uuid.high)
        writer.integer(key.uuid.low)
        writer.integer(UInt8(streamID.count))
        writer.raw(streamID)
        streams.append(Stream(identity: UInt32(identity), versions: VersionList()))
        table.insert(Self.fingerprint(hash), number)
        return number
    }

    /// Events that the stream has.
    @inline(__always)
    func eventCount(of stream: UInt32) -> UInt32 { streams[Int(stream)].versions.count }

    /// Adds an event to the stream; its version is the event count before.
    @inline(__always)
    func append(_ sequence: UInt32, to stream: UInt32) {
        blocks.append(sequence, to: &streams.pointer(at: Int(stream)).pointee.versions)
    }

    /// Events of the stream whose sequence is below `bound`: their versions are 0 to the result - 1.
    func eventCount(of stream: UInt32, below bound: UInt64) -> UInt32 {
        guard let bound = UInt32(exactly: bound) else { return eventCount(of: stream) }
        return blocks.count(of: streams[Int(stream)].versions, below: bound)
    }

    /// Calls `body` with the sequence of each of these versions, in order.
    func forEachSequence(of stream: UInt32, versions: Range<UInt32>, _ body: (UInt32) -> Void) {
        blocks.forEachSequence(of: streams[Int(stream)].versions, versions: versions, body)
    }

    /// Key and id of a stream.
    func identity(of stream: UInt32) -> (key: PartitionKey, streamID: UnsafeRawBufferPointer) {
        let start = UnsafeRawPointer(identities.pointer(at: Int(streams[Int(stream)].identity)))
        let key = PartitionKey(
            UUID(
                high: UInt64(littleEndian: start.loadUnaligned(as: UInt64.self)),
                low: UInt64(littleEndian: start.loadUnaligned(fromByteOffset: 8, as: UInt64.self))))
        let length = Int(start.load(fromByteOffset: 16, as: UInt8.self))
        return (key, UnsafeRawBufferPointer(start: start + Self.identityHeadSize, count: length))
    }

    private static func fingerprint(_ hash: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: hash >> 32) }

    @inline(__always)
    private func isIdentity(of stream: UInt32, _ streamID: UnsafeRawBufferPointer, _ key: PartitionKey) -> Bool {
        let identity = identity(of: stream)
        return identity.key == key && identity.streamID.elementsEqual(streamID)
    }
}
