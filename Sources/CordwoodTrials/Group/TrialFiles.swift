import Foundation

/// The few things that a trial does with files itself.
enum TrialFiles {
    /// The contents of a file, empty when there is none.
    static func text(of path: String) -> String {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// The whole lines of a file from an offset on, which moves behind them; at most so many bytes of them.
    static func lines(of path: String, from offset: inout UInt64, maxBytes: Int = 8 << 20) -> String {
        guard let file = FileHandle(forReadingAtPath: path) else { return "" }
        defer { try? file.close() }
        guard (try? file.seek(toOffset: offset)) != nil, let data = try? file.read(upToCount: maxBytes) else {
            return ""
        }
        // A line that is still being written is left for the next time.
        let whole = data.lastIndex(of: UInt8(ascii: "\n")).map { data[...$0] } ?? Data()
        offset += UInt64(whole.count)
        return String(decoding: whole, as: UTF8.self)
    }

    /// The bytes of a file, 0 when there is none.
    static func size(of path: String) -> UInt64 {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return (attributes?[.size] as? NSNumber)?.uint64Value ?? 0
    }

    static func makeDirectory(_ path: String) throws(TrialError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch { throw TrialError("cannot make \(path): \(error)") }
    }

    static func isEmpty(_ path: String) -> Bool {
        ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).isEmpty
    }

    static func remove(_ path: String) { try? FileManager.default.removeItem(atPath: path) }

    /// Removes everything in a directory.
    static func empty(_ path: String) {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] { remove(path + "/" + name) }
    }
}
