import CordwoodProcesses
import Foundation
import Glibc

/// A file system in a file, mounted through a loop device. Needs root, loop devices and the file system's tools; where
/// one is missing, making it throws `Skipped`.
final class LoopImage {
    enum Kind: String, CaseIterable, Sendable {
        case ext4
        case xfs

        /// How large it is where nothing else is said; the smallest that its tools make.
        var bytes: UInt64 { self == .ext4 ? 48 << 20 : 304 << 20 }

        fileprivate var makeCommand: [String] {
            switch self {
            case .ext4: ["mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "^resize_inode", "-E", "lazy_itable_init=1"]
            case .xfs: ["mkfs.xfs", "-q", "-f", "-K"]
            }
        }
    }

    let kind: Kind
    /// Where it is mounted.
    let mountPoint: String
    let path: String
    private(set) var device = ""
    private var isMounted = false
    private let folder: String

    /// Makes the file and its device; `backing` names a file that exists already. The device goes through the page
    /// cache: past it, on a file that FUSE shows, blocks were seen to land in each other's places.
    init(_ kind: Kind, in folder: String, bytes: UInt64? = nil, backing: String? = nil)
        throws
    {
        self.kind = kind
        self.folder = folder
        path = backing ?? folder + "/image"
        mountPoint = folder + "/mounted"
        try Tool.require(root: true, [kind.makeCommand[0], "losetup"])
        try FileManager.default.createDirectory(atPath: mountPoint, withIntermediateDirectories: true)
        if backing == nil {
            let descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
            guard descriptor >= 0, ftruncate(descriptor, off_t(bytes ?? kind.bytes)) == 0 else {
                throw CrashViolation("\(path) cannot be made: errno \(errno)")
            }
            Glibc.close(descriptor)
        }
        do {
            device = try Tool.run(
                ["losetup", "-f", "--show", path], in: folder)
        } catch {
            throw Skipped("no loop device is to be had: \(error)")
        }
    }

    deinit { close() }

    /// Makes an empty file system; it is not mounted.
    func format() throws { try Tool.run(kind.makeCommand + [device], in: folder) }

    func mount() throws {
        guard Glibc.mount(device, mountPoint, kind.rawValue, 0, nil) == 0 else {
            throw CrashViolation("\(device) cannot be mounted: errno \(errno)")
        }
        isMounted = true
    }

    /// Unmounts it. A ring of a process that has just died may hold it for a moment.
    func unmount() throws {
        guard isMounted else { return }
        for _ in 0..<2000 {
            if umount(mountPoint) == 0 {
                isMounted = false
                return
            }
            guard errno == EBUSY else { break }
            usleep(1000)
        }
        throw CrashViolation("\(mountPoint) cannot be unmounted: errno \(errno)")
    }

    /// Unmounts it and gives the device back; the file stays.
    func close() {
        if isMounted, umount2(mountPoint, Int32(MNT_DETACH)) == 0 { isMounted = false }
        guard !device.isEmpty else { return }
        _ = try? Tool.run(["losetup", "-d", device], in: folder)
        device = ""
    }
}

/// What a trial needs is not to be had here.
struct Skipped: Error, CustomStringConvertible {
    var description: String

    init(_ reason: String) { description = reason }
}

/// Commands of the system.
enum Tool {
    private static let seconds = 60.0

    /// Throws `Skipped` unless this process is root, where it must be, and every command is there.
    static func require(root: Bool, _ commands: [String]) throws {
        if root, geteuid() != 0 { throw Skipped("it needs root") }
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/sbin:/usr/bin:/sbin:/bin"
        for command in commands where !command.hasPrefix("/") {
            let isThere = (path + ":/usr/sbin:/sbin").split(separator: ":").contains {
                access("\($0)/\(command)", X_OK) == 0
            }
            guard isThere else { throw Skipped("there is no \(command)") }
        }
    }

    /// Runs a command to its end and returns what it said. Throws when it fails.
    @discardableResult
    static func run(_ words: [String], in folder: String) throws -> String {
        let output = folder + "/tool-output"
        try? FileManager.default.removeItem(atPath: output)
        let end = try ChildProcess(words, output: output).wait(seconds: seconds)
        let said = ((try? String(contentsOfFile: output, encoding: .utf8)) ?? "")
            .trimmingCharacters(in: .whitespacesAndNewlines)
        guard end == .exited(0) else { throw CrashViolation("\(words.joined(separator: " ")): \(end): \(said)") }
        return said
    }
}
