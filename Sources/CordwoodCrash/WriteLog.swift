import CordwoodBase
import CordwoodIO
import CordwoodVirtual
import Foundation
import Glibc

/// Everything that a disk was asked to write, in order, as `qemu-storage-daemon` has logged it (driver blklogwrites),
/// and the images that a power cut may have left of it.
///
/// The log is little-endian, in sectors of 512: a header (magic, version, number of entries as u64), then entries of
/// one sector each (sector, number of sectors, flags as u64), each with its data behind it. What stands before a flush
/// is on the disk once the flush is done; what stands behind it may be there in any part.
struct WriteLog {
    struct Entry {
        var offset: UInt64
        var length: UInt64
        /// Where its data are in the log; nil when it writes zeros.
        var data: UInt64?
        var isFlush: Bool
    }

    private static let sector: UInt64 = 512
    private static let magic: UInt64 = 0x6a73_6677_7368_72
    /// Flags: FLUSH 1, FUA 2, DISCARD 4.
    private static let flush: UInt64 = 1
    private static let discard: UInt64 = 4

    private(set) var entries: [Entry] = []
    private let descriptor: Int32

    init(path: String) throws {
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CrashViolation("\(path): errno \(errno)") }
        let header = WriteLog.numbers(descriptor, 0)
        guard header[0] == WriteLog.magic, header[1] == 1 else {
            throw CrashViolation("\(path) is no log of writes: \(header)")
        }
        var place = WriteLog.sector
        for _ in 0..<header[2] {
            let entry = WriteLog.numbers(descriptor, place)
            let length = entry[1] * WriteLog.sector
            let hasData = entry[2] & WriteLog.discard == 0 && length > 0
            entries.append(
                Entry(
                    offset: entry[0] * WriteLog.sector, length: length, data: hasData ? place + WriteLog.sector : nil,
                    isFlush: entry[2] & WriteLog.flush != 0))
            place += WriteLog.sector + (hasData ? length : 0)
        }
    }

    func close() { Glibc.close(descriptor) }

    /// How many entries a log has by now, as far as it says so.
    static func count(in descriptor: Int32) -> UInt64 { numbers(descriptor, 0)[2] }

    private static func numbers(_ descriptor: Int32, _ offset: UInt64) -> [UInt64] {
        var bytes = [UInt8](repeating: 0, count: 32)
        guard pread(descriptor, &bytes, bytes.count, off_t(offset)) == bytes.count else { return [0, 0, 0, 0] }
        return bytes.withUnsafeBytes { raw in
            (0..<4).map { UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self)) }
        }
    }

    // MARK: Images

    /// Does to an image what the entries say, whole.
    func apply(_ range: Range<Int>, to image: Int32) throws {
        for entry in entries[range] { try write(entry, 0..<entry.length, to: image) }
    }

    /// Does a part of what the entries say: each of their units of so many bytes with even chances, or each entry as a
    /// whole when `unit` is nil.
    func applySome(of range: Range<Int>, unit: UInt64?, to image: Int32, _ random: VirtualRandom) throws {
        for entry in entries[range] {
            var from: UInt64 = 0
            while from < entry.length {
                let end = min(entry.length, unit.map { from + $0 } ?? entry.length)
                if random.chance(1, in: 2) { try write(entry, from..<end, to: image) }
                from = end
            }
        }
    }

    private func write(_ entry: Entry, _ range: Range<UInt64>, to image: Int32) throws {
        guard let data = entry.data, !range.isEmpty else { return }
        var bytes = [UInt8](repeating: 0, count: Int(range.upperBound - range.lowerBound))
        guard pread(descriptor, &bytes, bytes.count, off_t(data + range.lowerBound)) == bytes.count,
            pwrite(image, bytes, bytes.count, off_t(entry.offset + range.lowerBound)) == bytes.count
        else { throw CrashViolation("an image cannot be built: errno \(errno)") }
    }
}
