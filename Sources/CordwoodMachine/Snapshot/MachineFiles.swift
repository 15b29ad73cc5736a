internal import CordwoodBase
internal import CordwoodIO

/// A machine's derived files, beside its snapshots: `<shard>/<partition>.<name>.derived`, each with a checksum behind
/// its contents. A damaged file counts as absent: the machine rebuilds it.
final class MachineFiles: DerivedFiles {
    private static let seed: UInt64 = 0x6465_7269_7665_6431

    private let partition: PartitionID
    private let store: SnapshotStore

    init(partition: PartitionID, snapshots: SnapshotStore) {
        self.partition = partition
        store = snapshots
    }

    func replace(_ name: String, with bytes: [UInt8]) async throws {
        var bytes = bytes
        bytes.append(littleEndian: bytes.withUnsafeBytes { Checksum.xxh3($0, seed: Self.seed) })
        try await store.seams.files.replaceContents(
            of: try file(name), in: try await store.shard(partition), with: bytes, isDurable: false)
    }

    func read(_ name: String) async throws -> [UInt8]? {
        guard
            var bytes = try await store.seams.files.contents(
                of: "\(try await store.shard(partition))/\(try file(name))"),
            bytes.count >= 8
        else { return nil }
        let end = bytes.count - 8
        let isSound = bytes.withUnsafeBytes { raw in
            var reader = ByteReader(raw, offset: end)
            let stored = try? reader.integer(UInt64.self)
            return stored == Checksum.xxh3(UnsafeRawBufferPointer(rebasing: raw[..<end]), seed: Self.seed)
        }
        guard isSound else { return nil }
        bytes.removeLast(8)
        return bytes
    }

    func delete(_ name: String) async throws {
        do { try await store.seams.files.remove("\(try await store.shard(partition))/\(try file(name))") } catch {
            guard let error = error as? IOError, error.reason == .notFound else { throw error }
        }
    }

    /// Names are letters, digits, dots, dashes and underscores, so that no machine reaches another's files.
    private func file(_ name: String) throws -> String {
        let isPlain = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        guard isPlain, !name.isEmpty, name.utf8.count <= 100 else {
            throw IOError(.other, operation: "name", subject: name)
        }
        return "\(partition).\(name).derived"
    }
}
