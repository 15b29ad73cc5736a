import CordwoodBase
import CordwoodIO
import CordwoodNode
import CordwoodRaft
import CordwoodVirtual

/// Chooses what goes wrong and when.
struct Nemesis {
    let simulation: Simulation
    let random: VirtualRandom
    private let kinds: [FaultKind]
    /// How long it rests between two strikes, at most.
    private let restNanoseconds: UInt64

    init(_ simulation: Simulation) {
        self.simulation = simulation
        random = VirtualRandom(seed: simulation.seed, concern: "nemesis")
        kinds = FaultKind.allCases.filter(simulation.faults.contains)
        restNanoseconds = random.next(in: 100_000_000...1_500_000_000)
    }

    private var network: VirtualNetwork { simulation.world.network }
    private var nodes: [SimulatedNode] { simulation.nodes.filter { $0.standing != .free } }
    private var names: [String] { nodes.map(\.name) }

    private func anyNode() -> SimulatedNode { nodes[Int(random.next(below: UInt64(nodes.count)))] }

    /// Rests, then lets one thing go wrong, or be mended.
    mutating func strike() async {
        await simulation.sleep(random.next(in: 10_000_000...restNanoseconds))
        for node in nodes { node.restartIfBroken() }
        guard !kinds.isEmpty else { return }
        if random.chance(1, in: 4) {
            network.heal()
            return
        }
        await strike(kinds[Int(random.next(below: UInt64(kinds.count)))])
    }

    private func strike(_ kind: FaultKind) async {
        let node = anyNode()
        let other = anyNode()
        switch kind {
        case .crash:
            if !node.host.isUp { simulation.markers.reach(.crashWhileDown) }
            node.crash()
            startLater(node)
        case .kill:
            node.kill()
            startLater(node)
        case .pause:
            guard node.host.isUp, !node.host.isPaused else { return }
            node.host.pause()
            later(50_000_000...3_000_000_000) { if node.host.isPaused { node.host.resume() } }
        case .restart:
            _ = await node.ask("close", withinNanoseconds: 5_000_000_000) { node in try? await node.close() }
            node.kill()
            startLater(node)
        case .isolate: network.isolate(node.name)
        case .partition:
            let left = names.filter { _ in random.chance(1, in: 2) }
            network.partition([left, names.filter { !left.contains($0) }])
        case .oneWay: if node !== other { network.cut(from: node.name, to: other.name) }
        case .bridge:
            let rest = names.filter { $0 != node.name }
            let left = rest.filter { _ in random.chance(1, in: 2) }
            network.bridge(node.name, between: left, and: rest.filter { !left.contains($0) })
        case .slowLinks:
            network.set(
                .slow(
                    latencyNanoseconds: random.next(in: 1_000_000...60_000_000),
                    jitterNanoseconds: random.next(below: 40_000_000)), among: names)
        case .lossyLinks: network.set(.lossy(permille: random.next(in: 10...300)), among: names)
        case .breakingLinks: network.set(.breaking(permille: random.next(in: 5...100)), among: names)
        case .clog:
            if node !== other {
                network.clog(
                    from: node.name, to: other.name, nanoseconds: random.next(in: 100_000_000...5_000_000_000))
            }
        case .clockDrift: node.host.clock.driftMillionths = Int64(random.next(below: 100_001)) - 50_000
        case .clockJump:
            node.host.clock.wallOffsetMicroseconds = Int64(random.next(below: 20_000_000_000)) - 10_000_000_000
        case .transfer: await transfer(to: node)
        case .slowDisk, .failingDisk, .failingPartitions, .fullDisk: failDisk(of: node, kind)
        case .bitRot, .readErrors, .misplacedWrites: damageDisk(of: node, kind)
        case .shortRetention, .membership, .wipedDisk: return
        }
    }

    private func transfer(to node: SimulatedNode) async {
        let name = node.name
        let done = await node.ask("transfer", withinNanoseconds: 3_000_000_000) { node in
            do throws(MemberOperationError) {
                _ = try await node.operate(.transfer(name: name))
                return true
            } catch { return false }
        }
        if done == true { simulation.markers.reach(.transferredLeadership) }
    }

    private func startLater(_ node: SimulatedNode) {
        let disk = node.diskNumber
        later(20_000_000...2_500_000_000) { if node.standing != .free, node.diskNumber == disk { node.start() } }
    }

    func later(_ range: ClosedRange<UInt64>, _ body: @escaping () -> Void) {
        let pause = random.next(in: range)
        let simulation = simulation
        simulation.world.scheduler.spawn("mend") {
            await simulation.sleep(pause)
            body()
        }
    }
}
