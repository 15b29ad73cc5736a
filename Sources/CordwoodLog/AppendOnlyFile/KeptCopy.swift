internal import CordwoodBase
internal import CordwoodIO

/// A durable copy of bytes that a recovery is about to write again in place.
///
/// What was readable but not promised may have been acknowledged, and must be written again before it counts as
/// durable. Power that fails in such a write may leave garbage in a sector that was sound before. So the bytes are
/// first copied to a file beside the segment, `<segment file>.<offset>.kept`; only when that and its name are durable
/// is the segment written. The next opening puts the bytes of a whole copy back where they differ, then reads. A copy
/// that is not whole was never relied on. The bytes are those of a part of the stream that is final, so putting them
/// back is right at any later time, too; the copy is removed once a recovery record stands behind them.
///
/// An opening that finds a copy makes it anew beside the old one and renames it: a process that was killed may have
/// begun to write the segment, or a write of it may have failed, and what it left shows the right bytes without being
/// durable. There is no moment at which power that fails finds neither.
///
/// The file is the bytes and, behind them, their XXH3-128, low half first, seeded with the segment's incarnation.
struct KeptCopy {
    static let suffix = ".kept"
    /// Of a copy that a crash left before it had its name.
    static let unfinishedSuffix = suffix + ".temporary"
    private static let trailerBytes = 16

    let directory: String
    /// The segment's file and where the bytes stand in it.
    let segment: SegmentName
    let offset: UInt64

    private var name: String { "\(segment).\(hexadecimal(offset))\(Self.suffix)" }
    var path: String { "\(directory)/\(name)" }
    private var segmentPath: String { "\(directory)/\(segment)" }

    init(directory: String, segment: SegmentName, offset: UInt64) {
        self.directory = directory
        self.segment = segment
        self.offset = offset
    }

    /// `nil` when the name is not one of a copy.
    private init?(_ name: String, directory: String, prefix: String) {
        guard name.hasSuffix(Self.suffix) else { return nil }
        let stem = name.dropLast(Self.suffix.count)
        guard let dot = stem.lastIndex(of: "."), let offset = SegmentName.number(stem[stem.index(after: dot)...]),
            let segment = SegmentName(String(stem[..<dot]), prefix: prefix)
        else { return nil }
        self.init(directory: directory, segment: segment, offset: offset)
    }

    private func checksum(_ bytes: UnsafeRawBufferPointer) -> ChainValue {
        Checksum.xxh3Wide(bytes, seed: segment.incarnation.rawValue ^ offset)
    }

    /// Makes the copy, durable with its name. False when there is no room for it; an earlier one stands then.
    func write(_ bytes: UnsafeRawBufferPointer, _ files: any FileSystem) async throws(IOError) -> Bool {
        var contents = [UInt8](bytes)
        let sum = checksum(bytes)
        contents.append(littleEndian: sum.low)
        contents.append(littleEndian: sum.high)
        do throws(IOError) {
            try await files.replaceContents(of: name, in: directory, with: contents)
            return true
        } catch {
            guard error.reason == .noSpace else { throw error }
            return false
        }
    }

    /// The copy has served. One that cannot be removed does no harm.
    func remove(_ files: any FileSystem) async { try? await files.remove(path) }

    /// Puts back what the copies in a directory hold, as far as a crash has damaged it, and removes copies of segments
    /// that are gone. Returns the copies that are left.
    static func restore(
        _ directory: String, prefix: String, _ files: any FileSystem
    ) async throws(IOError) -> [KeptCopy] {
        var left: [KeptCopy] = []
        let names = try await files.list(directory).map(\.name)
        for name in names.sorted() {
            if name.hasPrefix(prefix), name.hasSuffix(unfinishedSuffix) {
                try await files.remove(directory + "/" + name)
                continue
            }
            guard let copy = KeptCopy(name, directory: directory, prefix: prefix) else { continue }
            if names.contains("\(copy.segment)") {
                try await copy.restore(files)
                left.append(copy)
            } else {
                await copy.remove(files)
            }
        }
        return left
    }

    private func restore(_ files: any FileSystem) async throws(IOError) {
        guard let bytes = try await files.contents(of: path), bytes.count > Self.trailerBytes else { return }
        let count = bytes.count - Self.trailerBytes
        let isWhole = bytes.withUnsafeBytes { raw in
            var trailer = ByteReader(raw, offset: count)
            return (try? trailer.chainValue()) == checksum(UnsafeRawBufferPointer(rebasing: raw[..<count]))
        }
        guard isWhole else { return }
        let file = try await files.open(segmentPath, FileMode(.mustExist, writable: true, direct: true))
        do throws(IOError) {
            let held = IOBuffer(count: count)
            let got = try await file.read(into: held, 0..<count, at: offset)
            if got < count || !held[0..<count].elementsEqual(bytes[..<count]) {
                held.bytes.copyBytes(from: bytes[..<count])
                try await file.write(held, 0..<count, at: offset, durable: true)
                try await file.sync()
            }
        } catch {
            await file.close()
            throw error
        }
        await file.close()
    }
}
