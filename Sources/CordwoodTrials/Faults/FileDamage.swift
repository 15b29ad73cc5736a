import CordwoodIO
import CordwoodVirtual
import Foundation

/// Damage to the files of a stopped node: some bytes of one file, where other bytes behind them say that they were
/// durable.
enum FileDamage {
    /// Garbles some bytes of a partition log's file that has a successor. What was damaged; `nil` when there is none.
    static func strikePartitionLog(in directory: String, _ random: VirtualRandom) -> String? {
        // Names are the partition, a hyphen and the segment.
        let files = Dictionary(grouping: names(in: directory + "/partitions", ".log")) { $0.prefix { $0 != "-" } }
        let closed = files.sorted { $0.key < $1.key }.flatMap { $0.value.sorted().dropLast() }
        guard let name = random.element(of: closed) else { return nil }
        let path = directory + "/partitions/" + name
        return garble(path, below: TrialFiles.size(of: path), random)
    }

    /// Garbles some bytes of the segmented log, in the first half of what is written of a segment. What was damaged;
    /// `nil` when too little is written.
    static func strikeLog(in directory: String, _ random: VirtualRandom) -> String? {
        guard let name = random.element(of: names(in: directory + "/log", ".seg").sorted()) else { return nil }
        let path = directory + "/log/" + name
        return garble(path, below: writtenBytes(of: path) / 2, random)
    }

    private static func garble(_ path: String, below end: UInt64, _ random: VirtualRandom) -> String? {
        let count = random.element(of: [1, 512, 4096]) ?? 1
        guard end > 4096, let file = FileHandle(forUpdatingAtPath: path) else { return nil }
        defer { try? file.close() }
        let offset = random.next(below: end - UInt64(count))
        do {
            try file.seek(toOffset: offset)
            guard let bytes = try file.read(upToCount: count) else { return nil }
            try file.seek(toOffset: offset)
            try file.write(contentsOf: Data(bytes.map { $0 ^ 0x5A }))
        } catch { return nil }
        return "\(count) bytes at \(offset) of \(path)"
    }

    /// Up to the last block that is not all zeros: a segment is as long as it may become from the beginning.
    private static func writtenBytes(of path: String) -> UInt64 {
        guard let bytes = FileManager.default.contents(atPath: path) else { return 0 }
        return UInt64(bytes.lastIndex { $0 != 0 } ?? 0)
    }

    private static func names(in directory: String, _ ending: String) -> [String] {
        let found = FileManager.default.enumerator(atPath: directory) ?? .init()
        return found.compactMap { $0 as? String }.filter { $0.hasSuffix(ending) }
    }
}
