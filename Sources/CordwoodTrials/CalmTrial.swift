public import CordwoodIO

/// Shows that a healthy group keeps its leader: for a time without a request, then for the same time under load, no
/// term begins and no role changes.
public final class CalmTrial {
    public struct Options: Sendable {
        public var seed: UInt64 = 1
        public var nodes = 3
        /// Of idling, and of load behind it.
        public var seconds = 60.0
        public var rate = 2000
        public var writers = 32
        public var folder = ""
        public var nodeProgram = ""

        public init() {}
    }

    private let options: Options
    private let seams: Seams
    private let say: (String) -> Void
    private var violation: Violation?

    public init(_ options: Options, _ seams: Seams, say: @escaping (String) -> Void) {
        self.options = options
        self.seams = seams
        self.say = say
    }

    /// Runs to the end, or to the first violation, which it returns.
    public func run() async throws(TrialError) -> Violation? {
        let group = try await TrialGroup(
            founders: options.nodes, spares: 0, program: options.nodeProgram,
            options: ["--partition-count", "\(ClusterTrial.partitions)"], folder: options.folder, traces: false,
            isDirect: true, seams)
        let judge: (Violation) -> Void = { [self] in violation = violation ?? $0 }
        let workload = Workload(
            Ledger(streams: 64, seed: options.seed), partitions: ClusterTrial.partitions, group: group,
            seed: options.seed, writers: options.writers, readers: 2, rate: options.rate, judge: judge)
        do {
            try await group.found()
            guard await seams.clock.until(seconds: 30, { (try? group.readLogs()) != nil && group.terms.elections > 0 })
            else { throw Violation("a group elects", "nobody leads after 30 s") }
            // The others hear of the first leader.
            await seams.clock.sleep(seconds: 2)
            try await watch(group, "idle")
            workload.open()
            try await watch(group, "under load")
            workload.shut()
            await seams.clock.until(seconds: 60) { workload.isIdle }
            say("\(workload.ledger.acknowledged) writes acknowledged, \(workload.counts.unknown) unknown")
        } catch {
            judge(error as? Violation ?? Violation("the trial goes on", "\(error)"))
        }
        workload.end()
        await group.close()
        return violation
    }

    /// Ends the run soon, with all its processes; it counts as failed.
    public func interrupt() { violation = violation ?? .interruption }

    private func watch(_ group: TrialGroup, _ what: String) async throws {
        try group.readLogs()
        let (changes, term) = (group.terms.changes, group.terms.highestTerm)
        let end = seams.clock.monotonicNanoseconds + UInt64(options.seconds * 1e9)
        while seams.clock.monotonicNanoseconds < end {
            await seams.clock.sleep(seconds: 1)
            try group.checkAlive()
            try group.readLogs()
            if let violation { throw violation }
            if group.terms.changes != changes {
                throw Violation(
                    "nobody campaigns while all are well",
                    "\(what), after term \(term): term \(group.terms.highestTerm), "
                        + "\(group.terms.changes - changes) changes of a role")
            }
        }
        say("\(Int(options.seconds)) s \(what): term \(term), no change of a role")
    }
}
