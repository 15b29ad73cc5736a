import CordwoodBase
import CordwoodIO
import CordwoodPlatform
import CordwoodProcesses
import CordwoodVirtual
import Foundation

/// Kills a subject again and again, each time at a drawn operation of its I/O, and lets the next life judge what the
/// last one left.
///
/// A cycle is one life: a process that opens the directory of the lives before, judges, works and is killed: before an
/// operation reaches the kernel, as soon as the kernel has it, when it has completed and nobody has heard of it, or
/// between an acknowledgement and the ledger. In some cycles recovery is killed first, up to three times; then a copy
/// of the directory is recovered undisturbed, and both must come to the same log. All draws come from the seed.
struct KillCycles: Trial {
    static let summary = "kills processes at drawn operations of their I/O"

    struct Report {
        var cycles = 0
        var kills: [String: Int] = [:]
        var killsInRecovery = 0
        var recoveriesCompared = 0
        var endedInOrder = 0
        var acknowledged = 0
        var directories = 0
        var seconds = 0.0
    }

    /// A directory serves so many cycles, so that recovery meets a log with a past.
    private static let cyclesPerDirectory = 12

    let options: TrialOptions
    private(set) var report = Report()
    private var host: WorkerHost?

    init(_ options: TrialOptions) { self.options = options }

    var cyclesDone: Int { report.cycles }

    mutating func run() throws {
        report.seconds = try options.eachCycle { cycle in
            if cycle % KillCycles.cyclesPerDirectory == 0 { try beginDirectory(cycle) }
            try run(cycle)
            report.cycles += 1
        }
        try endDirectory()
    }

    // MARK: Directories

    private mutating func beginDirectory(_ cycle: Int) throws {
        try endDirectory()
        host = try WorkerHost(options.folder + "/lives-\(cycle)")
        report.directories += 1
    }

    /// The last life of a directory is judged, too.
    private mutating func endDirectory() throws {
        guard let host else { return }
        report.acknowledged += try host.finish(options.worker(0))
        self.host = nil
    }

    // MARK: One cycle

    private mutating func run(_ cycle: Int) throws {
        guard let host else { return }
        let random = VirtualRandom(seed: options.seed, concern: "cycle \(cycle)")
        if cycle % KillCycles.cyclesPerDirectory > 0, random.chance(1, in: 2) { try killRecovery(in: host, random) }
        var worker = options.worker(random.next() >> 1, operations: Int(random.next(in: 8...60)))
        if options.io != .posix, random.chance(1, in: 4) {
            worker.ring = Platform.RingSize(
                submissions: UInt32(random.next(in: 1...4)), completions: UInt32(random.next(in: 4...8)))
        }
        let moments: [(String, IOTampering.Act)] = [
            ("before an operation", .killBefore), ("while it was under way", .killSubmitted),
            ("after it completed", .killCompleted),
        ]
        let moment: String
        if random.chance(1, in: 4) {
            moment = "before an acknowledgement"
            worker.lastAcknowledgement = Int(random.next(in: 1...UInt64(worker.operations)))
        } else {
            let act: IOTampering.Act
            (moment, act) = moments[Int(random.next(below: UInt64(moments.count)))]
            worker.tamperings = [IOTampering(act, .change, number: Int(random.next(in: 1...100)))]
        }
        switch try host.run(worker) {
        case .signaled(9): report.kills[moment, default: 0] += 1
        case .exited(0): report.endedInOrder += 1
        case let end: throw CrashViolation("a life came to \(end): \(host.said)")
        }
    }

    /// Kills recovery up to three times, and compares what it comes to with a recovery that nobody disturbs.
    private mutating func killRecovery(in host: WorkerHost, _ random: VirtualRandom) throws {
        let control = random.chance(1, in: 2) ? try WorkerHost(host.folder + "/control") : nil
        if let control {
            try FileManager.default.copyItem(atPath: host.directory, toPath: control.directory)
            try FileManager.default.copyItem(atPath: host.ledgerPath, toPath: control.ledgerPath)
        }
        for _ in 0..<random.next(in: 1...3) {
            var worker = options.worker(random.next() >> 1)
            let acts: [IOTampering.Act] = [.killBefore, .killSubmitted, .killCompleted]
            worker.tamperings = [
                IOTampering(acts[Int(random.next(below: 3))], .change, number: Int(random.next(in: 1...24)))
            ]
            switch try host.run(worker) {
            case .signaled(9): report.killsInRecovery += 1
            case .exited(0): break
            case let end: throw CrashViolation("a recovery came to \(end): \(host.said)")
            }
        }
        guard let control else { return }
        try host.expectSound(options.worker(0), "recovery after kills")
        try control.expectSound(options.worker(0), "undisturbed recovery")
        // The first number counts operations of the last life that were not found before: the same log either way.
        let findings = try [host, control].map { try $0.ledger().lives.last?.found ?? [] }
        guard findings[0].dropFirst() == findings[1].dropFirst() else {
            throw CrashViolation("a recovery that was killed found \(findings[0]), an undisturbed one \(findings[1])")
        }
        report.recoveriesCompared += 1
        try control.remove()
    }
}

extension KillCycles {
    var table: String {
        var lines = [
            "  \(report.cycles) cycles in \(Int(report.seconds)) s, \(report.directories) directories",
            "  \(report.acknowledged) operations acknowledged, all there",
        ]
        for (moment, count) in report.kills.sorted(by: { $0.key < $1.key }) {
            lines.append("  killed \(moment): \(count)")
        }
        lines.append("  ended before their kill: \(report.endedInOrder)")
        lines.append(
            "  recoveries killed: \(report.killsInRecovery), compared with undisturbed ones: "
                + "\(report.recoveriesCompared)")
        return lines.joined(separator: "\n")
    }
}
