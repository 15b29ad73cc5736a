import CordwoodPlatform

/// One way of putting a subject to the test, again and again.
protocol Trial {
    /// Says what it is, for the list of commands.
    static var summary: String { get }

    init(_ options: TrialOptions)

    /// Runs until all cycles are done or time is up. Throws `CrashViolation` at the first broken promise, and then
    /// keeps what it speaks of; `Skipped` where something that it needs is not to be had.
    mutating func run() throws

    /// What it has done, line by line.
    var table: String { get }

    /// Cycles that are behind it.
    var cyclesDone: Int { get }
}

/// What every trial is told.
struct TrialOptions {
    /// Names the subject to the worker.
    var subject: String
    var seed: UInt64 = 1
    var cycles = 100
    var seconds = 3600.0
    var io = Platform.Choice.auto
    /// Of the trials that make file systems.
    var kind = LoopImage.Kind.ext4
    /// Of the trials that have several; empty for all in turn.
    var fault = ""
    /// A directory that exists, for everything that is made.
    var folder = ""
    /// Called now and then with a line that says how far it is.
    var progress: (String) -> Void = { _ in }
}

extension TrialOptions {
    /// A life of the subject; one without operations opens, judges and closes.
    func worker(_ seed: UInt64, operations: Int = 0) -> CrashWorker {
        CrashWorker(subject: subject, seed: seed, operations: operations, io: io)
    }

    /// Runs one cycle after the other until all are done or time is up, and gives the seconds that they took. What
    /// breaks a promise is thrown with the cycle that it happened in.
    func eachCycle(_ body: (Int) throws -> Void) throws -> Double {
        var progress = Progress(self)
        for cycle in 0..<cycles where !progress.isOver {
            do {
                try body(cycle)
            } catch let skipped as Skipped {
                throw skipped
            } catch {
                throw CrashViolation("cycle \(cycle): \(error)")
            }
            progress.tell(cycle + 1)
        }
        return progress.seconds
    }
}

/// Tells how far a trial is, but not too often.
struct Progress {
    private static let interval = Duration.seconds(10)
    private let clock = ContinuousClock()
    private let began: ContinuousClock.Instant
    private var told: ContinuousClock.Instant
    private let options: TrialOptions

    init(_ options: TrialOptions) {
        self.options = options
        began = clock.now
        told = began
    }

    var seconds: Double {
        let passed = clock.now - began
        return Double(passed.components.seconds) + Double(passed.components.attoseconds) / 1e18
    }

    var isOver: Bool { seconds > options.seconds }

    mutating func tell(_ done: Int) {
        guard clock.now - told > Progress.interval else { return }
        told = clock.now
        options.progress("\(done) of \(options.cycles) cycles, \(Int(seconds)) s")
    }
}
