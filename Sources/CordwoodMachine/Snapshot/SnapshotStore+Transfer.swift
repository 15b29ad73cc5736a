public import CordwoodBase
public import CordwoodIO

/// A snapshot's file as it travels between replicas: byte for byte, judged by the checksum that it ends with.
public struct SnapshotFile: Hashable, Sendable {
    public var partition: PartitionID
    public var index: PartitionLogIndex
    /// Length of the file.
    public var byteCount: UInt64
    /// What the file ends with.
    public var checksum: ChainValue

    public init(partition: PartitionID, index: PartitionLogIndex, byteCount: UInt64, checksum: ChainValue) {
        self.partition = partition
        self.index = index
        self.byteCount = byteCount
        self.checksum = checksum
    }
}

/// Giving snapshots to other replicas and taking them from these, in chunks.
extension SnapshotStore {
    private static let partSuffix = ".part"

    /// What a snapshot's file says of itself; `nil` when it is not there or cannot be one. Its state is not read.
    public func describe(
        _ partition: PartitionID, _ index: PartitionLogIndex
    ) async throws(IOError) -> (header: SnapshotHeader, file: SnapshotFile)? {
        let path = "\(try await shard(partition))/\(name(partition, index))"
        let described = try await withFile(path) {
            file throws(IOError) -> (header: SnapshotHeader, file: SnapshotFile)? in
            let size = try await file.size()
            guard size >= UInt64(Self.headerBytes + Self.trailerBytes) else { return nil }
            let buffer = IOBuffer(count: Self.headerBytes + Self.trailerBytes)
            _ = try await file.read(into: buffer, 0..<Self.headerBytes, at: 0)
            let end = Self.headerBytes..<buffer.count
            _ = try await file.read(into: buffer, end, at: size - UInt64(Self.trailerBytes))
            var trailer = ByteReader(buffer[end])
            guard let header = Self.decode(buffer[0..<Self.headerBytes]), header.partition == partition,
                header.index == index, let checksum = try? trailer.chainValue()
            else { return nil }
            return (
                header, SnapshotFile(partition: partition, index: index, byteCount: size, checksum: checksum)
            )
        }
        return described ?? nil
    }

    /// A snapshot's file as it may be named to others or relied on: all of it has been read and verified. `nil` when it
    /// is not there or damaged.
    public func intactFile(
        _ partition: PartitionID, _ index: PartitionLogIndex
    ) async throws(IOError) -> SnapshotFile? {
        let path = "\(try await shard(partition))/\(name(partition, index))"
        let bytes: [UInt8]?
        do throws(IOError) { bytes = try await seams.files.contents(of: path) } catch {
            if error.reason == .device { return nil }
            throw error
        }
        guard let bytes, bytes.count >= Self.headerBytes + Self.trailerBytes else { return nil }
        let checksum = bytes.withUnsafeBytes { raw in
            var trailer = ByteReader(raw, offset: raw.count - Self.trailerBytes)
            return try? trailer.chainValue()
        }
        guard let checksum else { return nil }
        let file = SnapshotFile(
            partition: partition, index: index, byteCount: UInt64(bytes.count), checksum: checksum)
        return Self.isSound(bytes, file) ? file : nil
    }

    /// Bytes of a snapshot's file; `nil` when there is no such file, fewer than asked for only at its end.
    public func bytes(
        of partition: PartitionID, _ index: PartitionLogIndex, at offset: UInt64, count: Int
    ) async throws(IOError) -> [UInt8]? {
        let path = "\(try await shard(partition))/\(name(partition, index))"
        return try await withFile(path) { file throws(IOError) in
            let size = try await file.size()
            guard offset < size, count > 0 else { return [] }
            let buffer = IOBuffer(count: Int(min(UInt64(count), size - offset)))
            let got = try await file.read(into: buffer, 0..<buffer.count, at: offset)
            return [UInt8](buffer[0..<got])
        }
    }

    // MARK: Taking

    /// Bytes that are there of a snapshot that has not come over completely.
    public func partialBytes(of file: SnapshotFile) async throws(IOError) -> UInt64 {
        let size: UInt64? = try await withFile(try await part(file)) { file throws(IOError) in try await file.size() }
        return min(size ?? 0, file.byteCount)
    }

    /// Adds bytes to a snapshot that comes over. They are not durable yet.
    public func addPart(of file: SnapshotFile, at offset: UInt64, _ bytes: [UInt8]) async throws(IOError) {
        guard !bytes.isEmpty else { return }
        let path = try await part(file)
        let open = try await seams.files.open(path, FileMode(.createIfMissing, writable: true))
        do throws(IOError) {
            let buffer = IOBuffer(count: bytes.count)
            bytes.withUnsafeBytes { buffer.bytes.copyMemory(from: $0) }
            try await open.write(buffer, 0..<bytes.count, at: offset, durable: false)
            await open.close()
        } catch {
            await open.close()
            throw error
        }
    }

    /// A snapshot has come over: verifies it and gives it its name, durably. False when it is not what it should be; it
    /// is gone then.
    public func finishPart(of file: SnapshotFile) async throws(IOError) -> Bool {
        let path = try await part(file)
        let sound: Bool? = try await withFile(path, isWritable: true) { open throws(IOError) in
            guard try await open.size() == file.byteCount else { return false }
            try await open.sync()
            return true
        }
        guard sound == true, let bytes = try await seams.files.contents(of: path), Self.isSound(bytes, file) else {
            try await dropPart(of: file)
            return false
        }
        let shard = try await shard(file.partition)
        try await seams.files.rename(path, to: "\(shard)/\(name(file.partition, file.index))")
        noteWritten(file.partition, file.index)
        try await seams.files.syncDirectory(shard)
        return true
    }

    public func dropPart(of file: SnapshotFile) async throws(IOError) {
        do throws(IOError) { try await seams.files.remove(try await part(file)) } catch {
            if error.reason != .notFound { throw error }
        }
    }

    private static func isSound(_ bytes: [UInt8], _ file: SnapshotFile) -> Bool {
        let end = bytes.count - trailerBytes
        guard end >= headerBytes else { return false }
        return bytes.withUnsafeBytes { raw in
            guard let header = decode(raw), header.partition == file.partition, header.index == file.index else {
                return false
            }
            return Checksum.xxh3Wide(UnsafeRawBufferPointer(rebasing: raw[..<end]), seed: magic) == file.checksum
        }
    }

    /// Takes over a snapshot that another store holds, by a rename, durable on return. May be cut short and called
    /// again: without the file in the other store nothing happens.
    public func adopt(_ partition: PartitionID, _ index: PartitionLogIndex, from other: SnapshotStore)
        async throws(IOError)
    {
        let source = try await other.shard(partition)
        let target = try await shard(partition)
        let name = name(partition, index)
        do throws(IOError) { try await seams.files.rename("\(source)/\(name)", to: "\(target)/\(name)") } catch {
            if error.reason == .notFound { return }
            throw error
        }
        other.noteRemoved(partition, index)
        noteWritten(partition, index)
        try await seams.files.syncDirectory(target)
        try await seams.files.syncDirectory(source)
    }

    private func part(_ file: SnapshotFile) async throws(IOError) -> String {
        "\(try await shard(file.partition))/\(name(file.partition, file.index))\(Self.partSuffix)"
    }

    /// `nil` when there is no such file.
    private func withFile<Value>(
        _ path: String, isWritable: Bool = false, _ body: (any File) async throws(IOError) -> Value
    ) async throws(IOError) -> Value? {
        let file: any File
        do throws(IOError) { file = try await seams.files.open(path, FileMode(.mustExist, writable: isWritable)) } catch
        {
            if error.reason == .notFound { return nil }
            throw error
        }
        do throws(IOError) {
            let value = try await body(file)
            await file.close()
            return value
        } catch {
            await file.close()
            throw error
        }
    }
}
