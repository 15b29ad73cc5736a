import CordwoodBase
import CordwoodIO
import CordwoodNode
import CordwoodRaft
import CordwoodVirtual

/// What may go wrong in a run.
public enum FaultKind: String, Hashable, Sendable, CaseIterable {
    /// The power of a machine fails: unsynced writes are lost, torn or kept.
    case crash
    /// A process ends at once; what it wrote is on its disk.
    case kill
    /// A machine stands still for a while.
    case pause
    /// A node is closed in order and started again.
    case restart
    /// One machine, or a part of them, is cut off.
    case isolate
    case partition
    /// A link is cut in one direction.
    case oneWay
    /// Two halves that only one machine reaches both of.
    case bridge
    /// Links that are slow, lose packets, break connections, or let nothing through for a while.
    case slowLinks
    case lossyLinks
    case breakingLinks
    case clog
    /// Clocks that run apart, and wall clocks that jump.
    case clockDrift
    case clockJump
    /// An operator moves leadership.
    case transfer
    /// A disk is slow, or fails a write or a sync of the segmented log.
    case slowDisk
    case failingDisk
    /// Laggards are brought up by snapshots soon.
    case shortRetention

    /// A part of them for one seed: each is switched on with even chances, so most pairs meet in some seed.
    static func draw(_ random: VirtualRandom) -> Set<FaultKind> {
        Set(allCases.filter { _ in random.chance(1, in: 2) })
    }
}

/// Chooses what goes wrong and when.
struct Nemesis {
    private let simulation: Simulation
    private let random: VirtualRandom
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
    private var names: [String] { simulation.nodes.map(\.host.name) }

    private func anyNode() -> SimulatedNode {
        simulation.nodes[Int(random.next(below: UInt64(simulation.nodes.count)))]
    }

    /// Rests, then lets one thing go wrong, or be mended.
    mutating func strike() async {
        await simulation.sleep(random.next(in: 10_000_000...restNanoseconds))
        for node in simulation.nodes { node.restartIfBroken() }
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
        case .isolate: network.isolate(node.host.name)
        case .partition:
            let left = names.filter { _ in random.chance(1, in: 2) }
            network.partition([left, names.filter { !left.contains($0) }])
        case .oneWay:
            if node !== other { network.cut(from: node.host.name, to: other.host.name) }
        case .bridge:
            let rest = names.filter { $0 != node.host.name }
            let left = rest.filter { _ in random.chance(1, in: 2) }
            network.bridge(node.host.name, between: left, and: rest.filter { !left.contains($0) })
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
                    from: node.host.name, to: other.host.name,
                    nanoseconds: random.next(in: 100_000_000...5_000_000_000))
            }
        case .clockDrift: node.host.clock.driftMillionths = Int64(random.next(below: 100_001)) - 50_000
        case .clockJump:
            node.host.clock.wallOffsetMicroseconds = Int64(random.next(below: 20_000_000_000)) - 10_000_000_000
        case .transfer: await transfer(to: node)
        case .slowDisk:
            node.host.disk.inject(
                DiskFault(
                    random.chance(1, in: 2) ? .write : .sync, times: Int(random.next(in: 1...20)),
                    .stall(nanoseconds: random.next(in: 10_000_000...2_000_000_000))))
        case .failingDisk:
            node.host.disk.inject(
                .inputOutputError(random.chance(1, in: 2) ? .write : .sync, pathContains: "data/log"))
        case .shortRetention: return
        }
    }

    private func transfer(to node: SimulatedNode) async {
        let name = node.host.name
        let done = await node.ask("transfer", withinNanoseconds: 3_000_000_000) { node in
            do throws(MemberOperationError) {
                _ = try await node.operate(.transfer(name: name))
                return true
            } catch { return false }
        }
        if done == true { simulation.markers.reach(.transferredLeadership) }
    }

    private func startLater(_ node: SimulatedNode) {
        later(20_000_000...2_500_000_000) { node.start() }
    }

    private func later(_ range: ClosedRange<UInt64>, _ body: @escaping () -> Void) {
        let pause = random.next(in: range)
        let simulation = simulation
        simulation.world.scheduler.spawn("mend") {
            await simulation.sleep(pause)
            body()
        }
    }
}

extension Simulation {
    /// A directory may fail to open while its disk fails; it is tried again.
    var toleratesFailedOpening: Bool { faults.contains(.failingDisk) && !isHealed }
}
