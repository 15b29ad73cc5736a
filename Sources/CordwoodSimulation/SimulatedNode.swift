import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodNode
import CordwoodRaft
import CordwoodVirtual

/// One machine of the group and the node that runs on it, life after life.
final class SimulatedNode {
    let host: VirtualHost
    private let founders: [String]
    private let simulation: Simulation
    /// The node of the present life, once it is open.
    private(set) var node: Node?
    private var isOpening = false
    /// Nodes of lives that are over: what is left of their tasks refers to them until the world ends.
    private var former: [Node] = []

    static let peerPort: UInt16 = 7000

    init(_ host: VirtualHost, founders: [String], in simulation: Simulation) {
        self.host = host
        self.founders = founders
        self.simulation = simulation
    }

    var life: String { "\(host.name), life \(host.starts)" }

    var description: String {
        guard let node else { return "\(host.name) \(isOpening ? "opening" : host.isUp ? "closed" : "down")" }
        let status = node.status
        return "\(host.name) \(status.role) term \(status.term) leader \(status.leader?.description ?? "none") "
            + "commit \(status.commit) dispatched \(status.dispatched) next \(status.log.nextIndex)"
            + (status.storeFailure.map { " store failed: \($0)" } ?? "")
            + node.raftStatus.members.map {
                " [\($0.replica): \($0.progress.state) match \($0.progress.match) next \($0.progress.next) "
                    + "awaits \($0.progress.awaited)\($0.progress.isHeld ? " held" : "")]"
            }.joined()
    }

    private var configuration: NodeConfiguration {
        var configuration = NodeConfiguration(directory: "data", name: host.name)
        configuration.partitionCount = simulation.options.partitions
        configuration.group = .founding(
            founders.map {
                GroupStart.Founder(name: $0, address: SocketAddress(host: $0, port: Self.peerPort))
            })
        configuration.peerAddress = host.address(port: Self.peerPort)
        configuration.log.segmentBytes = 64 << 10
        configuration.log.batchBytes = 16 << 10
        configuration.log.cacheBytes = 16 << 10
        configuration.maxEntryBytes = 8 << 10
        configuration.partitionSegmentBytes = 64 << 10
        configuration.partitionSyncAgeNanoseconds = 200_000_000
        configuration.retentionBytes = simulation.faults.contains(.shortRetention) ? 64 << 10 : 10 << 20
        configuration.proposalTicks = 30
        return configuration
    }

    // MARK: Lives

    /// Opens the node on the present life of its machine.
    func open() {
        isOpening = true
        let life = host.starts
        host.spawn("open") { [self] seams in
            do {
                let opened = try await Node.open(
                    configuration, machine: machine(life), log: SimulatedLog(life: self.life, in: simulation),
                    seams: seams)
                former.append(opened)
                opened.onRoleChange = { [unowned self, unowned opened] role in
                    if role == .leader {
                        simulation.elections.leads(opened.replica, opened.status.term)
                        if opened.status.log.nextIndex > 3 { simulation.markers.reach(.laterElection) }
                    }
                }
                if opened.isLeader { simulation.elections.leads(opened.replica, opened.status.term) }
                if opened.recovery.discardedBatches > 0 { simulation.markers.reach(.tornTail) }
                if opened.recovery.hardenedBytes > 0 { simulation.markers.reach(.hardenedTail) }
                node = opened
                isOpening = false
                host.atEnd { try? await opened.close() }
            } catch {
                isOpening = false
                guard host.starts == life, host.isUp else { return }
                if simulation.toleratesFailedOpening { return }
                simulation.judge.report("a directory opens again", "\(self.life): \(error)")
            }
        }
    }

    private func machine(_ life: Int) -> PartitionStateMachineFactory {
        { [self] context in
            let partition = context.partition
            return .synchronous(
                LedgerMachine(partition) { [self] command, serial in
                    simulation.agreement.applied(
                        partition, command.partitionIndex,
                        .init(raftIndex: command.raftIndex, term: command.term, serial: serial), on: host.name)
                })
        }
    }

    /// The power fails: what was not synced is lost, torn or kept, as the seed will have it.
    func crash() {
        node = nil
        host.crash()
    }

    /// The process ends as by SIGKILL.
    func kill() {
        node = nil
        host.kill()
    }

    func start() {
        guard !host.isUp else { return }
        host.start()
        open()
    }

    /// Whatever was wrong with the machine is over. A node whose store has failed is started again, as an operator
    /// would.
    func heal() {
        host.disk.clearFaults()
        host.clock.driftMillionths = 0
        if host.isPaused { host.resume() }
        if host.isUp, node == nil, !isOpening || simulation.toleratesFailedOpening { kill() }
        restartIfBroken()
        start()
    }

    /// Starts a node again whose store has failed or one of whose partitions stands still, as an operator would.
    func restartIfBroken() {
        guard host.isUp, !host.isPaused, !isOpening, !isSound else { return }
        simulation.markers.reach(.failedStore)
        kill()
        start()
    }

    private var isSound: Bool {
        guard let node else { return false }
        return node.status.storeFailure == nil
            && !(0..<node.partitionCount).contains { node.isFrozen(PartitionID(UInt64($0))) }
    }

    // MARK: Asking

    /// Runs `body` on the machine and returns what it returned; `nil` when the machine's life ended before, or time ran
    /// out.
    func ask<Value>(
        _ what: String, withinNanoseconds limit: UInt64, _ body: @escaping (Node) async -> Value
    ) async -> Value? {
        guard let node, host.isUp else { return nil }
        let life = host.starts
        let deadline = simulation.world.clock.monotonicNanoseconds + limit
        let answer = Answer<Value>()
        host.spawn(what) { _ in
            answer.value = await body(node)
        }
        while answer.value == nil {
            guard host.starts == life, host.isUp, simulation.world.clock.monotonicNanoseconds < deadline else {
                return nil
            }
            await simulation.sleep(Self.pollNanoseconds)
        }
        return answer.value
    }

    private static let pollNanoseconds: UInt64 = 2_000_000

    private final class Answer<Value> {
        var value: Value?
    }

    /// What the machine of a partition holds.
    func serials(of partition: PartitionID) async -> [UInt64]? {
        await ask("look", withinNanoseconds: 5_000_000_000) { node in
            (await node.machine(of: partition) as? LedgerMachine)?.serials ?? []
        }
    }
}

/// What a node says of itself, for whoever wants to read along.
private final class SimulatedLog: LogSink {
    private let life: String
    private let simulation: Simulation
    let level: LogLevel

    init(life: String, in simulation: Simulation) {
        self.life = life
        self.simulation = simulation
        level = simulation.options.listener == nil ? .info : .trace
    }

    func write(_ event: LogEvent) {
        if event.message == "snapshot installed" { simulation.markers.reach(.installedSnapshot) }
        simulation.options.listener?(simulation.world.clock.monotonicNanoseconds, life, event)
    }
}
