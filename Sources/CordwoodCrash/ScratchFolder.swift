import Foundation

/// A folder for what a trial makes; it goes with its owner unless it is kept.
final class ScratchFolder {
    let path: String
    /// What is in it speaks of a failure.
    var isKept = false

    /// Makes it in `parent`, or where the system keeps temporary files.
    init(in parent: String = "") throws {
        let place = parent.isEmpty ? FileManager.default.temporaryDirectory.path : parent
        path = URL(filePath: place).appending(path: "cordwood-crash-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        if !isKept { try? FileManager.default.removeItem(atPath: path) }
    }
}
