public import CordwoodBase
import CordwoodIO
import CordwoodMachine
import CordwoodNode
import CordwoodRaft
import CordwoodVirtual

/// A group of nodes on virtual machines: the production code above the seams, with everything below it, time, disks,
/// network and power, drawn from one seed.
///
/// A run has two phases. In the first, clients write and read through any node while machines crash, stand still and
/// come back, links break, and the operator moves leadership about; the judge watches that no promise is broken. In the
/// second everything is healed: the group must elect a leader, converge, and serve writes and reads, and what was
/// acknowledged must be there. Each seed switches on its own part of the faults.
///
/// The same seed gives the same run, which the hash of its trace shows.
public final class Simulation {
    public struct Options {
        /// Voters of the group, 1 to 7.
        public var nodes = 3
        public var partitions = 4
        /// Length of the first phase, in virtual time.
        public var safetyNanoseconds: UInt64 = 6_000_000_000
        /// What the second phase may take, in virtual time, before it counts as broken.
        public var livenessNanoseconds: UInt64 = 60_000_000_000
        public var clients = 4
        /// `nil` lets the seed decide.
        public var faults: Set<FaultKind>?
        /// Hears what the nodes say: virtual time in nanoseconds, host and life, and the event.
        public var listener: ((UInt64, String, LogEvent) -> Void)?

        public init() {}
    }

    public let seed: UInt64
    public let options: Options
    public let faults: Set<FaultKind>
    let world: VirtualWorld
    let random: VirtualRandom
    let judge = Judge()
    let agreement: AgreementChecker
    let elections: ElectionChecker
    let acknowledgements: AcknowledgementChecker
    let reads: ReadChecker
    let progress: ProgressChecker
    var markers = Markers()
    var nodes: [SimulatedNode] = []
    var nextSerial: UInt64 = 1
    /// The second phase: nothing goes wrong any more.
    var isHealed = false
    var operationsUnderWay = 0

    public init(seed: UInt64, options: Options = Options()) {
        self.seed = seed
        self.options = options
        world = VirtualWorld(seed: seed)
        random = VirtualRandom(seed: seed, concern: "simulation")
        agreement = AgreementChecker(judge)
        elections = ElectionChecker(judge)
        acknowledgements = AcknowledgementChecker(judge, agreement)
        reads = ReadChecker(judge)
        progress = ProgressChecker(judge, agreement)
        faults = options.faults ?? FaultKind.draw(VirtualRandom(seed: seed, concern: "faults"))
    }

    /// Runs the seed to its end.
    public func run() -> SimulationReport {
        do {
            try world.run { [self] _ in
                await found()
                await safetyPhase()
                await livenessPhase()
            }
        } catch let violation as Violation {
            judge.report(violation.promise, violation.seen)
        } catch { judge.report("the group makes progress", "\(error)") }
        let report = SimulationReport(
            seed: seed, traceHash: world.trace.hash, virtualNanoseconds: world.clock.monotonicNanoseconds,
            faults: faults, acknowledged: acknowledgements.acknowledgedCount, denied: acknowledgements.deniedCount,
            unknown: acknowledgements.unknownCount, reads: reads.readCount, elections: elections.electionCount,
            markers: markers.reached, violation: judge.violation)
        // What still runs refers to this run: it comes to its end first.
        world.end()
        nodes = []
        return report
    }

    func sleep(_ nanoseconds: UInt64) async { await world.clock.sleep(nanoseconds: nanoseconds) }

    // MARK: Phases

    private func found() async {
        let names = (0..<options.nodes).map { "n\($0 + 1)" }
        for name in names {
            nodes.append(SimulatedNode(world.host(name), founders: names, in: self))
        }
        for node in nodes { node.open() }
        let deadline = world.clock.monotonicNanoseconds + options.livenessNanoseconds
        while !nodes.contains(where: { $0.node?.isLeader == true }), judge.violation == nil {
            if world.clock.monotonicNanoseconds > deadline {
                return judge.report("a new group elects a leader", "none after \(options.livenessNanoseconds) ns")
            }
            await sleep(20_000_000)
        }
    }

    private func safetyPhase() async {
        let end = world.clock.monotonicNanoseconds + options.safetyNanoseconds
        for client in 0..<options.clients { beginClient(client, until: end) }
        beginWatching(until: end)
        var nemesis = Nemesis(self)
        while world.clock.monotonicNanoseconds < end, judge.violation == nil {
            await nemesis.strike()
        }
    }

    /// Everything is healed and comes up again; then the group has to be whole.
    private func livenessPhase() async {
        isHealed = true
        world.network.heal()
        for node in nodes { node.heal() }
        let deadline = world.clock.monotonicNanoseconds + options.livenessNanoseconds
        var served: Set<String> = []
        while judge.violation == nil {
            if world.clock.monotonicNanoseconds > deadline {
                return judge.report(
                    "a healed group serves",
                    "after \(options.livenessNanoseconds) ns \(served.sorted()) of \(nodes.map(\.host.name)) do: "
                        + nodes.map(\.description).joined(separator: "; "))
            }
            for node in nodes { node.restartIfBroken() }
            for node in nodes where !served.contains(node.host.name) {
                if await write(through: node, to: PartitionID(random.next(below: UInt64(options.partitions)))) {
                    served.insert(node.host.name)
                }
            }
            if served.count == nodes.count, operationsUnderWay == 0, await hasConverged() { break }
            await sleep(50_000_000)
        }
        guard judge.violation == nil else { return }
        var contents: [(host: String, partition: PartitionID, serials: [UInt64])] = []
        for node in nodes {
            for number in 0..<options.partitions {
                let partition = PartitionID(UInt64(number))
                contents.append((node.host.name, partition, await node.serials(of: partition) ?? []))
            }
        }
        acknowledgements.finish(contents)
        compareChains()
    }

    private func hasConverged() async -> Bool {
        for node in nodes {
            for number in 0..<options.partitions {
                let partition = PartitionID(UInt64(number))
                guard let serials = await node.serials(of: partition), serials.count == agreement.count(partition)
                else {
                    return false
                }
            }
        }
        return true
    }

    /// The entry chain is equal at every index that replicas have in common.
    private func compareChains() {
        var chains: [RaftIndex: (ChainValue, String)] = [:]
        for node in nodes {
            guard let running = node.node else { continue }
            let commit = running.status.commit
            for index in running.status.log.startIndex.rawValue..<commit.next.rawValue {
                guard let chain = running.entryChain(at: RaftIndex(index)) else { continue }
                if let (other, name) = chains[RaftIndex(index)], other != chain {
                    judge.report("logs match", "at index \(index) \(name) and \(node.host.name) have different chains")
                }
                chains[RaftIndex(index)] = (chain, node.host.name)
            }
        }
    }
}

/// What came of a seed.
public struct SimulationReport: Sendable {
    public var seed: UInt64
    public var traceHash: UInt64
    public var virtualNanoseconds: UInt64
    public var faults: Set<FaultKind>
    public var acknowledged: Int
    public var denied: Int
    public var unknown: Int
    public var reads: Int
    public var elections: Int
    /// Rare states that the run has been in.
    public var markers: Set<Marker>
    public var violation: Violation?
}
