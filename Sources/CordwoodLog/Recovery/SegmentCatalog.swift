internal import CordwoodBase
internal import CordwoodIO

/// The segment files of one stream in a directory, with their headers, and what else lies there.
struct SegmentCatalog {
    struct Candidate {
        var name: String
        var path: String
        /// What the name says; a hint.
        var hint: SegmentName
        var fileBytes: UInt64
        var header: Result<SegmentHeader, SegmentHeader.Fault>
    }

    /// In ascending order of the id that the name says.
    var candidates: [Candidate] = []
    /// Names that are none of ours.
    var unknown: [String] = []
    /// Spares and unfinished files, by name.
    var spares: [String] = []

    /// Reads the directory and the headers. `pastCaches` opens files for direct I/O, or syncs and drops their
    /// cached pages, so that what is judged is what the device holds.
    static func read(
        directory: String, prefix: String, naming: SegmentNaming, pastCaches: Bool, ignoring known: Set<String>,
        files: any FileSystem
    ) async throws(IOError) -> SegmentCatalog {
        var catalog = SegmentCatalog()
        for entry in try await files.list(directory).sorted(by: { $0.name < $1.name }) {
            if let hint = naming.parse(entry.name, prefix: prefix), !entry.isDirectory {
                let path = directory + "/" + entry.name
                catalog.candidates.append(
                    try await candidate(entry.name, path: path, hint: hint, pastCaches: pastCaches, files: files))
                continue
            }
            guard entry.name.hasPrefix(prefix) else { continue }
            let rest = String(entry.name.dropFirst(prefix.count))
            if SegmentPool.isSpare(rest) || SegmentPool.isUnfinished(rest) {
                catalog.spares.append(entry.name)
            } else if !known.contains(entry.name), !entry.name.hasSuffix(".broken"),
                !entry.name.hasSuffix(KeptCopy.suffix), !entry.name.hasSuffix(KeptCopy.unfinishedSuffix)
            {
                catalog.unknown.append(entry.name)
            }
        }
        return catalog
    }

    private static func candidate(
        _ name: String, path: String, hint: SegmentName, pastCaches: Bool, files: any FileSystem
    ) async throws(IOError) -> Candidate {
        let file = try await open(path, pastCaches: pastCaches, files: files)
        do {
            let size = try await file.size()
            let block = IOBuffer(count: LogFormat.segmentHeaderBytes)
            let count = try await file.read(into: block, 0..<LogFormat.segmentHeaderBytes, at: 0)
            let header: Result<SegmentHeader, SegmentHeader.Fault>
            do { header = .success(try SegmentHeader(decoding: block[0..<count])) } catch { header = .failure(error) }
            await file.close()
            return Candidate(name: name, path: path, hint: hint, fileBytes: size, header: header)
        } catch {
            await file.close()
            throw error
        }
    }

    /// Opens a segment's file for reading.
    static func open(_ path: String, pastCaches: Bool, files: any FileSystem) async throws(IOError) -> any File {
        let file = try await files.open(path, FileMode(.mustExist, writable: false, direct: pastCaches))
        guard pastCaches, !file.isDirect else { return file }
        do {
            try await file.sync()
            try await file.dropCache()
        } catch {
            await file.close()
            throw error
        }
        return file
    }
}
