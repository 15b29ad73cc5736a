import CLinux
import CordwoodIO
import CordwoodPlatform
import CordwoodProcesses
import CordwoodVirtual
import Foundation
import Glibc

/// Disks that fail in one place, are full, or are slow, below a real file system.
///
/// Each cycle a subject lives once on a sound disk, then once on one that is not, and is judged on the sound one again:
/// it must have said what it could not do, and whatever it acknowledged must be there.
struct DiskFaults: Trial {
    static let summary = "sectors that fail, full disks and slow disks below an ext4 or XFS"

    private enum Fault: String, CaseIterable {
        case failingWrites = "a sector that cannot be written"
        case failingReads = "a sector that cannot be read"
        case full = "a full disk that has room again later"
        case slow = "a disk of a hundred writes a second"

        /// What `--fault` asks for it with.
        var name: String {
            switch self {
            case .failingWrites, .failingReads: "eio"
            case .full: "full"
            case .slow: "slow"
            }
        }
    }

    let options: TrialOptions
    private(set) var cyclesDone = 0
    private var tallies: [Fault: LifeTally] = [:]
    /// Operations turned down for lack of space.
    private var turnedDown = 0
    /// Lives after which the file system itself could not be mounted.
    private var lostFileSystems = 0
    private var seconds = 0.0

    init(_ options: TrialOptions) { self.options = options }

    mutating func run() throws {
        let faults = Fault.allCases.filter { options.fault.isEmpty || $0.name == options.fault }
        guard !faults.isEmpty else { throw CrashViolation("there is no fault '\(options.fault)'") }
        seconds = try options.eachCycle { cycle in
            let fault = faults[cycle % faults.count]
            let random = VirtualRandom(seed: options.seed, concern: "disk of cycle \(cycle)")
            let folder = options.folder + "/disk-\(cycle)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            do {
                try run(fault, in: folder, random)
            } catch let skipped as Skipped {
                throw skipped
            } catch {
                throw CrashViolation("\(fault.rawValue): \(error)")
            }
            try FileManager.default.removeItem(atPath: folder)
            cyclesDone += 1
        }
        if let full = tallies[.full], full.lives >= 5, turnedDown == 0 {
            throw CrashViolation("the disk was never too full for anything in \(full.lives) cycles")
        }
    }

    var table: String {
        var lines = ["  \(cyclesDone) cycles in \(Int(seconds)) s"]
        for fault in Fault.allCases {
            let tally = tallies[fault, default: LifeTally()]
            lines.append(
                "  \(fault.rawValue): \(tally.lives) cycles; went on in \(tally.wentOn), stopped and said so in "
                    + "\(tally.stopped), refused to open in \(tally.refused)"
                    + (fault == .full ? "; \(turnedDown) operations turned down" : "")
                    + (fault == .failingWrites ? "; \(lostFileSystems) file systems lost with it" : ""))
        }
        return lines.joined(separator: "\n")
    }

    // MARK: One cycle

    private mutating func run(_ fault: Fault, in folder: String, _ random: VirtualRandom) throws {
        let host = try WorkerHost(folder + "/live", directory: folder + "/mounted/data")
        let first = options.worker(random.next() >> 1, operations: 40)
        let second = options.worker(random.next() >> 1, operations: 40)
        let base = try LoopImage(
            options.kind, in: folder, bytes: fault == .full && options.kind == .ext4 ? 24 << 20 : nil)
        let path = base.path
        var extents: [FileExtent] = []
        do {
            defer { base.close() }
            try base.format()
            try base.mount()
            guard case .exited(0) = try host.run(first) else {
                throw CrashViolation("a life on a sound disk failed: \(host.said)")
            }
            if fault == .full { return try fill(base, host, second, random) }
            extents = try FileExtent.all(below: host.directory, in: folder)
            try base.unmount()
        }
        try suffer(fault, path, extents, host, second, folder, random)
        let sound = try LoopImage(options.kind, in: folder, backing: path)
        defer { sound.close() }
        do {
            try sound.mount()
        } catch {
            // The sector may have been written together with what is the file system's own.
            guard fault == .failingWrites else { throw error }
            lostFileSystems += 1
            return
        }
        try host.expectSound(options.worker(0), "the opening on a sound disk")
        try sound.unmount()
    }

    /// Lets the second life meet the fault.
    private mutating func suffer(
        _ fault: Fault, _ path: String, _ extents: [FileExtent], _ host: WorkerHost, _ worker: CrashWorker,
        _ folder: String, _ random: VirtualRandom
    ) throws {
        let daemon = try daemon(for: fault, path, extents, folder, random)
        defer { daemon.stop() }
        let image = try LoopImage(options.kind, in: folder, backing: daemon.exported)
        defer { image.close() }
        try image.mount()
        let end = try host.run(worker)
        try tallies[fault, default: LifeTally()]
            .take(end, of: host, allowing: fault == .slow ? .wentOn : [.wentOn, .stopped, .refused])
        try image.unmount()
    }

    private func daemon(
        for fault: Fault, _ path: String, _ extents: [FileExtent], _ folder: String, _ random: VirtualRandom
    ) throws -> BlockDaemon {
        guard fault != .slow else {
            return try BlockDaemon(
                image: path,
                blockdevs: [
                    (
                        "slow",
                        "{\"driver\":\"throttle\",\"node-name\":\"slow\",\"throttle-group\":\"group\",\"file\":\"image\"}"
                    )
                ], objects: ["throttle-group,id=group,x-iops-write=100"], in: folder)
        }
        let sectors = extents.reduce(0) { $0 + $1.sectors }
        guard sectors > 0 else { throw CrashViolation("the subject has no files") }
        var choice = random.next(below: sectors)
        var sector: UInt64 = 0
        for extent in extents {
            if choice < extent.sectors {
                sector = extent.firstSector + choice
                break
            }
            choice -= extent.sectors
        }
        let kind = fault == .failingReads ? "read" : "write"
        return try BlockDaemon(
            image: path,
            blockdevs: [
                (
                    "failing",
                    "{\"driver\":\"blkdebug\",\"node-name\":\"failing\",\"image\":\"image\",\"inject-error\":[{\"event\":"
                        + "\"none\",\"iotype\":\"\(kind)\",\"sector\":\(sector),\"errno\":5,\"once\":false,"
                        + "\"immediately\":true}]}"
                )
            ], in: folder)
    }

    /// Fills the disk but for a little, and lets the second life make room itself once it has seen what that is like.
    private mutating func fill(
        _ image: LoopImage, _ host: WorkerHost, _ worker: CrashWorker, _ random: VirtualRandom
    ) throws {
        var worker = worker
        worker.operations = 200
        worker.filler = image.mountPoint + "/filler"
        try fillDisk(worker.filler, leaving: random.next(below: 64) << 10)
        let end = try host.run(worker)
        try tallies[.full, default: LifeTally()].take(end, of: host, allowing: [.wentOn, .refused])
        turnedDown += try host.ledger().lives.last?.refused.count ?? 0
        unlink(worker.filler)
        try host.expectSound(worker, "the opening with room on the disk")
        try image.unmount()
    }

    private func fillDisk(_ path: String, leaving bytes: UInt64) throws {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw CrashViolation("\(path): errno \(errno)") }
        defer { close(descriptor) }
        // In ever smaller steps, to the last block; then what is to be left is given back.
        var size: UInt64 = 0
        var step: UInt64 = 8 << 20
        while step >= 4096 {
            if clinux_allocate(descriptor, size, step) == 0 { size += step } else { step /= 2 }
        }
        guard ftruncate(descriptor, off_t(size > bytes ? size - bytes : 0)) == 0 else {
            throw CrashViolation("\(path): errno \(errno)")
        }
    }
}

/// Where a part of a file lies on its device, in sectors of 512 bytes.
private struct FileExtent {
    var firstSector: UInt64
    var sectors: UInt64

    /// The extents of all files below a directory, as `filefrag` tells.
    static func all(below directory: String, in folder: String) throws -> [FileExtent] {
        try Tool.require(root: true, ["filefrag"])
        var extents: [FileExtent] = []
        let walk = FileManager.default.enumerator(atPath: directory)
        while let name = walk?.nextObject() as? String {
            let path = directory + "/" + name
            var isDirectory: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), !isDirectory.boolValue else {
                continue
            }
            // "   0:        0..      15:       8705..      8720:     16:             last,eof", in blocks of 4096.
            for line in try Tool.run(["filefrag", "-s", "-b4096", "-v", path], in: folder).split(separator: "\n") {
                let parts = line.split(separator: ":").map { $0.filter { !$0.isWhitespace } }
                guard parts.count >= 4, Int(parts[0]) != nil, let count = UInt64(parts[3]),
                    let first = parts[2].split(separator: ".").first.flatMap({ UInt64($0) })
                else { continue }
                // Nothing has a place yet where the disk begins.
                guard first > 0 else { continue }
                extents.append(FileExtent(firstSector: first * 8, sectors: count * 8))
            }
        }
        return extents
    }
}
