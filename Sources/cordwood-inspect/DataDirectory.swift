internal import CordwoodBase
internal import CordwoodIO
internal import CordwoodLog

/// The streams below a directory, found by the names of their files wherever they lie: a data directory, a copy of it,
/// or one log's directory alone.
struct DataDirectory {
    /// Directory of the segmented log; `nil` when there is none.
    var logDirectory: String?
    /// Directory of each partition log.
    var partitionDirectories: [PartitionID: String] = [:]

    private static let maxDepth = 4
    /// What a node is fetching or mending there, and what it has put aside: not what it goes by.
    private static let passedOver: Set<String> = ["staging", "repair"]

    static func find(_ root: String, files: any FileSystem) async throws(InspectionError) -> DataDirectory {
        var found = DataDirectory()
        try await found.search(root, depth: 0, files)
        guard found.logDirectory != nil || !found.partitionDirectories.isEmpty else {
            throw .unreadable("\(root): no log files")
        }
        return found
    }

    private mutating func search(_ path: String, depth: Int, _ files: any FileSystem) async throws(InspectionError) {
        let entries: [DirectoryEntry]
        do { entries = try await files.list(path) } catch { throw .unreadable("\(error)") }
        for entry in entries.sorted(by: { $0.name < $1.name }) {
            if entry.isDirectory {
                guard depth < Self.maxDepth, !Self.passedOver.contains(entry.name) else { continue }
                try await search(path + "/" + entry.name, depth: depth + 1, files)
            } else if SegmentName(entry.name) != nil {
                if let logDirectory, logDirectory != path {
                    throw .unreadable("two segmented logs, in \(logDirectory) and \(path): name one of them")
                }
                logDirectory = path
            } else if let file = PartitionFileName(entry.name) {
                partitionDirectories[file.partition] = path
            }
        }
    }
}

/// Why nothing can be said about a directory.
enum InspectionError: Error, Equatable, CustomStringConvertible {
    case unreadable(String)

    var description: String {
        switch self {
        case .unreadable(let reason): reason
        }
    }
}
