import CLinux
import CordwoodBase
import CordwoodIO
import CordwoodPlatform
import Foundation
import Glibc

/// The process that dies: one life of a subject, on a platform whose I/O goes wrong as told.
struct CrashWorker {
    /// What a worker's exit code says.
    enum Outcome: Int32 {
        /// Did all that it was to do.
        case done = 0
        /// A promise was broken.
        case violation = 1
        case usage = 2
        /// The store failed and said so.
        case storeFailed = 3
        /// The directory was not opened, for a reason that was named.
        case refused = 4
    }

    static let name = "worker"
    /// Begins the line that a worker says when a tampering's turn has come.
    static let tampered = "tampered"

    /// Which of the program's subjects lives.
    var subject: String
    /// What is put to the test, and where its ledger is.
    var directory = ""
    var ledger = ""
    var seed: UInt64
    var operations: Int
    var io: Platform.Choice
    var tamperings: [IOTampering] = []
    var ring = Platform.RingSize()
    /// The process is killed where it would tell of this acknowledgement; 0 for none.
    var lastAcknowledgement = 0
    /// A log of writes whose length is told with each acknowledgement.
    var stamp = ""
    /// A file that fills the disk: it goes when the subject has seen what a full disk is like.
    var filler = ""
    /// How many files may be open; 0 for no limit of its own.
    var descriptors = 0
    /// A control group that the process joins before anything else.
    var group = ""

    /// The words that start a program as this worker.
    var arguments: [String] {
        var words = [
            CrashWorker.name, subject, "--directory", directory, "--ledger", ledger, "--seed", "\(seed)",
            "--operations", "\(operations)", "--io", io.rawValue, "--submissions", "\(ring.submissions)",
            "--completions",
            "\(ring.completions)", "--acknowledgement", "\(lastAcknowledgement)",
        ]
        words += ["--stamp", stamp, "--filler", filler, "--descriptors", "\(descriptors)", "--group", group]
        for tampering in tamperings { words += ["--tamper", "\(tampering)"] }
        return words
    }

    init(subject: String, seed: UInt64, operations: Int, io: Platform.Choice) {
        self.subject = subject
        self.seed = seed
        self.operations = operations
        self.io = io
    }

    /// The worker that the words behind the name ask for.
    init?(_ arguments: [String]) {
        let defaults = [
            "directory": "", "ledger": "", "seed": "1", "operations": "0", "io": "auto", "submissions": "256",
            "completions": "4096", "acknowledgement": "0", "tamper": "", "stamp": "", "filler": "",
            "descriptors": "0", "group": "",
        ]
        guard let flags = Flags(arguments, defaults: defaults), let subject = flags.words.first,
            !flags["directory"].isEmpty,
            !flags["ledger"].isEmpty, let seed = UInt64(flags["seed"]), let operations = flags.number("operations"),
            let io = Platform.Choice(rawValue: flags["io"]), let submissions = UInt32(flags["submissions"]),
            let completions = UInt32(flags["completions"]), let lastAcknowledgement = flags.number("acknowledgement"),
            let descriptors = flags.number("descriptors")
        else { return nil }
        self.init(subject: subject, seed: seed, operations: operations, io: io)
        directory = flags["directory"]
        ledger = flags["ledger"]
        ring = Platform.RingSize(submissions: submissions, completions: completions)
        self.lastAcknowledgement = lastAcknowledgement
        self.descriptors = descriptors
        stamp = flags["stamp"]
        filler = flags["filler"]
        group = flags["group"]
        for text in flags.all("tamper") {
            guard let tampering = IOTampering(text) else { return nil }
            tamperings.append(tampering)
        }
    }

    /// What `IOTampering.value` of a `call` says: shut the file system down, with its journal written or not, and die.
    struct ShutDown: OptionSet {
        let rawValue: Int
        static let flushingJournal = ShutDown(rawValue: 1)
        static let dying = ShutDown(rawValue: 2)
    }

    /// Lives, and returns the exit code.
    func run(_ subject: any CrashSubject) -> Outcome {
        do {
            try takeLimits()
            let platform = try Platform.start(
                io: io, tampering: tamperings, ring: ring, onTampering: { [directory] in noteTampering($0, directory) })
            defer { platform.shutdown() }
            try platform.runToEnd { seams in
                try await subject.live(in: directory, try life(), seams: seams)
            }
            return .done
        } catch let error as StoreFailed {
            print("store failed: \(error)")
            return .storeFailed
        } catch let error as OpeningRefused {
            print("not opened: \(error)")
            return .refused
        } catch let error as IOError {
            print("no platform: \(error)")
            return .refused
        } catch {
            print("VIOLATION \(error)")
            return .violation
        }
    }

    private func life() throws -> CrashLife {
        let ledger = try Ledger(path: ledger)
        var acknowledgements = 0
        ledger.beforeLine = { word in
            guard word == "done", lastAcknowledgement > 0 else { return }
            acknowledgements += 1
            if acknowledgements == lastAcknowledgement { IOTampering.killThisProcess() }
        }
        if !stamp.isEmpty {
            let log = open(stamp, O_RDONLY | O_CLOEXEC)
            ledger.stamp = { WriteLog.count(in: log) }
        }
        return CrashLife(seed: seed, operations: operations, ledger: ledger, filler: filler)
    }

    private func takeLimits() throws {
        if !group.isEmpty {
            try "\(getpid())".write(toFile: group + "/cgroup.procs", atomically: false, encoding: .utf8)
        }
        guard descriptors > 0 else { return }
        let result = clinux_limit_descriptors(UInt32(descriptors))
        guard result == 0 else { throw CrashViolation("no limit of open files can be set: errno \(-result)") }
    }
}

/// Tells the harness that a tampering's turn has come.
private func noteTampering(_ tampering: IOTampering, _ directory: String) {
    let line = Array("\(CrashWorker.tampered) \(tampering)\n".utf8)
    _ = write(1, line, line.count)
    guard tampering.act == .call else { return }
    let what = CrashWorker.ShutDown(rawValue: tampering.value)
    // The directory itself may have to be made yet.
    let parent = URL(filePath: directory).deletingLastPathComponent().path
    let result = clinux_shut_down_file_system(parent, what.contains(.flushingJournal) ? 1 : 0)
    invariant(result == 0, "the file system of \(directory) cannot be shut down: errno \(-result)")
    if what.contains(.dying) { IOTampering.killThisProcess() }
}
