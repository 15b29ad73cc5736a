import CordwoodIO
import CordwoodProcesses
import Glibc

/// A file system of its own for one node, in an image that is mounted as a loop device, and a ballast file that leaves
/// no space on it. Where that cannot be made, the disk stays as it is and the reason is said.
final class SmallDisk {
    let nodeName: String
    private let mountPoint: String
    private let image: String
    private let scratch: String
    private let clock: any Clock

    private static let bytes = 6 << 30

    private var ballast: String { mountPoint + "/ballast" }

    private init(_ nodeName: String, _ mountPoint: String, _ clock: any Clock) {
        self.nodeName = nodeName
        self.mountPoint = mountPoint
        image = mountPoint + ".image"
        scratch = mountPoint + ".mount"
        self.clock = clock
    }

    /// Makes and mounts it; the reason when that is not possible here.
    static func mount(
        for nodeName: String, at mountPoint: String, _ clock: any Clock
    ) async -> Result<SmallDisk, TrialError> {
        guard getuid() == 0 else { return .failure(TrialError("mounting needs root")) }
        let disk = SmallDisk(nodeName, mountPoint, clock)
        do throws(TrialError) {
            try TrialFiles.makeDirectory(mountPoint)
            let descriptor = Glibc.open(disk.image, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            guard descriptor >= 0, ftruncate(descriptor, bytes) == 0 else {
                throw TrialError("no image of \(bytes) bytes: errno \(errno)")
            }
            Glibc.close(descriptor)
            try await disk.run(["mkfs.ext4", "-q", "-F", "-m", "0", disk.image])
            try await disk.run(["mount", "-o", "loop", disk.image, mountPoint])
            return .success(disk)
        } catch {
            unlink(disk.image)
            return .failure(error)
        }
    }

    private func run(_ words: [String]) async throws(TrialError) {
        let (end, output) = try await ChildProcess.run(words, clock, scratch: scratch, seconds: 60)
        guard end == .exited(0) else { throw TrialError("\(words[0]): \(end): \(output.prefix(200))") }
    }

    /// Takes all the space that is left. False when it could not.
    func fill() -> Bool {
        let descriptor = Glibc.open(ballast, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return false }
        defer { Glibc.close(descriptor) }
        var offset = 0
        var step = 1 << 30
        // Ever smaller pieces, until not one block is left.
        while step >= 4096 {
            if posix_fallocate(descriptor, offset, step) == 0 { offset += step } else { step /= 2 }
        }
        return true
    }

    func relieve() { unlink(ballast) }

    func unmount() async {
        relieve()
        try? await run(["umount", mountPoint])
        unlink(image)
    }
}
