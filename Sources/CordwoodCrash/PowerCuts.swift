import CordwoodIO
import CordwoodPlatform
import CordwoodProcesses
import CordwoodVirtual
import Foundation
import Glibc

/// Cuts the power of a disk at any flush of one life, after the fact.
///
/// A subject lives once on a file system whose disk logs every write; its ledger says with each acknowledgement how
/// long that log was. A power cut after some flush leaves all that was written before it and any part of what was
/// written between it and the next one: nothing, everything, some of the writes, or some of their units of 512 or 4096
/// bytes. Each cycle builds one such image, mounts it, and lets the subject judge: whatever was acknowledged when the
/// flush was done must be there.
struct PowerCuts: Trial {
    static let summary = "replays the writes of a disk up to power cuts at its flushes"

    private static let operations = 60
    private static let cutsPerLife = 200

    private enum Remainder: String, CaseIterable {
        case nothing = "nothing behind the flush"
        case everything = "everything behind it"
        case writes = "some writes behind it"
        case pages = "some units of 4096 behind it"
        case sectors = "some sectors of 512 behind it"
    }

    let options: TrialOptions
    private(set) var cyclesDone = 0
    private var counts: [Remainder: Int] = [:]
    private var lives = 0
    private var flushes = 0
    private var acknowledgementsChecked = 0
    /// Images that the file system itself could not mount.
    private var lostFileSystems = 0
    private var seconds = 0.0

    init(_ options: TrialOptions) { self.options = options }

    mutating func run() throws {
        var progress = Progress(options)
        while cyclesDone < options.cycles, !progress.isOver {
            let folder = options.folder + "/life-\(lives)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let random = VirtualRandom(seed: options.seed, concern: "power cuts of life \(lives)")
            let (log, ledger) = try record(in: folder, seed: random.next() >> 1)
            lives += 1
            defer { log.close() }
            // Power cuts while the file system is being made are its own affair.
            let first = log.entries.indices.filter { log.entries[$0].isFlush && $0 >= ledger.firstEntry }
            flushes += first.count
            let cuts = min(PowerCuts.cutsPerLife, options.cycles - cyclesDone)
            let base = try PrefixImage(log, in: folder, bytes: ledger.imageBytes)
            defer { base.close() }
            // In order, so that the image only grows.
            for flush in (0..<cuts).map({ _ in first[Int(random.next(below: UInt64(first.count)))] }).sorted() {
                if progress.isOver { break }
                let remainder = Remainder.allCases[Int(random.next(below: UInt64(Remainder.allCases.count)))]
                do {
                    try cut(behind: flush, remainder, base, ledger, folder, random)
                } catch {
                    throw CrashViolation("cut \(cyclesDone), entry \(flush), \(remainder.rawValue): \(error)")
                }
                counts[remainder, default: 0] += 1
                cyclesDone += 1
                progress.tell(cyclesDone)
            }
            try FileManager.default.removeItem(atPath: folder)
        }
        seconds = progress.seconds
    }

    var table: String {
        let lines = [
            "  \(cyclesDone) power cuts in \(Int(seconds)) s, of \(lives) lives with \(flushes) flushes",
            "  \(acknowledgementsChecked) times an acknowledged operation had to be there, and was",
            "  torn so that the file system itself could not be mounted: \(lostFileSystems)",
        ]
        return (lines + Remainder.allCases.map { "  left \($0.rawValue): \(counts[$0, default: 0])" })
            .joined(separator: "\n")
    }

    // MARK: The life

    /// What a ledger told, with the length of the log at each acknowledgement.
    private struct Recorded {
        var seed: UInt64
        var begun: Int
        var acknowledgements: [(entries: Int, numbers: [UInt64])]
        var firstEntry: Int
        var imageBytes: UInt64
    }

    private func record(in folder: String, seed: UInt64) throws -> (WriteLog, Recorded) {
        let bytes = options.kind.bytes
        for name in ["base", "log"] {
            let descriptor = open("\(folder)/\(name)", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            ftruncate(descriptor, off_t(name == "log" ? 4 * bytes : bytes))
            Glibc.close(descriptor)
        }
        let daemon = try BlockDaemon(
            image: folder + "/base",
            blockdevs: [
                (
                    "log-file",
                    "{\"driver\":\"file\",\"node-name\":\"log-file\",\"filename\":\"\(folder)/log\"}"
                ),
                (
                    "logged",
                    "{\"driver\":\"blklogwrites\",\"node-name\":\"logged\",\"file\":\"image\",\"log\":\"log-file\","
                        + "\"log-sector-size\":512,\"log-super-update-interval\":1}"
                ),
            ], in: folder)
        defer { daemon.stop() }
        let image = try LoopImage(options.kind, in: folder, backing: daemon.exported)
        defer { image.close() }
        try image.format()
        try image.mount()
        let host = try WorkerHost(folder + "/live", directory: image.mountPoint + "/data")
        try Tool.run(["sync", "-f", image.mountPoint], in: folder)
        let log = open(folder + "/log", O_RDONLY | O_CLOEXEC)
        let firstEntry = Int(WriteLog.count(in: log))
        Glibc.close(log)
        var worker = options.worker(seed, operations: PowerCuts.operations)
        worker.stamp = folder + "/log"
        guard case .exited(0) = try host.run(worker) else { throw CrashViolation("the life failed: \(host.said)") }
        try image.unmount()
        guard let life = try host.ledger().lives.last else { throw CrashViolation("the life left no ledger") }
        let recorded = Recorded(
            seed: seed, begun: life.begun,
            acknowledgements: life.acknowledgements.map { (Int($0[$0.count - 1]), Array($0.dropLast())) },
            firstEntry: firstEntry, imageBytes: bytes)
        return (try WriteLog(path: folder + "/log"), recorded)
    }

    // MARK: One cut

    private mutating func cut(
        behind flush: Int, _ remainder: Remainder, _ base: PrefixImage, _ ledger: Recorded, _ folder: String,
        _ random: VirtualRandom
    ) throws {
        let log = base.log
        let next = log.entries[(flush + 1)...].firstIndex { $0.isFlush } ?? log.entries.endIndex
        let test = try base.copy(through: flush)
        let descriptor = open(test, O_RDWR | O_CLOEXEC)
        let epoch = flush + 1..<next
        switch remainder {
        case .nothing: break
        case .everything: try log.apply(epoch, to: descriptor)
        case .writes: try log.applySome(of: epoch, unit: nil, to: descriptor, random)
        case .pages: try log.applySome(of: epoch, unit: 4096, to: descriptor, random)
        case .sectors: try log.applySome(of: epoch, unit: 512, to: descriptor, random)
        }
        Glibc.close(descriptor)
        let image = try LoopImage(options.kind, in: folder, backing: test)
        defer { image.close() }
        do {
            try image.mount()
        } catch {
            // A file system may rely on sectors, or pages, that are written whole or not at all; ext4 does for its
            // superblock.
            guard remainder == .sectors || remainder == .pages else { throw error }
            lostFileSystems += 1
            return
        }
        let host = try WorkerHost(folder + "/judged", directory: image.mountPoint + "/data")
        let known = ledger.acknowledgements.filter { $0.entries <= flush + 1 }
        let told = try host.ledger()
        told.begin(lifeOf: ledger.seed)
        told.begun(ledger.begun)
        for acknowledgement in known {
            told.acknowledged(Int(acknowledgement.numbers[0]), Array(acknowledgement.numbers.dropFirst()))
        }
        acknowledgementsChecked += known.count
        try host.expectSound(options.worker(0), "the opening")
        try image.unmount()
        try host.remove()
    }
}

/// An image that grows by the entries of a log, and gives copies of itself.
private final class PrefixImage {
    let log: WriteLog
    private let path: String
    private let folder: String
    private let descriptor: Int32
    private var applied = 0

    init(_ log: WriteLog, in folder: String, bytes: UInt64) throws {
        self.log = log
        self.folder = folder
        path = folder + "/prefix"
        descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0, ftruncate(descriptor, off_t(bytes)) == 0 else {
            throw CrashViolation("\(path): errno \(errno)")
        }
    }

    func close() { Glibc.close(descriptor) }

    /// The path of a copy with everything up to and with an entry; not before the last one asked for.
    func copy(through entry: Int) throws -> String {
        if entry >= applied {
            try log.apply(applied..<entry + 1, to: descriptor)
            applied = entry + 1
        }
        let copy = folder + "/cut"
        try Tool.run(["cp", "--sparse=always", path, copy], in: folder)
        return copy
    }
}
