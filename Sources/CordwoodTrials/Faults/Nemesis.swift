import CordwoodIO
import CordwoodVirtual

/// Strikes a group with faults drawn from a seed, in three lanes at once, until it is told to rest.
///
/// A strike takes back what it did before it ends. A node that one lane has in hand is left alone by the others.
final class Nemesis {
    let group: TrialGroup
    let smallDisk: SmallDisk?
    /// How often each kind has struck.
    private(set) var counts: [FaultKind: Int] = [:]
    private var decks: [FaultKind.Lane: FaultDeck] = [:]
    private let randoms: [FaultKind.Lane: VirtualRandom]
    private let judge: (Violation) -> Void
    private var isResting = true
    private var active = 0
    /// Nodes that a strike has in hand.
    var held: Set<String> = []

    init(
        _ group: TrialGroup, kinds: [FaultKind], smallDisk: SmallDisk?, seed: UInt64,
        judge: @escaping (Violation) -> Void
    ) {
        self.group = group
        self.smallDisk = smallDisk
        self.judge = judge
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
        isResting = false
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
        isResting = true
        group.chronicle.note("everything is healed")
        group.proxy.heal()
        let hasEnded = await clock.until(seconds: 120) { active == 0 }
        group.proxy.heal()
        guard hasEnded else {
            throw Violation("a healed group goes on", "an operator's change does not come to an end")
        }
        for node in group.members {
            group.resume(node)
            try group.start(node)
        }
    }

    private func strike(in lane: FaultKind.Lane) async {
        guard let random = randoms[lane] else { return }
        while true {
            await pause(random.seconds(lane == .network ? 1...5 : 0.3...4))
            guard !isResting, let kind = decks[lane]?.next() else { return }
            do {
                group.chronicle.note("begins: \(kind.rawValue)")
                let hasStruck = try await strike(kind, random)
                group.chronicle.note("ends: \(kind.rawValue)\(hasStruck ? "" : ", not possible now")")
                if hasStruck { counts[kind, default: 0] += 1 } else { decks[lane]?.putBack(kind) }
            } catch let violation as Violation {
                judge(violation)
            } catch {
                judge(Violation("the trial goes on", "\(kind.rawValue): \(error)"))
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
        await clock.until(seconds: seconds, everyMilliseconds: 10) { isResting }
    }

    var mustRest: Bool { isResting }

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
