import CordwoodPlatform
import Foundation

/// The command line of a program that kills its subjects: `kill`, and the hidden `worker` that it starts itself as.
public struct CrashProgram: Sendable {
    public static let synopsis = """
        kill [SUBJECT] [--cycles 100] [--seed 1] [--seconds 3600] [--io auto|uring|posix] [--directory DIR]
        """

    private let program: String
    private let subjects: [(name: String, subject: any CrashSubject)]

    /// The first subject is killed when none is named.
    public init(_ program: String, _ subjects: [(name: String, subject: any CrashSubject)]) {
        self.program = program
        self.subjects = subjects
    }

    /// True for the command that a program starts itself with.
    public static func isWorker(_ command: String) -> Bool { command == CrashWorker.name }

    /// One life, as the words behind the command ask for it; returns the exit code.
    public func work(_ arguments: [String]) -> Int32 {
        guard let worker = CrashWorker(arguments),
            let subject = subjects.first(where: { $0.name == worker.subject })?.subject
        else { return CrashWorker.Outcome.usage.rawValue }
        return worker.run(subject).rawValue
    }

    /// Kills as the words behind the command ask for it. Returns 0 when all that was acknowledged was always there, 1
    /// when it was not, 2 for a wrong call.
    public func kill(_ arguments: [String]) -> Int32 {
        let defaults = ["cycles": "100", "seed": "1", "seconds": "3600", "io": "auto", "directory": ""]
        guard let flags = Flags(arguments, defaults: defaults), flags.words.count <= 1,
            let seed = UInt64(flags["seed"]), let cycles = flags.number("cycles"),
            let seconds = flags.number("seconds"), let io = Platform.Choice(rawValue: flags["io"]),
            let subject = subjects.first(where: { flags.words.isEmpty || $0.name == flags.words[0] })?.name
        else {
            FileHandle.standardError.write(
                Data(
                    "usage: \(program) \(Self.synopsis)\nsubjects: \(subjects.map(\.name).joined(separator: ", "))\n"
                        .utf8))
            return CrashWorker.Outcome.usage.rawValue
        }
        do {
            let scratch = try ScratchFolder(in: flags["directory"])
            var options = KillCycles.Options(subject: subject, seed: seed, folder: scratch.path)
            options.cycles = cycles
            options.seconds = Double(seconds)
            options.io = io
            options.progress = { FileHandle.standardError.write(Data("\($0)\n".utf8)) }
            var trial = KillCycles(options)
            do {
                try trial.run()
            } catch {
                scratch.isKept = true
                print("FAIL \(error)")
                print(
                    "again: \(program) kill \(subject) --seed \(seed) --cycles \(trial.report.cycles + 1) "
                        + "--io \(io.rawValue)")
                return CrashWorker.Outcome.violation.rawValue
            }
            print("\(subject), seed \(seed), \(io.rawValue):\n\(trial.report)")
            return CrashWorker.Outcome.done.rawValue
        } catch {
            print("FAIL \(error)")
            return CrashWorker.Outcome.violation.rawValue
        }
    }
}

extension KillCycles.Report: CustomStringConvertible {
    var description: String {
        var lines = [
            "  \(cycles) cycles in \(Int(seconds)) s, \(directories) directories",
            "  \(acknowledged) operations acknowledged, all there",
        ]
        for (moment, count) in kills.sorted(by: { $0.key < $1.key }) { lines.append("  killed \(moment): \(count)") }
        lines.append("  ended before their kill: \(endedInOrder)")
        lines.append("  recoveries killed: \(killsInRecovery), compared with undisturbed ones: \(recoveriesCompared)")
        return lines.joined(separator: "\n")
    }
}
