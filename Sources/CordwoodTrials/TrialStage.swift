public import CordwoodIO

/// What a trial has at hand while it runs: a group of real processes, the clients that load it, and the first promise
/// that was found broken, by whoever has seen it.
public final class TrialStage {
    let settings: TrialSettings
    let seams: Seams
    let group: TrialGroup
    let workload: Workload
    let verdict = Verdict()
    /// Takes progress and the report, line by line.
    let say: (String) -> Void
    private let trial: any GroupTrial
    private var endings: [() async -> Void] = []

    /// How long a healed group may take for anything. A machine whose disk is busy with other things opens a log in
    /// half a minute.
    static let patienceSeconds = 150.0

    var clock: any Clock { seams.clock }

    /// - Parameter say: takes progress and the report, line by line.
    public init(
        _ trial: any GroupTrial, _ settings: TrialSettings, _ seams: Seams, say: @escaping (String) -> Void
    ) async throws(TrialError) {
        self.trial = trial
        self.settings = settings
        self.seams = seams
        self.say = say
        group = try await TrialGroup(trial.design, settings, partitions: Workload.partitions, seams)
        workload = Workload(group, seed: settings.seed, rate: settings.rate, verdict)
    }

    /// Runs the trial to its end, or to the first violation, which it returns.
    public func run() async -> Violation? {
        do {
            try await trial.act(on: self)
            try verdict.check()
        } catch {
            verdict.object(error as? Violation ?? Violation("the trial goes on", "\(error)"))
        }
        workload.end()
        await group.close()
        for ending in endings { await ending() }
        for line in trial.report(on: self) { say(line) }
        return verdict.violation
    }

    /// Ends the run soon, with all its processes; it counts as failed.
    public func interrupt() { verdict.object(.interruption) }

    /// Has something done when the run is over and its processes have ended.
    func atEnd(_ ending: @escaping () async -> Void) { endings.append(ending) }

    /// Lets the writers finish what they have begun, once nothing disturbs the group any more.
    func settleWrites() async throws {
        workload.shut()
        let hasSettled = await clock.until(seconds: Self.patienceSeconds) {
            workload.isIdle || verdict.violation != nil
        }
        try verdict.check()
        if !hasSettled { throw Violation.stuck("\(Int(Self.patienceSeconds)) s on, writes are not answered") }
    }
}

/// The first broken promise of a run, whoever saw it.
final class Verdict {
    private(set) var violation: Violation?

    func object(_ violation: Violation) { self.violation = self.violation ?? violation }

    func check() throws(Violation) { if let violation { throw violation } }
}
