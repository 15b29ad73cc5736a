public import CordwoodBase
public import CordwoodIO

/// What a snapshot shows: the state of one partition's machine after one entry.
public struct SnapshotHeader: Hashable, Sendable {
    public var partition: PartitionID
    /// Last entry applied.
    public var index: PartitionLogIndex
    public var raftIndex: RaftIndex
    public var term: Term
    /// The partition chain at that entry: a snapshot belongs to a log that has this value there.
    public var chain: ChainValue
    /// Events that the entries up to there produced.
    public var eventCount: UInt64

    public init(
        partition: PartitionID, index: PartitionLogIndex, raftIndex: RaftIndex, term: Term, chain: ChainValue,
        eventCount: UInt64
    ) {
        self.partition = partition
        self.index = index
        self.raftIndex = raftIndex
        self.term = term
        self.chain = chain
        self.eventCount = eventCount
    }
}

/// The machines' snapshots on disk, several of each partition: `<shard>/<partition>-<index>.snapshot`.
///
/// A file is written under a temporary name, synced, renamed, and its directory synced, so a name stands for a whole
/// snapshot or for none. The file, little-endian:
///
/// | bytes | what |
/// |---|---|
/// | 8 | "CWSNAP01" |
/// | 8, 8, 8, 8 | partition, partition log index, Raft index, term |
/// | 16 | partition chain, low half first |
/// | 8 | events |
/// | 8 | length of the state |
/// | n | the machine's state |
/// | 16 | XXH3-128 of all that stands before, low half first |
///
/// Damage makes a snapshot invisible, never an error: an older one and the log give the same state.
public final class SnapshotStore {
    static let magic: UInt64 = 0x3130_5041_4E53_5743
    static let headerBytes = 72
    static let trailerBytes = 16
    static let suffix = ".snapshot"

    public let directory: String
    /// Snapshots that somebody is reading: they are kept beyond the number that is.
    public var isHeld: (PartitionID, PartitionLogIndex) -> Bool = { _, _ in false }
    let seams: Seams
    private var madeDirectories: Set<String> = []
    /// Names by shard and partition as they were listed, with what was written and removed here since, so that asking
    /// for every partition lists every directory once.
    private var listings: [UInt64: [PartitionID: Set<PartitionLogIndex>]] = [:]

    public init(directory: String, seams: Seams) {
        self.directory = directory
        self.seams = seams
    }

    /// Where the snapshots of a partition and of its neighbours are, once there is one.
    private func shardPath(_ partition: PartitionID) -> String {
        let digits = String(partition.rawValue & 255, radix: 16)
        return "\(directory)/\(digits.utf8.count < 2 ? "0" + digits : digits)"
    }

    func shard(_ partition: PartitionID) async throws(IOError) -> String {
        let path = shardPath(partition)
        if !madeDirectories.contains(path) {
            if madeDirectories.isEmpty { try await seams.files.makeDurableDirectory(directory) }
            try await seams.files.makeDurableDirectory(path)
            madeDirectories.insert(path)
        }
        return path
    }

    func name(_ partition: PartitionID, _ index: PartitionLogIndex) -> String {
        "\(partition)-\(index)\(Self.suffix)"
    }

    /// The snapshots of a partition by their names and headers, newest first. Their states are verified when read.
    ///
    /// - Parameter isFresh: looks at the directory again. Otherwise what somebody else has put there since it was
    ///   listed may be missing.
    public func list(_ partition: PartitionID, isFresh: Bool = false) async throws(IOError) -> [SnapshotHeader] {
        let shard = shardPath(partition)
        var headers: [SnapshotHeader] = []
        for index in try await indexes(of: partition, isFresh: isFresh).sorted(by: >) {
            if let header = try await header("\(shard)/\(name(partition, index))"), header.partition == partition,
                header.index == index
            {
                headers.append(header)
            }
        }
        return headers
    }

    private func indexes(of partition: PartitionID, isFresh: Bool) async throws(IOError) -> Set<PartitionLogIndex> {
        let number = partition.rawValue & 255
        if !isFresh, let listing = listings[number] { return listing[partition] ?? [] }
        var listing: [PartitionID: Set<PartitionLogIndex>] = [:]
        let entries: [DirectoryEntry]
        do throws(IOError) { entries = try await seams.files.list(shardPath(partition)) } catch {
            // Looking makes no directory: a full disk has no room for one, and the partition opens all the same.
            guard error.reason == .notFound else { throw error }
            entries = []
        }
        for entry in entries {
            guard entry.name.hasSuffix(Self.suffix) else { continue }
            let parts = entry.name.dropLast(Self.suffix.count).split(separator: "-", omittingEmptySubsequences: false)
            guard parts.count == 2, let owner = UInt64(parts[0]), let index = UInt64(parts[1]) else { continue }
            listing[PartitionID(owner), default: []].insert(PartitionLogIndex(index))
        }
        listings[number] = listing
        return listing[partition] ?? []
    }

    func noteWritten(_ partition: PartitionID, _ index: PartitionLogIndex) {
        listings[partition.rawValue & 255]?[partition, default: []].insert(index)
    }

    func noteRemoved(_ partition: PartitionID, _ index: PartitionLogIndex) {
        listings[partition.rawValue & 255]?[partition]?.remove(index)
    }

    /// What a snapshot's file says first; `nil` when it is gone, cannot be read, or is no snapshot.
    private func header(_ path: String) async throws(IOError) -> SnapshotHeader? {
        let file: any File
        do throws(IOError) { file = try await seams.files.open(path, FileMode(.mustExist, writable: false)) } catch {
            if error.reason == .notFound { return nil }
            throw error
        }
        do throws(IOError) {
            let buffer = IOBuffer(count: Self.headerBytes)
            let got = try await file.read(into: buffer, 0..<Self.headerBytes, at: 0)
            await file.close()
            return Self.decode(buffer[0..<got])
        } catch {
            await file.close()
            if error.reason == .device { return nil }
            throw error
        }
    }

    /// A snapshot with its state, verified; `nil` when it is not there or damaged.
    public func read(
        _ partition: PartitionID, _ index: PartitionLogIndex
    ) async throws(IOError) -> (header: SnapshotHeader, state: [UInt8])? {
        let path = "\(try await shard(partition))/\(name(partition, index))"
        guard let bytes = try await seams.files.contents(of: path),
            let snapshot = Self.decode(bytes), snapshot.header.partition == partition, snapshot.header.index == index
        else { return nil }
        return snapshot
    }

    /// Puts a snapshot on disk, durable on return, and removes all but the newest `keeping`.
    public func write(_ header: SnapshotHeader, _ state: [UInt8], keeping: Int) async throws(IOError) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.headerBytes + state.count + Self.trailerBytes)
        bytes.append(littleEndian: Self.magic)
        bytes.append(littleEndian: header.partition.rawValue)
        bytes.append(littleEndian: header.index.rawValue)
        bytes.append(littleEndian: header.raftIndex.rawValue)
        bytes.append(littleEndian: header.term.rawValue)
        bytes.append(littleEndian: header.chain.low)
        bytes.append(littleEndian: header.chain.high)
        bytes.append(littleEndian: header.eventCount)
        bytes.append(littleEndian: UInt64(state.count))
        bytes.append(contentsOf: state)
        let check = bytes.withUnsafeBytes { Checksum.xxh3Wide($0, seed: Self.magic) }
        bytes.append(littleEndian: check.low)
        bytes.append(littleEndian: check.high)
        let shard = try await shard(header.partition)
        try await seams.files.replaceContents(of: name(header.partition, header.index), in: shard, with: bytes)
        noteWritten(header.partition, header.index)
        for old in try await list(header.partition).dropFirst(max(1, keeping))
        where !isHeld(header.partition, old.index) {
            try await seams.files.remove("\(shard)/\(name(header.partition, old.index))")
            noteRemoved(header.partition, old.index)
        }
    }

    /// Removes every snapshot of a partition.
    public func removeAll(_ partition: PartitionID) async throws(IOError) {
        let shard = try await shard(partition)
        for entry in try await seams.files.list(shard)
        where entry.name.hasPrefix("\(partition)-") && entry.name.hasSuffix(Self.suffix) {
            try await seams.files.remove("\(shard)/\(entry.name)")
        }
        listings[partition.rawValue & 255]?[partition] = nil
        try await seams.files.syncDirectory(shard)
    }

    /// A whole file, verified; `nil` when it is no snapshot.
    static func decode(_ bytes: [UInt8]) -> (header: SnapshotHeader, state: [UInt8])? {
        let end = bytes.count - trailerBytes
        guard end >= headerBytes else { return nil }
        return bytes.withUnsafeBytes { raw in
            var trailer = ByteReader(raw, offset: end)
            guard let stored = try? trailer.chainValue(),
                Checksum.xxh3Wide(UnsafeRawBufferPointer(rebasing: raw[..<end]), seed: magic) == stored,
                let header = decode(raw), stateBytes(raw) == UInt64(end - headerBytes)
            else { return nil }
            return (header, [UInt8](raw[headerBytes..<end]))
        }
    }

    static func decode(_ raw: UnsafeRawBufferPointer) -> SnapshotHeader? {
        var reader = ByteReader(raw)
        guard (try? reader.integer(UInt64.self)) == magic else { return nil }
        do throws(DecodeError) {
            return SnapshotHeader(
                partition: try reader.position(), index: try reader.position(), raftIndex: try reader.position(),
                term: try reader.position(), chain: try reader.chainValue(), eventCount: try reader.integer())
        } catch { return nil }
    }

    private static func stateBytes(_ raw: UnsafeRawBufferPointer) -> UInt64? {
        var reader = ByteReader(raw, offset: headerBytes - 8)
        return try? reader.integer()
    }
}
