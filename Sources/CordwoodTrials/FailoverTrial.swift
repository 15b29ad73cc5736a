public import CordwoodIO
import CordwoodRESP
import CordwoodVirtual

/// How long a group takes no writes when its leader dies: SIGKILL under load, with the default options, again and
/// again. Measured is the time from the kill to the first acknowledgement of a write that was begun after it.
public final class FailoverTrial {
    public struct Options: Sendable {
        public var seed: UInt64 = 1
        public var nodes = 3
        public var kills = 100
        public var rate = 2000
        public var writers = 32
        public var folder = ""
        public var nodeProgram = ""
        public var inspectProgram = ""
        /// What the 95th percentile and the longest may be, in seconds.
        public var wantedPercentileSeconds = 3.0
        public var wantedLongestSeconds = 6.0

        public init() {}
    }

    private let options: Options
    private let seams: Seams
    private let say: (String) -> Void
    private var violation: Violation?
    /// When the leader was killed, until a write that was begun after that is acknowledged.
    private var killedNanoseconds: UInt64?
    private var timesNanoseconds: [UInt64] = []

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
            seed: options.seed, writers: options.writers, readers: 1, rate: options.rate, judge: judge)
        workload.onAcknowledged = { [self] begun, now in
            guard let killed = killedNanoseconds, begun > killed else { return }
            killedNanoseconds = nil
            timesNanoseconds.append(now - killed)
        }
        do {
            try await group.found()
            try await kill(group, workload)
            if let violation { throw violation }
            workload.shut()
            guard await seams.clock.until(seconds: 60, { workload.isIdle }) else {
                throw Violation("a healed group goes on", "writes are not answered")
            }
            var seen: [String: [Int: UInt64]] = [:]
            try await Audit(group: group, workload: workload).run(&seen)
            try group.readLogs()
        } catch {
            judge(error as? Violation ?? Violation("the trial goes on", "\(error)"))
        }
        workload.end()
        await group.close()
        report(group, workload)
        return violation
    }

    /// Ends the run soon, with all its processes; it counts as failed.
    public func interrupt() { violation = violation ?? .interruption }

    private func kill(_ group: TrialGroup, _ workload: Workload) async throws {
        let random = VirtualRandom(seed: options.seed, concern: "kills")
        workload.open()
        for number in 1...options.kills where violation == nil {
            try await untilWhole(group)
            await seams.clock.sleep(seconds: random.seconds(0.5...2))
            guard let leader = await group.leader() else { throw Violation("a healed group goes on", "nobody leads") }
            killedNanoseconds = seams.clock.monotonicNanoseconds
            await group.kill(leader)
            guard await seams.clock.until(seconds: 60, { killedNanoseconds == nil || violation != nil }) else {
                throw Violation("another leader takes writes", "not within 60 s of kill \(number)")
            }
            try group.start(leader)
            try group.checkAlive()
            if number % 10 == 0 { say("\(number) kills, \(workload.ledger.acknowledged) writes acknowledged") }
        }
    }

    /// Every node serves, and has what the others have but for what is under way.
    private func untilWhole(_ group: TrialGroup) async throws {
        let deadline = seams.clock.monotonicNanoseconds + 60_000_000_000
        while seams.clock.monotonicNanoseconds < deadline {
            if let leader = await group.leader(),
                let members = await group.ask(leader, "CORDWOOD.CLUSTER", "STATUS")?["members"]?.elements,
                members.count == options.nodes,
                members.allSatisfy({ $0["node"]?.text == leader.name || ($0["lag"]?.number ?? .max) < 1000 }),
                group.members.allSatisfy({ $0.isAwake && $0.clientAddress != nil })
            {
                return
            }
            for node in group.members { node.lookForAddress() }
            await seams.clock.sleep(seconds: 0.05)
        }
        throw Violation("a killed node comes back", "not every node is up to date after 60 s")
    }

    private func report(_ group: TrialGroup, _ workload: Workload) {
        let sorted = timesNanoseconds.sorted()
        func seconds(_ fraction: Double) -> Double {
            sorted.isEmpty ? 0 : Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * fraction))]) / 1e9
        }
        func text(_ value: Double) -> String { "\((value * 1000).rounded() / 1000) s" }
        let (middle, high, longest) = (seconds(0.5), seconds(0.95), seconds(1))
        say("kills of a leader under load    \(timesNanoseconds.count)")
        say("writes acknowledged             \(workload.ledger.acknowledged)")
        say("first acknowledged write        p50 \(text(middle)), p95 \(text(high)), longest \(text(longest))")
        say("elections won                   \(group.terms.elections), highest term \(group.terms.highestTerm)")
        guard violation == nil else { return }
        if high > options.wantedPercentileSeconds || longest > options.wantedLongestSeconds {
            violation = Violation(
                "a group fails over in time",
                "wanted: p95 \(text(options.wantedPercentileSeconds)), longest \(text(options.wantedLongestSeconds))")
        }
    }
}
