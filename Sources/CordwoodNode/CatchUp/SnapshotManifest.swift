public import CordwoodBase
public import CordwoodLog
public import CordwoodMachine
public import CordwoodRaft

/// The Raft snapshot: no data, but the names of all the pieces that make up a replica's state behind one index S, and
/// what these must come to.
///
/// The replica that makes a manifest has everything up to S committed and persisted, and takes nothing above S into
/// it. Whoever holds pieces that agree with it, in whatever way they came, holds that state.
///
/// | bytes | what |
/// |---|---|
/// | 4, 2, 2 | "CWMF", version 1, zero |
/// | 8, 8, 16 | S, its term, the entry chain there |
/// | 8, 8 | timestamp, routing epoch |
/// | 8, 8, 8 | lengths of membership and sessions, number of partitions |
/// | n, n | membership, sessions |
/// | 80 each | partitions, ascending: partition, last index, its Raft index (8 each), chain there (16), first index held, machine snapshot's index or 0, its length (8 each), its checksum (16) |
/// | 16 | XXH3-128 of all that stands before, low half first |
public struct SnapshotManifest: Hashable, Sendable {
    /// The pieces of one partition that holds something.
    public struct Partition: Hashable, Sendable {
        /// The partition's last entry at or below S.
        public var line: SystemCheckpoint.Line
        /// Lowest index that its log is known to hold; one more than the last when there is none left.
        public var first: PartitionLogIndex
        /// The newest machine snapshot that the log goes on from.
        public var snapshot: SnapshotFile?

        public init(line: SystemCheckpoint.Line, first: PartitionLogIndex, snapshot: SnapshotFile? = nil) {
            self.line = line
            self.first = first
            self.snapshot = snapshot
        }

        public var partition: PartitionID { line.partition }
    }

    /// S, its term, and the entry chain there.
    public var boundary: LogBoundary
    /// In microseconds since 1970: no entry up to S has a later timestamp, and a leader that knows nothing older than S
    /// gives none that is earlier.
    public var timestampMicroseconds: Int64
    /// The group as it is at S.
    public var membership: Membership
    /// The client sessions as they are at S.
    public var sessions: SessionTable
    public var routingEpoch: UInt64
    /// Every partition that holds something, ascending.
    public var partitions: [Partition]

    public init(
        boundary: LogBoundary, timestampMicroseconds: Int64, membership: Membership, sessions: SessionTable,
        routingEpoch: UInt64 = 1, partitions: [Partition]
    ) {
        self.boundary = boundary
        self.timestampMicroseconds = timestampMicroseconds
        self.membership = membership
        self.sessions = sessions
        self.routingEpoch = routingEpoch
        self.partitions = partitions
    }

    public var position: LogPosition { LogPosition(index: boundary.index, term: boundary.term) }

    /// Where each partition ends.
    public var lines: [SystemCheckpoint.Line] { partitions.map(\.line) }

    /// What a system checkpoint behind the snapshot says.
    var checkpoint: SystemCheckpoint {
        SystemCheckpoint(
            configuration: membership.encoded(), sessions: sessions.encoded(), routingEpoch: routingEpoch,
            partitions: lines)
    }

    /// The pieces of a partition, if it holds something.
    func entry(of partition: PartitionID) -> Partition? {
        var low = 0
        var high = partitions.count
        while low < high {
            let middle = (low + high) / 2
            if partitions[middle].partition < partition { low = middle + 1 } else { high = middle }
        }
        return low < partitions.count && partitions[low].partition == partition ? partitions[low] : nil
    }
}

// MARK: - Codec

extension SnapshotManifest {
    private static let magic: UInt32 = 0x464D_5743  // "CWMF"
    private static let version: UInt16 = 1
    static let seed: UInt64 = 0x6D61_6E69_6665_7374
    private static let partitionBytes = 80

    public func encoded() -> [UInt8] {
        let membership = membership.encoded()
        let sessions = sessions.encoded()
        var bytes: [UInt8] = []
        bytes.reserveCapacity(96 + membership.count + sessions.count + partitions.count * Self.partitionBytes)
        bytes.append(littleEndian: Self.magic)
        bytes.append(littleEndian: Self.version)
        bytes.append(littleEndian: UInt16(0))
        bytes.append(littleEndian: boundary.index.rawValue)
        bytes.append(littleEndian: boundary.term.rawValue)
        bytes.append(chain: boundary.chain)
        bytes.append(littleEndian: timestampMicroseconds)
        bytes.append(littleEndian: routingEpoch)
        bytes.append(littleEndian: UInt64(membership.count))
        bytes.append(littleEndian: UInt64(sessions.count))
        bytes.append(littleEndian: UInt64(partitions.count))
        bytes.append(contentsOf: membership)
        bytes.append(contentsOf: sessions)
        for entry in partitions {
            bytes.append(littleEndian: entry.line.partition.rawValue)
            bytes.append(littleEndian: entry.line.persisted.rawValue)
            bytes.append(littleEndian: entry.line.raftIndex.rawValue)
            bytes.append(chain: entry.line.chain)
            bytes.append(littleEndian: entry.first.rawValue)
            bytes.append(littleEndian: entry.snapshot?.index.rawValue ?? 0)
            bytes.append(littleEndian: entry.snapshot?.byteCount ?? 0)
            bytes.append(chain: entry.snapshot?.checksum ?? .zero)
        }
        bytes.append(chain: bytes.withUnsafeBytes { Checksum.xxh3Wide($0, seed: Self.seed) })
        return bytes
    }

    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        let result: Result<SnapshotManifest, DecodeError> = bytes.withUnsafeBytes { raw in
            do throws(DecodeError) { return .success(try Self.decode(raw)) } catch { return .failure(error) }
        }
        self = try result.get()
    }

    private static func decode(_ raw: UnsafeRawBufferPointer) throws(DecodeError) -> SnapshotManifest {
        guard raw.count >= 16 else { throw .truncated(needed: 16, available: raw.count) }
        let body = UnsafeRawBufferPointer(rebasing: raw[..<(raw.count - 16)])
        var trailer = ByteReader(raw, offset: body.count)
        guard try trailer.chainValue() == Checksum.xxh3Wide(body, seed: seed) else {
            throw .invalid(field: "manifest checksum", value: 0)
        }
        var reader = ByteReader(body)
        let foundMagic = try reader.integer(UInt32.self)
        guard foundMagic == magic else { throw .invalid(field: "manifest magic", value: UInt64(foundMagic)) }
        let foundVersion = try reader.integer(UInt16.self)
        guard foundVersion == version else { throw .invalid(field: "manifest version", value: UInt64(foundVersion)) }
        _ = try reader.integer(UInt16.self)
        let boundary = LogBoundary(
            index: try reader.ordinal(), term: try reader.ordinal(), chain: try reader.chainValue())
        guard boundary.index > 0, boundary.index.rawValue < UInt64(Int64.max) else {
            throw .invalid(field: "manifest index", value: boundary.index.rawValue)
        }
        let timestamp = try reader.integer(Int64.self)
        let routingEpoch = try reader.integer(UInt64.self)
        let membershipBytes = try reader.integer(UInt64.self)
        let sessionBytes = try reader.integer(UInt64.self)
        let count = try reader.integer(UInt64.self)
        let membership = try Membership(decoding: try reader.bytes(membershipBytes))
        let sessions = try SessionTable(decoding: try reader.bytes(sessionBytes))
        guard reader.remaining % partitionBytes == 0, UInt64(reader.remaining / partitionBytes) == count else {
            throw .invalid(field: "manifest partitions", value: count)
        }
        var manifest = SnapshotManifest(
            boundary: boundary, timestampMicroseconds: timestamp, membership: membership, sessions: sessions,
            routingEpoch: routingEpoch, partitions: [])
        manifest.partitions.reserveCapacity(Int(count))
        for _ in 0..<count {
            let entry = try partition(from: &reader)
            guard entry.partition.rawValue < UInt64(membership.partitionCount), entry.line.raftIndex <= boundary.index,
                manifest.partitions.last.map({ $0.partition < entry.partition }) ?? true
            else { throw .invalid(field: "manifest partition", value: entry.partition.rawValue) }
            manifest.partitions.append(entry)
        }
        return manifest
    }

    private static func partition(from reader: inout ByteReader) throws(DecodeError) -> Partition {
        let line = SystemCheckpoint.Line(
            partition: try reader.ordinal(), persisted: try reader.ordinal(), raftIndex: try reader.ordinal(),
            chain: try reader.chainValue())
        let first: PartitionLogIndex = try reader.ordinal()
        let snapshotIndex: PartitionLogIndex = try reader.ordinal()
        let snapshotBytes = try reader.integer(UInt64.self)
        let checksum = try reader.chainValue()
        guard line.persisted > 0, line.persisted.rawValue < UInt64(Int64.max), line.raftIndex >= line.persisted.asRaft,
            first > 0, first <= line.persisted.next, snapshotIndex <= line.persisted,
            snapshotIndex.next >= first || first == 1
        else { throw .invalid(field: "manifest partition", value: line.partition.rawValue) }
        return Partition(
            line: line, first: first,
            snapshot: snapshotIndex == 0
                ? nil
                : SnapshotFile(
                    partition: line.partition, index: snapshotIndex, byteCount: snapshotBytes, checksum: checksum))
    }
}

extension PartitionLogIndex {
    /// A partition's entry stands at this Raft index at the earliest.
    fileprivate var asRaft: RaftIndex { RaftIndex(rawValue) }
}

extension ByteReader {
    /// A copy of the next bytes; a count beyond what is left is refused.
    mutating func bytes(_ count: UInt64) throws(DecodeError) -> [UInt8] {
        guard count <= UInt64(remaining) else {
            throw .truncated(needed: Int(clamping: count), available: remaining)
        }
        return [UInt8](try take(Int(count)))
    }
}

extension Array where Element == UInt8 {
    mutating func append(chain: ChainValue) {
        append(littleEndian: chain.low)
        append(littleEndian: chain.high)
    }
}
