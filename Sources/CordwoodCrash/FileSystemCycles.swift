import CordwoodIO
import CordwoodPlatform
import CordwoodProcesses
import CordwoodVirtual

/// Shuts a file system down under a subject, again and again: a real ext4 or XFS in a file of its own, mounted through
/// a loop device, loses in one instant everything that it has not written to its device.
///
/// The worker itself asks for the shutdown, at a drawn operation, with the journal written first or not. In half of the
/// cycles it dies at once; in the others it lives on and finds every operation failing: it must say so, and acknowledge
/// nothing more. Then the file system is unmounted and mounted, which replays its journal, and the next life judges.
struct FileSystemCycles: Trial {
    static let summary = "shuts an ext4 or XFS down under processes"

    struct Report {
        var cycles = 0
        var died = 0
        var livedOn = 0
        var withJournal = 0
        var endedInOrder = 0
        var inRecovery = 0
        var acknowledged = 0
        var fileSystems = 0
        var seconds = 0.0
    }

    private static let cyclesPerFileSystem = 16

    let options: TrialOptions
    private(set) var report = Report()

    init(_ options: TrialOptions) { self.options = options }

    var cyclesDone: Int { report.cycles }

    mutating func run() throws {
        let image = try LoopImage(options.kind, in: options.folder)
        defer { image.close() }
        var host: WorkerHost?
        report.seconds = try options.eachCycle { cycle in
            if cycle % FileSystemCycles.cyclesPerFileSystem == 0 {
                try finish(host)
                host = try begin(cycle, image)
            }
            if let host { try run(cycle, host, image) }
            report.cycles += 1
        }
        try finish(host)
    }

    private mutating func begin(_ cycle: Int, _ image: LoopImage) throws -> WorkerHost {
        try image.unmount()
        try image.format()
        try image.mount()
        report.fileSystems += 1
        return try WorkerHost(options.folder + "/lives-\(cycle)", directory: image.mountPoint + "/data")
    }

    private mutating func finish(_ host: WorkerHost?) throws {
        guard let host else { return }
        report.acknowledged += try host.finish(options.worker(0))
    }

    private mutating func run(_ cycle: Int, _ host: WorkerHost, _ image: LoopImage) throws {
        let random = VirtualRandom(seed: options.seed, concern: "file system cycle \(cycle)")
        let inRecovery = cycle % FileSystemCycles.cyclesPerFileSystem > 0 && random.chance(1, in: 5)
        var worker = options.worker(random.next() >> 1, operations: inRecovery ? 0 : Int(random.next(in: 8...60)))
        var what: CrashWorker.ShutDown = []
        if random.chance(1, in: 3) { what.insert(.flushingJournal) }
        if random.chance(1, in: 2) { what.insert(.dying) }
        worker.tamperings = [
            IOTampering(
                .call, .change, number: Int(random.next(in: 1...(inRecovery ? 20 : 100))), value: what.rawValue)
        ]
        let end = try host.run(worker)
        let isShutDown = host.said.contains(CrashWorker.tampered)
        switch (CrashWorker.Outcome(end), end) {
        case (_, .signaled(9)) where what.contains(.dying) && isShutDown: report.died += 1
        case (.storeFailed, _) where isShutDown, (.refused, _) where isShutDown: report.livedOn += 1
        case (.done, _) where !isShutDown: report.endedInOrder += 1
        // Nothing had to be written any more.
        case (.done, _): report.livedOn += 1
        default: throw CrashViolation("a life came to \(end): \(host.said)")
        }
        if isShutDown, what.contains(.flushingJournal) { report.withJournal += 1 }
        if isShutDown, inRecovery { report.inRecovery += 1 }
        try host.expectSilenceAfterFailure()
        try image.unmount()
        try image.mount()
    }
}

extension FileSystemCycles {
    var table: String {
        let rate = Int(Double(report.cycles) / max(report.seconds, 0.001))
        return """
              \(report.cycles) cycles in \(Int(report.seconds)) s (\(rate) a second), \(report.fileSystems) file systems
              \(report.acknowledged) operations acknowledged, all there
              died with the file system: \(report.died)
              lived on and failed in good order: \(report.livedOn)
              of them with the journal written: \(report.withJournal), in recovery: \(report.inRecovery)
              ended before the shutdown: \(report.endedInOrder)
            """
    }
}
