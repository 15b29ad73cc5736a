public import CordwoodBase
import CordwoodEvents
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodNode
import CordwoodRaft
import CordwoodVirtual

/// A group of nodes on virtual machines: the production code above the seams, with everything below it, time, disks,
/// network and power, drawn from one seed.
///
/// A run has two phases. In the first, clients write and read through any node while machines crash, stand still, lose
/// their disks and come back, links break, and operators change the group; the judge watches that no promise is broken.
/// In the second everything is healed: the group must elect a leader, converge, and serve writes and reads, and what
/// was acknowledged must be there. Each seed switches on its own part of the faults, draws its options and its
/// workload. In a seed whose faults are unfair the second phase asks only that nothing wrong is shown.
///
/// The same seed gives the same run, which the hash of its trace shows.
public final class Simulation {
    public struct Options {
        /// Voters of the group at first, 1 to 7.
        public var nodes = 3
        /// Machines beside them, which may join; only seeds with changes of the group have them.
        public var spares = 2
        /// Length of the first phase, in virtual time.
        public var safetyNanoseconds: UInt64 = 6_000_000_000
        /// What the second phase may take, in virtual time, before it counts as broken.
        public var livenessNanoseconds: UInt64 = 60_000_000_000
        /// `nil` lets the seed decide.
        public var partitions: Int?
        public var clients: Int?
        public var faults: Set<FaultKind>?
        public var isFair: Bool?
        /// Hears what the nodes say: virtual time in nanoseconds, host and life, and the event.
        public var listener: ((UInt64, String, LogEvent) -> Void)?

        public init() {}
    }

    public let seed: UInt64
    public let options: Options
    public let faults: Set<FaultKind>
    let world: VirtualWorld
    let random: VirtualRandom
    let workload: Workload
    let tuning: Tuning
    let judge = Judge()
    let agreement: AgreementChecker
    let stored: ExactlyOnceChecker
    let elections: ElectionChecker
    let votes: VoteChecker
    let acknowledgements: AcknowledgementChecker
    let histories: LinearizabilityChecker
    let progress: ProgressChecker
    let configurations: ConfigurationChecker
    let logs: LogChecker
    let floors: FloorChecker
    let recoveries: RecoveryChecker
    let exports: ExportChecker
    var atlas: Atlas
    var markers = Markers()
    var nodes: [SimulatedNode] = []
    var nextSerial: UInt64 = 1
    var readCount = 0
    /// Writes that nobody knows the outcome of, and when they were called.
    var openWrites: [(serials: Range<UInt64>, calls: [LinearizabilityChecker.Call])] = []
    /// The second phase: nothing goes wrong any more.
    var isHealed = false
    var operationsUnderWay = 0
    private(set) var groupOperator: GroupOperator?

    public init(seed: UInt64, options: Options = Options()) {
        self.seed = seed
        self.options = options
        world = VirtualWorld(seed: seed)
        random = VirtualRandom(seed: seed, concern: "simulation")
        let faults = options.faults ?? FaultKind.draw(VirtualRandom(seed: seed, concern: "faults"))
        self.faults = faults
        workload = Workload(
            VirtualRandom(seed: seed, concern: "workload"), partitions: options.partitions, clients: options.clients)
        tuning = Tuning(VirtualRandom(seed: seed, concern: "tuning"))
        let isUnfair = VirtualRandom(seed: seed, concern: "fairness").chance(1, in: 12)
        atlas = Atlas(isFair: options.isFair ?? !(isUnfair && faults.contains(where: \.isLasting)))
        agreement = AgreementChecker(judge)
        stored = ExactlyOnceChecker(judge)
        elections = ElectionChecker(judge)
        votes = VoteChecker(judge)
        acknowledgements = AcknowledgementChecker(judge, stored)
        histories = LinearizabilityChecker(judge)
        progress = ProgressChecker(judge, agreement)
        configurations = ConfigurationChecker(judge)
        logs = LogChecker(judge)
        floors = FloorChecker(judge, agreement)
        recoveries = RecoveryChecker(judge)
        exports = ExportChecker(judge)
    }

    /// Runs the seed to its end.
    public func run() -> SimulationReport {
        do {
            try world.run { [self] _ in
                await found()
                await safetyPhase()
                isHealed = true
                if atlas.isFair { await livenessPhase() } else { await haltPhase() }
            }
        } catch let violation as Violation {
            judge.report(violation.promise, violation.seen)
        } catch { judge.report("the group makes progress", "\(error)") }
        let report = SimulationReport(
            seed: seed, traceHash: world.trace.hash, virtualNanoseconds: world.clock.monotonicNanoseconds,
            faults: faults, isFair: atlas.isFair, setup: "\(workload) \(tuning)",
            acknowledged: acknowledgements.acknowledgedCount,
            denied: acknowledgements.deniedCount, unknown: acknowledgements.openCount, reads: readCount,
            elections: elections.electionCount, configurations: configurations.count,
            recoveries: recoveries.recoveryCount, markers: markers.reached, violation: judge.violation)
        // What still runs refers to this run: it comes to its end first.
        groupOperator?.dismiss()
        world.end()
        for node in nodes { node.forget() }
        nodes = []
        groupOperator = nil
        return report
    }

    func sleep(_ nanoseconds: UInt64) async { await world.clock.sleep(nanoseconds: nanoseconds) }

    var partitionIDs: [PartitionID] { (0..<workload.partitions).map { PartitionID(UInt64($0)) } }

    /// A machine of some node has applied a command.
    func took(_ command: PartitionCommand, _ outcome: ApplyOutcome, on host: String) {
        let bytes = command.payload.withUnsafeBytes { Checksum.xxh3($0, seed: UInt64(command.timestampMicroseconds)) }
        let digest = outcome.answer.withUnsafeBytes { Checksum.xxh3($0, seed: bytes) }
        let isNew = agreement.applied(
            command.partition, command.partitionIndex, raftIndex: command.raftIndex, term: command.term,
            digest: digest, events: outcome.eventCount, on: host)
        guard isNew, outcome.eventCount > 0 else { return }
        guard case .appended(let events)? = try? AppendAnswer(decoding: outcome.answer) else {
            return judge.report(
                "answers come back whole", "\(outcome) at \(command.partition)/\(command.partitionIndex)")
        }
        for event in events {
            let stream = SimulatedEvent.stream(event.id, in: command.partition)
            stored.stored(
                SimulatedEvent.serial(event.id),
                at: ExactlyOnceChecker.Place(stream: stream, sequence: event.sequence, version: event.version))
            if event == events.first, events.count > 1 {
                histories.indivisible(.partition(stream.partition), event.sequence, events.count)
                histories.indivisible(.stream(stream), event.version, events.count)
            }
        }
    }

    /// A directory may fail to open while its disk fails for a while; it is tried again.
    var toleratesFailedOpening: Bool {
        !isHealed
            && !faults.isDisjoint(with: [.failingDisk, .failingPartitions, .fullDisk, .readErrors])
    }

    /// Whether a directory may be refused for good: something was damaged in it, or more than is fair is lost anywhere.
    func mayRefuse(_ node: SimulatedNode, _ error: NodeError) -> Bool {
        switch error {
        case .core, .rollbackRefused: false
        case .removed: true
        case .log, .inconsistent, .configuration: !atlas.isFair || atlas.damaged.contains(node.replica)
        }
    }

    // MARK: Phases

    private func found() async {
        let names = (0..<options.nodes).map { "n\($0 + 1)" }
        let entrance = GroupStart.founding(
            names.map {
                GroupStart.Founder(name: $0, address: SocketAddress(host: $0, port: SimulatedNode.peerPort))
            })
        for name in names {
            nodes.append(
                SimulatedNode(world.host(name, options: tuning.disk), entrance: entrance, .member, in: self))
        }
        if faults.contains(.membership) {
            for number in 0..<options.spares {
                let host = world.host("n\(options.nodes + number + 1)", options: tuning.disk)
                host.kill()
                nodes.append(SimulatedNode(host, entrance: .joining([]), .free, in: self))
            }
        }
        for node in nodes where node.standing == .member { node.open() }
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
        for client in 0..<workload.clients { beginClient(client, until: end) }
        beginWatching(until: end)
        let groupOperator = GroupOperator(self)
        self.groupOperator = groupOperator
        groupOperator.begin(until: end)
        var nemesis = Nemesis(self)
        while world.clock.monotonicNanoseconds < end, judge.violation == nil {
            await nemesis.strike()
        }
    }

    /// Everything is healed and comes up again; then the group has to be whole.
    private func livenessPhase() async {
        world.network.heal()
        for node in nodes { node.heal() }
        let deadline = world.clock.monotonicNanoseconds + options.livenessNanoseconds
        var served: Set<String> = []
        while judge.violation == nil {
            let members = nodes.filter { $0.standing == .member }
            if world.clock.monotonicNanoseconds > deadline {
                return judge.report(
                    "a healed group serves",
                    "after \(options.livenessNanoseconds) ns \(served.sorted()) of \(members.map(\.name)) do: "
                        + nodes.map(\.description).joined(separator: "; "))
            }
            for node in nodes { node.restartIfBroken() }
            if groupOperator?.isBusy == false {
                for node in members where !served.contains(node.directory) {
                    let stream = SimulatedStream(
                        partition: PartitionID(random.next(below: UInt64(workload.partitions))), number: 0)
                    let command = WriteCommand(
                        serials: nextSerial..<nextSerial + 1, stream: stream, expected: .any, payloadBytes: 16)
                    nextSerial += 1
                    if await write(command, through: node, attempts: 1) { served.insert(node.directory) }
                }
                let isServed = members.allSatisfy { served.contains($0.directory) }
                if isServed, operationsUnderWay == 0, groupOperator?.isBusy == false, await hasConverged(members) {
                    break
                }
            }
            await sleep(50_000_000)
        }
        guard judge.violation == nil else { return }
        await compareAll(nodes.filter { $0.standing == .member })
        finishHistories()
    }

    /// More is lost than a group can bear. Whatever still answers shows nothing that is wrong, and whoever cannot tell
    /// says nothing.
    private func haltPhase() async {
        world.network.heal()
        for node in nodes { node.heal() }
        let end = world.clock.monotonicNanoseconds + Self.haltNanoseconds
        while world.clock.monotonicNanoseconds < end, judge.violation == nil {
            for node in nodes { node.restartIfBroken() }
            for node in nodes where node.node != nil {
                await read(
                    SimulatedStream(partition: 0, number: 0), through: node, events: 4, isLinearizable: true)
            }
            await sleep(200_000_000)
        }
        for node in nodes {
            for partition in partitionIDs {
                guard let serials = await node.contents(of: partition) else { continue }
                acknowledgements.comparePrefix(serials, of: partition, on: node.name)
            }
        }
        finishHistories()
        markers.reach(.unfairHalt)
    }

    private static let haltNanoseconds: UInt64 = 6_000_000_000

    private func hasConverged(_ members: [SimulatedNode]) async -> Bool {
        for node in members {
            for partition in partitionIDs {
                guard await node.eventCount(of: partition) == agreement.eventCount(partition) else { return false }
            }
        }
        return true
    }

    /// What every member holds, read back from its disk, its canonical exports, and the entry chains.
    private func compareAll(_ members: [SimulatedNode]) async {
        for partition in partitionIDs {
            let first = members.compactMap { $0.node?.machines.logs.store(of: partition).startIndex }.max() ?? 1
            let last = PartitionLogIndex(UInt64(agreement.entryCount(partition)))
            for node in members {
                let contents = await patiently { await node.contents(of: partition) }
                guard let serials = contents else {
                    return judge.report("what is held can be read", "partition \(partition) of \(node.description)")
                }
                acknowledgements.compare(serials, of: partition, on: node.name)
                guard first <= last else { continue }
                let export = await patiently { await node.export(of: partition, from: max(first, 1), through: last) }
                guard let bytes = export else {
                    return judge.report("what is held can be exported", "partition \(partition) of \(node.description)")
                }
                exports.take(bytes, from: node.name)
            }
        }
        for node in members {
            guard let running = node.node else { continue }
            let commit = running.status.commit
            for index in running.status.log.startIndex.rawValue..<commit.next.rawValue {
                guard let chain = running.entryChain(at: RaftIndex(index)) else { continue }
                logs.committed(RaftIndex(index), chain, term: running.status.term, on: node.name)
            }
        }
    }

    /// Asks until there is an answer: what is damaged is found by reading it, and mended then.
    private func patiently<Value>(_ ask: () async -> Value?) async -> Value? {
        let deadline = world.clock.monotonicNanoseconds + options.livenessNanoseconds
        while world.clock.monotonicNanoseconds < deadline {
            if let value = await ask() { return value }
            for node in nodes { node.restartIfBroken() }
            await sleep(200_000_000)
        }
        return nil
    }

    private func finishHistories() {
        acknowledgements.finish()
        for (serials, calls) in openWrites where stored.isStored(serials) {
            guard let place = stored.places[serials.lowerBound] else { continue }
            for call in calls {
                let isStream = call.subject == .stream(place.stream)
                histories.found(
                    call, before: isStream ? place.version : place.sequence, "write \(serials.lowerBound)")
            }
        }
    }
}
