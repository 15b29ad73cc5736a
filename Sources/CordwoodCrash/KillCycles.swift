import CordwoodBase
import CordwoodIO
import CordwoodPlatform
import CordwoodVirtual
import Foundation

/// Kills a subject again and again, each time at a drawn operation of its I/O, and lets the next life judge what the
/// last one left.
///
/// A cycle is one life: a process that opens the directory of the lives before, judges, works and is killed: before an
/// operation reaches the kernel, as soon as the kernel has it, when it has completed and nobody has heard of it, or
/// between an acknowledgement and the ledger. In some cycles recovery is killed first, up to three times; then a copy
/// of the directory is recovered undisturbed, and both must come to the same log. All draws come from the seed.
struct KillCycles {
    struct Options {
        var subject: String
        var seed: UInt64 = 1
        var cycles = 100
        var seconds = 3600.0
        var io = Platform.Choice.auto
        /// A directory that exists, for everything that is made.
        var folder: String
        /// Called now and then with a line that says how far it is.
        var progress: (String) -> Void = { _ in }
    }

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
    private static let secondsPerProcess = 60.0
    private static let progressSeconds = 10.0

    let options: Options
    private(set) var report = Report()
    private var folder = ""

    init(_ options: Options) { self.options = options }

    private var directory: String { folder + "/data" }
    private var ledgerPath: String { folder + "/ledger" }
    private var output: String { folder + "/output" }

    /// Runs until all cycles are done or time is up. Throws `CrashViolation`; what it speaks of is kept then.
    mutating func run() throws {
        let began = Date()
        var told = began
        for cycle in 0..<options.cycles {
            report.seconds = Date().timeIntervalSince(began)
            if report.seconds > options.seconds { break }
            if cycle % KillCycles.cyclesPerDirectory == 0 { try beginDirectory(cycle) }
            do {
                try run(cycle)
            } catch {
                throw CrashViolation("seed \(options.seed), cycle \(cycle): \(error)\nkept in \(folder)")
            }
            report.cycles += 1
            if Date().timeIntervalSince(told) > KillCycles.progressSeconds {
                told = Date()
                options.progress("\(report.cycles) of \(options.cycles) cycles, \(Int(report.seconds)) s")
            }
        }
        try endDirectory()
        report.seconds = Date().timeIntervalSince(began)
    }

    // MARK: Directories

    private mutating func beginDirectory(_ cycle: Int) throws {
        try endDirectory()
        folder = options.folder + "/lives-\(cycle)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        report.directories += 1
    }

    /// The last life of a directory is judged, too.
    private mutating func endDirectory() throws {
        guard !folder.isEmpty else { return }
        try expectSound(worker(seed: 0, operations: 0), "the last opening")
        for life in try Ledger(path: ledgerPath).lives { report.acknowledged += life.acknowledgements.count }
        try FileManager.default.removeItem(atPath: folder)
        folder = ""
    }

    private func worker(seed: UInt64, operations: Int) -> CrashWorker {
        CrashWorker(
            subject: options.subject, directory: directory, ledger: ledgerPath, seed: seed, operations: operations,
            io: options.io)
    }

    // MARK: One cycle

    private mutating func run(_ cycle: Int) throws {
        let random = VirtualRandom(seed: options.seed, concern: "cycle \(cycle)")
        if cycle % KillCycles.cyclesPerDirectory > 0, random.chance(1, in: 2) { try killRecovery(random) }
        var worker = worker(seed: random.next() >> 1, operations: Int(random.next(in: 8...60)))
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
        switch try run(worker) {
        case .signaled(9): report.kills[moment, default: 0] += 1
        case .exited(0): report.endedInOrder += 1
        case let end: throw CrashViolation("a life came to \(end)\(said)")
        }
    }

    /// Kills recovery up to three times, and compares what it comes to with a recovery that nobody disturbs.
    private mutating func killRecovery(_ random: VirtualRandom) throws {
        let control = folder + "/control"
        let comparing = random.chance(1, in: 2)
        if comparing {
            try FileManager.default.createDirectory(atPath: control, withIntermediateDirectories: true)
            try FileManager.default.copyItem(atPath: directory, toPath: control + "/data")
            try FileManager.default.copyItem(atPath: ledgerPath, toPath: control + "/ledger")
        }
        for _ in 0..<random.next(in: 1...3) {
            var worker = worker(seed: random.next() >> 1, operations: 0)
            let acts: [IOTampering.Act] = [.killBefore, .killSubmitted, .killCompleted]
            worker.tamperings = [
                IOTampering(acts[Int(random.next(below: 3))], .change, number: Int(random.next(in: 1...24)))
            ]
            switch try run(worker) {
            case .signaled(9): report.killsInRecovery += 1
            case .exited(0): break
            case let end: throw CrashViolation("a recovery came to \(end)\(said)")
            }
        }
        guard comparing else { return }
        try expectSound(worker(seed: 0, operations: 0), "recovery after kills")
        var undisturbed = worker(seed: 0, operations: 0)
        undisturbed.directory = control + "/data"
        undisturbed.ledger = control + "/ledger"
        try expectSound(undisturbed, "undisturbed recovery")
        let (killed, whole) = (try lastFinding(ledgerPath), try lastFinding(control + "/ledger"))
        guard killed == whole else {
            throw CrashViolation("a recovery that was killed found \(killed), an undisturbed one \(whole)")
        }
        report.recoveriesCompared += 1
        try FileManager.default.removeItem(atPath: control)
    }

    private func lastFinding(_ ledger: String) throws -> [UInt64] {
        try Ledger(path: ledger).lives.last?.found ?? []
    }

    // MARK: Processes

    private func expectSound(_ worker: CrashWorker, _ what: String) throws {
        let end = try run(worker)
        guard end == .exited(0) else { throw CrashViolation("\(what) came to \(end)\(said)") }
    }

    private func run(_ worker: CrashWorker) throws -> ChildProcess.End {
        try? FileManager.default.removeItem(atPath: output)
        return try ChildProcess(ChildProcess.ownProgram, worker.arguments, output: output)
            .wait(seconds: KillCycles.secondsPerProcess)
    }

    /// What the last process said.
    private var said: String {
        let text = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
        return text.isEmpty ? "" : ": " + text.trimmingCharacters(in: .newlines)
    }
}
