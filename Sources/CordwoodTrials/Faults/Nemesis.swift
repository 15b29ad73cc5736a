import CordwoodIO
import CordwoodVirtual

/// Strikes a group with faults drawn from a seed, in three lanes at once, until it is told to rest.
///
/// A strike takes back what it did before it ends. A node that one lane has in hand is left alone by the others.
final class Nemesis {
    let group: TrialGroup
    let smallDisk: SmallDisk?
    private(set) var strikes = StrikeCounts()
    private var decks: [FaultKind.Lane: FaultDeck] = [:]
    private let randoms: [FaultKind.Lane: VirtualRandom]
    private let verdict: Verdict
    /// Since when everything is healed; `nil` while faults strike.
    private var restsSince: UInt64? = 0
    private var active = 0
    /// A node that lacks something which it can only get from the others. One at a time, so that a quorum is sound.
    var unsound: String?
    /// Nodes that a strike has in hand.
    var held: Set<String> = []

    init(_ group: TrialGroup, _ kinds: [FaultKind], _ smallDisk: SmallDisk?, seed: UInt64, _ verdict: Verdict) {
        self.group = group
        self.smallDisk = smallDisk
        self.verdict = verdict
        var randoms: [FaultKind.Lane: VirtualRandom] = [:]
        for lane in FaultKind.Lane.allCases {
            let random = VirtualRandom(seed: seed, concern: "\(lane)")
            randoms[lane] = random
            decks[lane] = FaultDeck(kinds.filter { $0.lane == lane }, random)
        }
        self.randoms = randoms
    }

    var clock: any Clock { group.clock }

    // MARK: Rounds

    func begin() {
        restsSince = nil
        for lane in FaultKind.Lane.allCases {
            active += 1
            group.seams.scheduler.spawn("nemesis") { [self] in
                await strike(in: lane)
                active -= 1
            }
        }
    }

    /// Lets the strikes under way come to their ends, heals everything and starts whoever is down.
    func rest() async throws {
        restsSince = clock.monotonicNanoseconds
        group.chronicle.note("everything is healed")
        group.proxy.heal()
        // What an operator has begun says itself when it takes too long; this is a little longer.
        let hasEnded = await clock.until(seconds: TrialStage.patienceSeconds + 60) { active == 0 }
        group.proxy.heal()
        try verdict.check()
        if !hasEnded { throw Violation.stuck("what an operator has begun does not come to an end") }
        for node in group.members {
            group.resume(node)
            try group.start(node)
        }
    }

    private func strike(in lane: FaultKind.Lane) async {
        guard let random = randoms[lane] else { return }
        while true {
            await pause(random.seconds(lane == .network ? 1...5 : 0.3...4))
            guard !mustRest, let kind = decks[lane]?.next() else { return }
            do {
                group.chronicle.note("begins: \(kind.rawValue)")
                let hasStruck = try await strike(kind, random)
                group.chronicle.note("ends: \(kind.rawValue)\(hasStruck ? "" : ", not possible now")")
                if hasStruck { strikes.add(kind) } else { decks[lane]?.putBack(kind) }
            } catch let violation as Violation {
                verdict.object(violation)
            } catch {
                verdict.object(Violation("the trial goes on", "\(kind.rawValue): \(error)"))
            }
        }
    }

    /// False when the group was in no state for it.
    private func strike(_ kind: FaultKind, _ random: VirtualRandom) async throws -> Bool {
        switch kind.lane {
        case .machines: try await strikeMachine(kind, random)
        case .network: await strikeNetwork(kind, random)
        case .operators: try await operate(kind, random)
        }
    }

    /// Waits, but not longer than until the nemesis is told to rest.
    func pause(_ seconds: Double) async {
        await clock.until(seconds: seconds, everyMilliseconds: 10) { mustRest }
    }

    var mustRest: Bool { restsSince != nil }

    /// The group has had all the time that it may take once nothing disturbs it.
    var hasRestedInVain: Bool {
        guard let restsSince else { return false }
        return clock.monotonicNanoseconds - restsSince > UInt64(TrialStage.patienceSeconds * 1e9)
    }

    // MARK: Choosing

    func anyMember(_ random: VirtualRandom, where condition: (TrialNode) -> Bool = { _ in true }) -> TrialNode? {
        random.element(of: group.members.filter { !held.contains($0.name) && condition($0) })
    }

    /// The leader, once there is one that no other strike has in hand; `nil` when that takes some seconds.
    func freeLeader() async -> TrialNode? {
        for _ in 0..<20 where !mustRest {
            if let leader = await group.leader(), !held.contains(leader.name) { return leader }
            await pause(0.2)
        }
        return nil
    }

    func freeFollower(_ random: VirtualRandom) async -> TrialNode? {
        let leader = await group.leader()
        return anyMember(random) { $0 !== leader && $0.isAwake }
    }
}

/// How often each kind of fault has struck.
struct StrikeCounts {
    private var counts: [FaultKind: Int] = [:]

    subscript(kind: FaultKind) -> Int { counts[kind] ?? 0 }

    mutating func add(_ kind: FaultKind) { counts[kind, default: 0] += 1 }

    /// Whether one of these has never struck.
    func lacks(_ kinds: [FaultKind]) -> Bool { kinds.contains { self[$0] == 0 } }

    /// A run that never met a fault which it should have met shows less than it seems to.
    func check(_ kinds: [FaultKind]) throws(Violation) {
        let missing = kinds.filter { self[$0] == 0 }
        if missing.isEmpty { return }
        throw Violation("every expected fault strikes", "never: " + missing.map(\.rawValue).joined(separator: ", "))
    }
}
