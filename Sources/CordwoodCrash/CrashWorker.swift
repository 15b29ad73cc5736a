import CLinux
import CordwoodIO
import CordwoodPlatform

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

    /// Which of the program's subjects lives.
    var subject: String
    var directory: String
    var ledger: String
    var seed: UInt64
    var operations: Int
    var io: Platform.Choice
    var tamperings: [IOTampering] = []
    var ring = Platform.RingSize()
    /// The process is killed where it would tell of this acknowledgement; 0 for none.
    var lastAcknowledgement = 0

    /// The words that start a program as this worker.
    var arguments: [String] {
        var words = [
            CrashWorker.name, subject, "--directory", directory, "--ledger", ledger, "--seed", "\(seed)",
            "--operations",
            "\(operations)", "--io", io.rawValue, "--submissions", "\(ring.submissions)", "--completions",
            "\(ring.completions)", "--acknowledgement", "\(lastAcknowledgement)",
        ]
        for tampering in tamperings { words += ["--tamper", "\(tampering)"] }
        return words
    }

    init(
        subject: String, directory: String, ledger: String, seed: UInt64, operations: Int, io: Platform.Choice
    ) {
        self.subject = subject
        self.directory = directory
        self.ledger = ledger
        self.seed = seed
        self.operations = operations
        self.io = io
    }

    /// The worker that the words behind the name ask for.
    init?(_ arguments: [String]) {
        let defaults = [
            "directory": "", "ledger": "", "seed": "1", "operations": "0", "io": "auto", "submissions": "256",
            "completions": "4096", "acknowledgement": "0", "tamper": "",
        ]
        guard let flags = Flags(arguments, defaults: defaults), let subject = flags.words.first,
            !flags["directory"].isEmpty,
            !flags["ledger"].isEmpty, let seed = UInt64(flags["seed"]), let operations = flags.number("operations"),
            let io = Platform.Choice(rawValue: flags["io"]), let submissions = UInt32(flags["submissions"]),
            let completions = UInt32(flags["completions"]), let lastAcknowledgement = flags.number("acknowledgement")
        else { return nil }
        self.init(
            subject: subject, directory: flags["directory"], ledger: flags["ledger"], seed: seed,
            operations: operations, io: io)
        ring = Platform.RingSize(submissions: submissions, completions: completions)
        self.lastAcknowledgement = lastAcknowledgement
        for text in flags.all("tamper") {
            guard let tampering = IOTampering(text) else { return nil }
            tamperings.append(tampering)
        }
    }

    /// Lives, and returns the exit code.
    func run(_ subject: any CrashSubject) -> Outcome {
        _ = clinux_die_with_parent()
        do {
            let platform = try Platform.start(io: io, tampering: tamperings, ring: ring)
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
        return CrashLife(seed: seed, operations: operations, ledger: ledger)
    }
}
