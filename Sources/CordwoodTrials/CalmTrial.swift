import CordwoodIO

/// Shows that a healthy group keeps its leader: for a time without a request, then for the same time under load, no
/// term begins and no role changes.
public final class CalmTrial: GroupTrial {
    public let design = GroupDesign(isDirect: true)
    private let seconds: Double

    /// - Parameter seconds: of idling, and of load behind it.
    public init(seconds: Double) { self.seconds = seconds }

    public func act(on stage: TrialStage) async throws {
        let group = stage.group
        try await group.found()
        guard await stage.clock.until(seconds: 30, { (try? group.readLogs()) != nil && group.terms.elections > 0 })
        else { throw Violation("a group elects", "nobody leads after 30 s") }
        // The others hear of the first leader.
        await stage.clock.sleep(seconds: 2)
        try await watch(stage, "idle")
        stage.workload.open()
        try await watch(stage, "under load")
        try await stage.settleWrites()
    }

    public func report(on stage: TrialStage) -> [String] {
        let workload = stage.workload
        return [
            "\(workload.ledger.acknowledged) events acknowledged, "
                + "\(workload.ledger.transactions.acknowledged) transactions of several among them, "
                + "\(workload.counts.unknown) requests unknown"
        ]
    }

    private func watch(_ stage: TrialStage, _ what: String) async throws {
        let group = stage.group
        try group.readLogs()
        let (changes, term) = (group.terms.changes, group.terms.highestTerm)
        let end = stage.clock.monotonicNanoseconds + UInt64(seconds * 1e9)
        while stage.clock.monotonicNanoseconds < end {
            await stage.clock.sleep(seconds: 1)
            try group.checkAlive()
            try group.readLogs()
            try stage.verdict.check()
            if group.terms.changes != changes {
                throw Violation(
                    "nobody campaigns while all are well",
                    "\(what), after term \(term): term \(group.terms.highestTerm), "
                        + "\(group.terms.changes - changes) changes of a role")
            }
        }
        stage.say("\(Int(seconds)) s \(what): term \(term), no change of a role")
    }
}
