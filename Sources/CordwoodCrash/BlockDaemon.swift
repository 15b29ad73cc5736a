import CordwoodProcesses
import Foundation
import Glibc

/// A block device that records, fails or dawdles: `qemu-storage-daemon` shows a raw image through FUSE as a file, with
/// a filter of its own between the two. A loop device on that file then is the disk of a `LoopImage`.
final class BlockDaemon {
    /// The file that shows the image.
    let exported: String
    private let process: ChildProcess
    private var isRunning = true

    private static let patienceSeconds = 10.0
    private static let program = "qemu-storage-daemon"

    /// - Parameters:
    ///   - image: a raw image that exists.
    ///   - blockdevs: JSON of the nodes above the node `image`; the last of them is exported.
    ///   - objects: what these nodes refer to.
    init(image: String, blockdevs: [(node: String, json: String)], objects: [String] = [], in folder: String) throws {
        try Tool.require(root: true, [BlockDaemon.program])
        guard access("/dev/fuse", R_OK | W_OK) == 0 else { throw Skipped("there is no /dev/fuse") }
        exported = folder + "/exported"
        guard FileManager.default.createFile(atPath: exported, contents: nil) else {
            throw CrashViolation("\(exported) cannot be made")
        }
        var words: [String] = []
        for object in objects { words += ["--object", object] }
        words += ["--blockdev", "{\"driver\":\"file\",\"node-name\":\"image\",\"filename\":\"\(image)\"}"]
        for blockdev in blockdevs { words += ["--blockdev", blockdev.json] }
        let top = blockdevs.last?.node ?? "image"
        words += [
            "--export", "type=fuse,id=export,node-name=\(top),mountpoint=\(exported),writable=on,growable=off",
        ]
        let output = folder + "/daemon-output"
        process = try ChildProcess([BlockDaemon.program] + words, output: output)
        let bytes = BlockDaemon.size(image)
        for _ in 0..<Int(BlockDaemon.patienceSeconds * 100) {
            if BlockDaemon.size(exported) == bytes { return }
            usleep(10_000)
        }
        let said = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
        stop()
        throw Skipped("\(BlockDaemon.program) shows no device: \(said.trimmingCharacters(in: .newlines))")
    }

    deinit { stop() }

    /// Ends the daemon; nothing may be mounted on it.
    func stop() {
        guard isRunning else { return }
        isRunning = false
        process.signal(SIGTERM)
        _ = process.wait(seconds: BlockDaemon.patienceSeconds)
        umount2(exported, Int32(MNT_DETACH))
    }

    private static func size(_ path: String) -> Int64 {
        var status = stat()
        return stat(path, &status) == 0 ? Int64(status.st_size) : -1
    }
}
