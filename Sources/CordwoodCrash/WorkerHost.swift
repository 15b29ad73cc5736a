import CordwoodProcesses
import Foundation

/// Where the workers of one directory live: the directory, its ledger and what the last worker said.
struct WorkerHost {
    /// Longer than anything that a worker does takes on a busy machine.
    private static let secondsPerProcess = 120.0

    let folder: String
    /// What is put to the test; it may lie on another file system than the folder.
    let directory: String

    /// Makes the folder.
    init(_ folder: String, directory: String? = nil) throws {
        self.folder = folder
        self.directory = directory ?? folder + "/data"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    var ledgerPath: String { folder + "/ledger" }
    private var output: String { folder + "/output" }

    func ledger() throws -> Ledger { try Ledger(path: ledgerPath) }

    /// Lets a worker live on the directory. What it says is in `said` until the next one lives.
    func run(_ worker: CrashWorker) throws -> ChildProcess.End {
        try start(worker).wait(seconds: WorkerHost.secondsPerProcess)
    }

    /// Starts a worker on the directory.
    func start(_ worker: CrashWorker) throws -> ChildProcess {
        var worker = worker
        worker.directory = directory
        worker.ledger = ledgerPath
        try? FileManager.default.removeItem(atPath: output)
        return try ChildProcess([ChildProcess.ownProgram] + worker.arguments, output: output)
    }

    /// Lets a worker open, judge and close, and throws unless all is well.
    func expectSound(_ worker: CrashWorker, _ what: String) throws {
        var judge = worker
        judge.operations = 0
        judge.tamperings = []
        let end = try run(judge)
        guard end == .exited(0) else { throw CrashViolation("\(what) came to \(end): \(said)") }
    }

    /// Has the last life judged, too, and removes everything. Returns what all lives together acknowledged.
    func finish(_ worker: CrashWorker) throws -> Int {
        try expectSound(worker, "the last opening")
        let acknowledged = try ledger().lives.reduce(0) { $0 + $1.acknowledgements.count }
        try remove()
        return acknowledged
    }

    /// Throws when a life acknowledged anything after its store had said that it can do no more.
    func expectSilenceAfterFailure() throws {
        if try ledger().lives.contains(where: \.acknowledgedAfterFailure) {
            throw CrashViolation("something was acknowledged after the store had failed: \(said)")
        }
    }

    /// What the last worker said.
    var said: String {
        ((try? String(contentsOfFile: output, encoding: .utf8)) ?? "").trimmingCharacters(in: .newlines)
    }

    func remove() throws { try FileManager.default.removeItem(atPath: folder) }
}
