import CordwoodIO
import CordwoodVirtual
import Foundation

/// Damage to the files of a stopped node: some bytes of one file that is closed for good.
enum FileDamage {
    /// What was damaged; `nil` when there is no closed file.
    @discardableResult
    static func strike(_ directory: String, _ random: VirtualRandom) -> String? {
        guard let path = random.element(of: closedFiles(in: directory)),
            let file = FileHandle(forUpdatingAtPath: path), let end = try? file.seekToEnd(), end > 4096
        else { return nil }
        defer { try? file.close() }
        let count = random.element(of: [1, 512, 4096]) ?? 1
        let offset = random.next(below: end - UInt64(count))
        do {
            try file.seek(toOffset: offset)
            guard let bytes = try file.read(upToCount: count) else { return nil }
            try file.seek(toOffset: offset)
            try file.write(contentsOf: Data(bytes.map { $0 ^ 0x5A }))
        } catch { return nil }
        return "\(count) bytes at \(offset) of \(path)"
    }

    /// Files of partition logs that have a successor. Names are the partition, a hyphen and the segment.
    private static func closedFiles(in directory: String) -> [String] {
        var byPartition: [Substring: [String]] = [:]
        let folder = directory + "/partitions"
        for case let path as String in FileManager.default.enumerator(atPath: folder) ?? .init()
        where path.hasSuffix(".log") {
            byPartition[path.prefix { $0 != "-" }, default: []].append(path)
        }
        return byPartition.sorted { $0.key < $1.key }.flatMap { $0.value.sorted().dropLast() }.map { folder + "/" + $0 }
    }
}
