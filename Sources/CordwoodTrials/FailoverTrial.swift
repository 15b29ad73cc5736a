import CordwoodIO
import CordwoodRESP
import CordwoodVirtual

/// How long a group takes no writes when its leader dies: SIGKILL under load, with the default options, again and
/// again. Measured is the time from the kill to the first acknowledgement of a write that was begun after it.
public final class FailoverTrial: GroupTrial {
    public let design = GroupDesign(isDirect: true)
    private let kills: Int
    /// When the leader was killed, until a write that was begun after that is acknowledged.
    private var killedNanoseconds: UInt64?
    private var timesNanoseconds: [UInt64] = []

    /// What the 95th percentile and the longest time may be.
    private static let wantedSeconds = (percentile: 3.0, longest: 6.0)

    public init(kills: Int) { self.kills = kills }

    public func act(on stage: TrialStage) async throws {
        stage.workload.onAcknowledged = { [self] begun, now in
            guard let killed = killedNanoseconds, begun > killed else { return }
            killedNanoseconds = nil
            timesNanoseconds.append(now - killed)
        }
        try await stage.group.found()
        let random = VirtualRandom(seed: stage.settings.seed, concern: "kills")
        stage.workload.open()
        for number in 1...kills {
            try await untilWhole(stage)
            await stage.clock.sleep(seconds: random.seconds(0.5...2))
            try await killLeader(stage, number)
        }
        try await stage.settleWrites()
        var seen = Audit.Seen()
        try await Audit(stage).run(&seen)
        try stage.group.readLogs()
        if seconds(0.95) > Self.wantedSeconds.percentile || seconds(1) > Self.wantedSeconds.longest {
            throw Violation(
                "a group fails over in time",
                "wanted: p95 \(Self.wantedSeconds.percentile) s, longest \(Self.wantedSeconds.longest) s")
        }
    }

    private func killLeader(_ stage: TrialStage, _ number: Int) async throws {
        guard let leader = await stage.group.leader() else { throw Violation.stuck("nobody leads") }
        killedNanoseconds = stage.clock.monotonicNanoseconds
        await stage.group.kill(leader)
        let goesOn = await stage.clock.until(seconds: 60) {
            killedNanoseconds == nil || stage.verdict.violation != nil
        }
        try stage.verdict.check()
        if !goesOn { throw Violation("another leader takes writes", "not within 60 s of kill \(number)") }
        try stage.group.start(leader)
        try stage.group.checkAlive()
        if number % 10 == 0 { stage.say("\(number) kills, \(stage.workload.ledger.acknowledged) writes acknowledged") }
    }

    private func untilWhole(_ stage: TrialStage) async throws {
        let deadline = stage.clock.monotonicNanoseconds + 60_000_000_000
        while !(await isWhole(stage.group)) {
            try stage.verdict.check()
            if stage.clock.monotonicNanoseconds > deadline {
                throw Violation("a killed node comes back", "not every node is up to date after 60 s")
            }
            await stage.clock.sleep(seconds: 0.05)
        }
    }

    /// Every node serves, and has what the others have but for what is under way. Not inlined, since the compiler's
    /// optimiser ends with a crash there.
    @inline(never)
    private func isWhole(_ group: TrialGroup) async -> Bool {
        guard group.members.allSatisfy({ $0.isAwake && $0.clientAddress != nil }), let leader = await group.leader(),
            let members = await group.ask(leader, "CORDWOOD.CLUSTER", "STATUS")?["members"]?.elements
        else { return false }
        return members.count == group.members.count
            && members.allSatisfy { $0["node"]?.text == leader.name || ($0["lag"]?.number ?? .max) < 1000 }
    }

    public func report(on stage: TrialStage) -> [String] {
        func text(_ fraction: Double) -> String { "\((seconds(fraction) * 1000).rounded() / 1000) s" }
        let terms = stage.group.terms
        return [
            "kills of a leader under load    \(timesNanoseconds.count)",
            "events acknowledged             \(stage.workload.ledger.acknowledged)",
            "transactions acknowledged       \(stage.workload.ledger.transactions.acknowledged)",
            "first acknowledged write        p50 \(text(0.5)), p95 \(text(0.95)), longest \(text(1))",
            "elections won                   \(terms.elections), highest term \(terms.highestTerm)",
        ]
    }

    /// The time that such a fraction of the kills took at most.
    private func seconds(_ fraction: Double) -> Double {
        let sorted = timesNanoseconds.sorted()
        guard !sorted.isEmpty else { return 0 }
        return Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * fraction))]) / 1e9
    }
}
