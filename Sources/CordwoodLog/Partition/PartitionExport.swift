public import CordwoodBase

/// A run of records of one partition log in the form in which it travels between replicas: the records as they are
/// stored, which is the same everywhere, behind the point that they follow.
///
/// | bytes | what |
/// |---|---|
/// | 4, 2, 2 | "CWPX", version 1, zero |
/// | 8, 8 | partition, number of records |
/// | 8, 8, 8, 16 | the record before the first: index, Raft index, term, partition chain |
/// | 8 | length of the records |
/// | n | records of kind 2, each with its padding |
/// | 16 | XXH3-128 of all that stands before, low half first |
///
/// A value exists only when all of it is verified: the checksum, every record, and the chain from the point before the
/// first record to the last one.
public struct PartitionExport: Sendable {
    public let partition: PartitionID
    /// The record that the first one follows.
    public let previous: PartitionPoint
    /// The last record.
    public let last: PartitionPoint
    public let count: Int

    private let bytes: [UInt8]
    /// Where each record begins in `bytes`, and where the last one ends with its padding.
    private let offsets: [Int]

    /// The magic is "CWPX".
    static let frame = TransferFrame(
        magic: 0x5850_5743, version: 1, headerBytes: 72, checksumSeed: 0x7061_7274_4578_706F)
    private static let carrierBytes = 16
    /// What the least record takes.
    private static let smallestRecord = PartitionRecord.payloadOffset

    /// Index of the first record.
    public var first: PartitionLogIndex { previous.partitionIndex.next }

    /// What the records take.
    public var byteCount: Int { bytes.count - Self.frame.headerBytes - TransferFrame.trailerBytes }

    // MARK: Encoding

    /// Header of an export whose records follow; `finish` closes it. There is room for what its carrier adds, too.
    static func begin(_ partition: PartitionID, after previous: PartitionPoint, capacityBytes: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(frame.headerBytes + capacityBytes + TransferFrame.trailerBytes + carrierBytes)
        frame.begin(&bytes)
        bytes.append(littleEndian: partition.rawValue)
        bytes.append(littleEndian: UInt64(0))
        bytes.append(littleEndian: previous.partitionIndex.rawValue)
        bytes.append(littleEndian: previous.raftIndex.rawValue)
        bytes.append(littleEndian: previous.term.rawValue)
        bytes.append(littleEndian: previous.chain.low)
        bytes.append(littleEndian: previous.chain.high)
        bytes.append(littleEndian: UInt64(0))
        return bytes
    }

    static func finish(_ bytes: inout [UInt8], count: Int) {
        let length = bytes.count - frame.headerBytes
        bytes.withUnsafeMutableBytes { raw in
            var writer = ByteWriter(raw, offset: 16)
            writer.integer(UInt64(count))
            writer.offset = frame.headerBytes - 8
            writer.integer(UInt64(length))
        }
        frame.finish(&bytes)
    }

    // MARK: Decoding

    /// Reads and verifies an export.
    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        let result: Result<Contents, DecodeError> = bytes.withUnsafeBytes { raw in
            do throws(DecodeError) { return .success(try Self.decode(raw)) } catch { return .failure(error) }
        }
        let contents = try result.get()
        partition = contents.partition
        previous = contents.previous
        last = contents.last
        count = contents.offsets.count - 1
        offsets = contents.offsets
        self.bytes = bytes
    }

    private struct Contents {
        var partition: PartitionID
        var previous: PartitionPoint
        var last: PartitionPoint
        var offsets: [Int]
    }

    private static func decode(_ raw: UnsafeRawBufferPointer) throws(DecodeError) -> Contents {
        var reader = try frame.contents(of: raw)
        let partition: PartitionID = try reader.ordinal()
        guard partition.rawValue < LogFormat.maximumPartitions else {
            throw .invalid(field: "export partition", value: partition.rawValue)
        }
        let count = try reader.integer(UInt64.self)
        let previous = PartitionPoint(
            partitionIndex: try reader.ordinal(), raftIndex: try reader.ordinal(), term: try reader.ordinal(),
            chain: try reader.chainValue())
        guard previous.partitionIndex.rawValue < UInt64(Int64.max) else {
            throw .invalid(field: "export index", value: previous.partitionIndex.rawValue)
        }
        let length = try reader.integer(UInt64.self)
        guard length == UInt64(reader.remaining), count > 0, count <= UInt64(reader.remaining / smallestRecord) else {
            throw .invalid(field: "export count", value: count)
        }
        var contents = Contents(partition: partition, previous: previous, last: previous, offsets: [])
        contents.offsets.reserveCapacity(Int(count) + 1)
        while reader.remaining > 0 { try take(from: &reader, &contents) }
        contents.offsets.append(reader.offset)
        guard UInt64(contents.offsets.count - 1) == count else { throw .invalid(field: "export count", value: count) }
        return contents
    }

    private static func take(from reader: inout ByteReader, _ contents: inout Contents) throws(DecodeError) {
        let start = reader.offset
        let header = try RecordHeader(decoding: &reader)
        guard header.version == 1, header.group == 0 else {
            throw .invalid(field: "record version", value: UInt64(header.version))
        }
        reader.offset = start
        let record = RecordView(bytes: try reader.take(Int(header.lengthBytes)), header: header)
        guard BatchReading.isZero(try reader.take(header.paddedBytes - Int(header.lengthBytes))) else {
            throw .invalid(field: "record padding", value: UInt64(start))
        }
        let found = try record.partitionHeader()
        guard found.position.partitionIndex == contents.last.partitionIndex.next,
            found.position.raftIndex > contents.last.raftIndex, found.position.term >= contents.last.term,
            record.partitionChain(after: contents.last.chain) == found.chain
        else { throw .invalid(field: "export record", value: found.position.partitionIndex.rawValue) }
        contents.last = PartitionPoint(
            partitionIndex: found.position.partitionIndex, raftIndex: found.position.raftIndex,
            term: found.position.term, chain: found.chain)
        contents.offsets.append(start)
    }

    // MARK: Records

    /// What a record takes with its padding.
    func framedBytes(at position: Int) -> Int { offsets[position + 1] - offsets[position] }

    /// The records of a range of positions as they stand, padding included.
    func withFramed<Value>(_ range: Range<Int>, _ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        bytes.withUnsafeBytes {
            body(UnsafeRawBufferPointer(rebasing: $0[offsets[range.lowerBound]..<offsets[range.upperBound]]))
        }
    }

    /// The point at a record; -1 is the one before the first.
    func point(at position: Int) -> PartitionPoint {
        if position < 0 { return previous }
        if position == count - 1 { return last }
        return bytes.withUnsafeBytes { raw in
            var reader = ByteReader(raw, offset: offsets[position])
            guard let header = try? RecordHeader(decoding: &reader),
                let found = try? RecordView(
                    bytes: UnsafeRawBufferPointer(
                        rebasing: raw[offsets[position]..<offsets[position] + Int(header.lengthBytes)]), header: header
                ).partitionHeader()
            else { brokenInvariant("verified record \(position) of partition \(partition) cannot be read") }
            return PartitionPoint(
                partitionIndex: found.position.partitionIndex, raftIndex: found.position.raftIndex,
                term: found.position.term, chain: found.chain)
        }
    }
}
