import CordwoodPlatform
import Foundation

/// The command line of a program that puts subjects to the test: one command a trial, and the hidden `worker` that it
/// starts itself as.
public struct CrashProgram: Sendable {
    private static var trials: [(name: String, trial: any Trial.Type)] {
        [
            ("kill", KillCycles.self), ("faults", FaultRounds.self), ("filesystem", FileSystemCycles.self),
            ("powercut", PowerCuts.self), ("disk", DiskFaults.self), ("limits", LimitCycles.self),
        ]
    }

    private let program: String
    private let subjects: [(name: String, subject: any CrashSubject)]

    /// The first subject is the one when none is named.
    public init(_ program: String, _ subjects: [(name: String, subject: any CrashSubject)]) {
        self.program = program
        self.subjects = subjects
    }

    /// The commands, with a line of explanation each.
    public static var synopses: [String] {
        trials.map { "\($0.name) [SUBJECT] [OPTION VALUE]...    \($0.trial.summary)" }
    }

    /// Runs the command that this process was started with, and ends it.
    public func main() -> Never {
        let arguments = CommandLine.arguments.dropFirst()
        guard let command = arguments.first, has(command) else {
            if arguments.first == "--help" {
                print(usage)
                exit(CrashWorker.Outcome.done.rawValue)
            }
            tell(usage)
            exit(CrashWorker.Outcome.usage.rawValue)
        }
        exit(run(command, Array(arguments.dropFirst())))
    }

    public func has(_ command: String) -> Bool {
        command == CrashWorker.name || CrashProgram.trials.contains { $0.name == command }
    }

    /// What a command may be given.
    public var usage: String {
        """
        usage: \(program) COMMAND [SUBJECT] [OPTION VALUE]...
          \(CrashProgram.synopses.joined(separator: "\n  "))
        subjects: \(subjects.map(\.name).joined(separator: ", "))
        options:
          --cycles 100         how often; each cycle draws anew
          --seed 1             the draws come from it
          --seconds 3600       ends after the cycle that this time ends in
          --io auto            auto, uring or posix
          --kind ext4          ext4 or xfs, where file systems are made
          --fault NAME         of 'disk': eio, full or slow; all in turn otherwise
          --directory DIR      where files are made
        Ends with 0 when all promises held, 1 when one was broken, 2 after a wrong call. What is needed and not there is
        named in a line that begins with 'skipped:'.
        """
    }

    /// Runs a command, and returns the exit code: 0 when all promises held, or the command cannot be run here; 1 when
    /// one was broken; 2 for a wrong call.
    public func run(_ command: String, _ arguments: [String]) -> Int32 {
        if command == CrashWorker.name { return work(arguments) }
        if arguments.contains("--help") {
            print(usage)
            return CrashWorker.Outcome.done.rawValue
        }
        guard let trial = CrashProgram.trials.first(where: { $0.name == command })?.trial,
            var options = parse(arguments)
        else {
            tell(usage)
            return CrashWorker.Outcome.usage.rawValue
        }
        do {
            let scratch = try ScratchFolder(in: options.folder)
            options.folder = scratch.path
            return run(trial.init(options), command, options, scratch).rawValue
        } catch {
            print("FAIL \(error)")
            return CrashWorker.Outcome.violation.rawValue
        }
    }

    private func parse(_ arguments: [String]) -> TrialOptions? {
        let defaults = [
            "cycles": "100", "seed": "1", "seconds": "3600", "io": "auto", "kind": "ext4", "fault": "", "directory": "",
        ]
        guard let flags = Flags(arguments, defaults: defaults), flags.words.count <= 1,
            let seed = UInt64(flags["seed"]), let cycles = flags.number("cycles"),
            let seconds = flags.number("seconds"), let io = Platform.Choice(rawValue: flags["io"]),
            let kind = LoopImage.Kind(rawValue: flags["kind"]),
            let subject = subjects.first(where: { flags.words.isEmpty || $0.name == flags.words[0] })?.name
        else { return nil }
        var options = TrialOptions(subject: subject)
        options.seed = seed
        options.cycles = cycles
        options.seconds = Double(seconds)
        options.io = io
        options.kind = kind
        options.fault = flags["fault"]
        options.folder = flags["directory"]
        options.progress = { tell($0) }
        return options
    }

    private func run(
        _ trial: any Trial, _ command: String, _ options: TrialOptions, _ scratch: ScratchFolder
    ) -> CrashWorker.Outcome {
        var trial = trial
        do {
            try trial.run()
            print("\(command) \(options.subject), seed \(options.seed), \(options.io.rawValue):\n\(trial.table)")
            return .done
        } catch let error as Skipped {
            print("skipped: \(error)")
            return .done
        } catch {
            scratch.isKept = true
            print("FAIL seed \(options.seed), \(error)\nkept in \(scratch.path)")
            print(
                "again: \(program) \(command) \(options.subject) --seed \(options.seed) --io \(options.io.rawValue) "
                    + "--kind \(options.kind.rawValue) --cycles \(trial.cyclesDone + 1)")
            return .violation
        }
    }

    /// One life, as the words behind the command ask for it.
    private func work(_ arguments: [String]) -> Int32 {
        guard let worker = CrashWorker(arguments),
            let subject = subjects.first(where: { $0.name == worker.subject })?.subject
        else { return CrashWorker.Outcome.usage.rawValue }
        return worker.run(subject).rawValue
    }
}

/// Says something beside the results.
private func tell(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }
