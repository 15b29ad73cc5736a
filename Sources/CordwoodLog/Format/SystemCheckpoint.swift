public import CordwoodBase

/// What a node must know besides the entries above the floor: written into the log in pieces, complete at least once in
/// what is retained. A partition log that is shorter than its line here has lost data; it is never merely behind.
public struct SystemCheckpoint: Hashable, Sendable {
    /// The configuration in force and the pending one, encoded by the node.
    public var configuration: [UInt8]
    /// The open client sessions, encoded by the node.
    public var sessions: [UInt8]
    public var routingEpoch: UInt64
    /// Every non-empty partition, in ascending order of partition.
    public var partitions: [Line]

    /// How far one partition's log was persisted.
    public struct Line: Hashable, Sendable {
        public var partition: PartitionID
        public var persisted: PartitionLogIndex
        /// The Raft index of the persisted entry.
        public var raftIndex: RaftIndex
        /// The partition chain at the persisted entry.
        public var chain: ChainValue

        public init(
            partition: PartitionID, persisted: PartitionLogIndex, raftIndex: RaftIndex, chain: ChainValue
        ) {
            self.partition = partition
            self.persisted = persisted
            self.raftIndex = raftIndex
            self.chain = chain
        }
    }

    public init(
        configuration: [UInt8] = [], sessions: [UInt8] = [], routingEpoch: UInt64 = 0, partitions: [Line] = []
    ) {
        self.configuration = configuration
        self.sessions = sessions
        self.routingEpoch = routingEpoch
        self.partitions = partitions
    }

    private static let lineBytes = 40

    func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(24 + configuration.count + sessions.count + partitions.count * Self.lineBytes)
        bytes.append(littleEndian: UInt64(configuration.count))
        bytes.append(littleEndian: UInt64(sessions.count))
        bytes.append(littleEndian: routingEpoch)
        bytes.append(littleEndian: UInt64(partitions.count))
        bytes.append(contentsOf: configuration)
        bytes.append(contentsOf: sessions)
        for line in partitions {
            bytes.append(littleEndian: line.partition.rawValue)
            bytes.append(littleEndian: line.persisted.rawValue)
            bytes.append(littleEndian: line.raftIndex.rawValue)
            bytes.append(littleEndian: line.chain.low)
            bytes.append(littleEndian: line.chain.high)
        }
        return bytes
    }

    /// The checkpoint's pieces in order, each of at most `pieceBytes`.
    public func pieces(number: UInt64, pieceBytes: Int) -> [CheckpointPiece] {
        let bytes = encoded()
        let count = (bytes.count + pieceBytes - 1) / pieceBytes
        return (0..<count).map { piece in
            CheckpointPiece(
                number: number, piece: UInt32(piece), pieceCount: UInt32(count),
                bytes: [UInt8](bytes[piece * pieceBytes..<min((piece + 1) * pieceBytes, bytes.count)]))
        }
    }

    init(decoding bytes: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(bytes)
        let configurationBytes = try reader.count()
        let sessionBytes = try reader.count()
        routingEpoch = try reader.integer()
        let lineCount = try reader.count()
        configuration = [UInt8](try reader.take(configurationBytes))
        sessions = [UInt8](try reader.take(sessionBytes))
        guard reader.remaining % Self.lineBytes == 0, reader.remaining / Self.lineBytes == lineCount else {
            throw .invalid(field: "checkpoint partitions", value: UInt64(lineCount))
        }
        partitions = []
        partitions.reserveCapacity(lineCount)
        for _ in 0..<lineCount {
            let line = Line(
                partition: try reader.ordinal(), persisted: try reader.ordinal(), raftIndex: try reader.ordinal(),
                chain: try reader.chainValue())
            guard line.partition.rawValue < LogFormat.maximumPartitions, line.persisted.rawValue < UInt64(Int64.max),
                partitions.last.map({ $0.partition < line.partition }) ?? true
            else { throw .invalid(field: "checkpoint partition", value: line.partition.rawValue) }
            partitions.append(line)
        }
    }
}

/// A part of an encoded system checkpoint. The checkpoint is complete when all its pieces have been read in order.
public struct CheckpointPiece: Hashable, Sendable {
    /// Names the checkpoint; rises with each one of a stream.
    public var number: UInt64
    public var piece: UInt32
    public var pieceCount: UInt32
    public var bytes: [UInt8]

    public init(number: UInt64, piece: UInt32, pieceCount: UInt32, bytes: [UInt8]) {
        self.number = number
        self.piece = piece
        self.pieceCount = pieceCount
        self.bytes = bytes
    }

    func encode(into body: inout [UInt8]) {
        body.append(littleEndian: number)
        body.append(littleEndian: piece)
        body.append(littleEndian: pieceCount)
        body.append(littleEndian: UInt64(bytes.count))
        body.append(contentsOf: bytes)
    }

    init(decoding reader: inout ByteReader) throws(DecodeError) {
        number = try reader.integer()
        piece = try reader.integer()
        pieceCount = try reader.integer()
        guard piece < pieceCount else { throw .invalid(field: "checkpoint piece", value: UInt64(piece)) }
        bytes = [UInt8](try reader.take(try reader.count()))
    }
}

extension ByteReader {
    /// A 64-bit length that must not exceed what is left.
    mutating func count() throws(DecodeError) -> Int {
        let value = try integer(UInt64.self)
        guard value <= UInt64(bytes.count) else { throw .truncated(needed: Int(clamping: value), available: remaining) }
        return Int(value)
    }
}
