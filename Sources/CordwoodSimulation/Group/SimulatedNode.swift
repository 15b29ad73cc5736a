import CordwoodBase
import CordwoodEvents
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodNode
import CordwoodRaft
import CordwoodVirtual

/// One machine of the group and the node that runs on it, life after life, disk after disk.
///
/// A life lasts from a start to a power cut or a SIGKILL; then the directory's remains are noted, to be compared with
/// what the next life finds. A disk lasts until it is wiped: the machine joins the group anew with the next one. What
/// is asked of a node from outside ends with the life that was asked.
final class SimulatedNode {
    let host: VirtualHost
    let simulation: Simulation
    /// How its present disk comes into the group, which disk that is, and how many it has had.
    private(set) var entrance: GroupStart
    private(set) var diskNumber = 1
    private var diskCount = 1
    private var becomesVoter = true
    /// The node of the present life, once it is open.
    private(set) var node: Node?
    /// The configuration that the last life on this disk has left for the next one; nil when it ended before the one in
    /// force was recorded.
    private(set) var configurationLeft: GroupConfiguration? = GroupConfiguration()
    private(set) var isOpening = false
    /// The operator has not brought it back yet: it stays down whoever starts it.
    var isWithheld = false
    /// Why the directory could not be opened; only another disk helps.
    private(set) var refusal: NodeError?
    /// Where the machine stands in the operator's book.
    var standing: Standing
    /// Nodes of lives that are over: what is left of their tasks refers to them until the world ends.
    private var former: [Node] = []

    /// Told when the present life ends: those who wait for an answer from it.
    private var waiting: [UInt64: () -> Void] = [:]
    private var lastWaiting: UInt64 = 0

    enum Standing: Hashable {
        /// A member, or on its way to be one.
        case member
        /// Removed from the group; its node may still run.
        case removed
        /// A machine with an empty disk.
        case free
    }

    static let peerPort: UInt16 = 7000

    init(_ host: VirtualHost, entrance: GroupStart, _ standing: Standing, in simulation: Simulation) {
        self.host = host
        self.entrance = entrance
        self.standing = standing
        self.simulation = simulation
    }

    var name: String { host.name }
    /// Names the disk that the machine has now.
    var directory: String { "\(host.name), disk \(diskNumber)" }
    var life: String { "\(directory), life \(host.starts)" }
    /// The id by which the node of the present life goes, or that of the last one on this disk.
    private(set) var replica = ReplicaID.none

    var address: SocketAddress { SocketAddress(host: host.name, port: Self.peerPort) }

    var description: String {
        guard let node else {
            let state = isOpening ? "opening" : host.isUp ? "closed" : "down"
            return "\(directory) \(standing) \(state)" + (refusal.map { " refused: \($0)" } ?? "")
        }
        let status = node.status
        let damages = node.damagedPartitions.map { " partition \($0.partition) \($0.state): \($0.reason)" }.joined()
        return "\(directory) \(standing)\(damages) replica \(status.replica) \(status.role) term \(status.term) "
            + "leader \(status.leader?.description ?? "none") "
            + "commit \(status.commit) dispatched \(status.dispatched) next \(status.log.nextIndex)"
            + " voters \(status.membership.configuration.voters) learners \(status.membership.configuration.learners)"
            + (status.storeFailure.map { " store failed: \($0)" } ?? "")
            + node.machines.frozenPartitions.map {
                " partition \($0) stands still: \(node.machines.frozenReason(of: $0) ?? "")"
            }.joined()
            + node.raftStatus.members.map {
                " [\($0.replica): \($0.progress.state) match \($0.progress.match) next \($0.progress.next) "
                    + "awaits \($0.progress.awaited)\($0.progress.isHeld ? " held" : "")]"
            }.joined()
    }

    private var configuration: NodeConfiguration {
        var configuration = NodeConfiguration(directory: "data", name: host.name)
        configuration.partitionCount = simulation.workload.partitions
        configuration.group = entrance
        configuration.becomesVoter = becomesVoter
        configuration.peerAddress = address
        configuration.retentionBytes = simulation.faults.contains(.shortRetention) ? 64 << 10 : 10 << 20
        simulation.tuning.apply(to: &configuration)
        return configuration
    }

    // MARK: Lives

    /// Opens the node on the present life of its machine.
    func open() {
        isOpening = true
        refusal = nil
        if case .joining = entrance { entrance = .joining(contacts) }
        let life = host.starts
        let name = self.life
        host.spawn("open") { [self] seams in
            do throws(NodeError) {
                let opened = try await Node.open(
                    configuration, machine: machine, log: SimulatedLog(life: name, in: simulation), seams: seams)
                former.append(opened)
                host.atEnd { try? await opened.close() }
                isOpening = false
                begin(opened)
            } catch {
                isOpening = false
                guard host.starts == life, host.isUp else { return }
                failed(error)
            }
        }
    }

    private func begin(_ opened: Node) {
        let directory = directory
        let name = life
        replica = opened.replica
        opened.onRoleChange = { [unowned self, unowned opened] role in
            if role == .leader { leads(opened) }
        }
        opened.onSend = { [unowned self, unowned opened] message in
            simulation.votes.sent(message, from: directory, durable: opened.durableIndex)
        }
        opened.onMembershipChange = { [unowned self] in simulation.configurations.follows($0, $1, on: name) }
        if opened.isLeader { leads(opened) }
        if opened.recovery.discardedBatches > 0 { simulation.markers.reach(.tornTail) }
        if opened.recovery.hardenedBytes > 0 { simulation.markers.reach(.hardenedTail) }
        let status = opened.status
        simulation.recoveries.opened(
            directory, name, term: status.term, vote: status.vote, commit: status.commit,
            boundary: status.log.boundary.index, last: status.log.nextIndex.previous
        ) { opened.entryChain(at: $0) }
        node = opened
    }

    private func leads(_ node: Node) {
        let status = node.status
        simulation.elections.leads(node.replica, status.term)
        simulation.logs.leads(life, status.term, last: status.log.nextIndex.previous)
        if status.log.nextIndex > 3 { simulation.markers.reach(.laterElection) }
    }

    /// The directory could not be opened.
    private func failed(_ error: NodeError) {
        if simulation.mayRefuse(self, error) {
            simulation.markers.reach(.refusedDirectory)
            refusal = error
            return
        }
        if simulation.toleratesFailedOpening { return }
        simulation.judge.report("a directory opens again", "\(life): \(error)")
    }

    private var machine: PartitionStateMachineFactory {
        { [self] context in
            .synchronous(
                SimulatedMachine(context) { [self] command, outcome in
                    simulation.took(command, outcome, on: host.name)
                })
        }
    }

    /// Somebody waits for an answer of this life.
    func expect(_ onEnd: @escaping () -> Void) -> UInt64 {
        lastWaiting += 1
        waiting[lastWaiting] = onEnd
        return lastWaiting
    }

    func expectNoLonger(_ number: UInt64) { waiting[number] = nil }

    /// The power fails: what was not synced is lost, torn or kept, as the seed will have it.
    func crash() {
        takeNote()
        host.crash()
        endLife()
    }

    /// The process ends as by SIGKILL.
    func kill() {
        takeNote()
        host.kill()
        endLife()
    }

    private func endLife() {
        isOpening = false
        let waiting = waiting.sorted { $0.key < $1.key }
        self.waiting = [:]
        for (_, end) in waiting { end() }
    }

    /// Takes note of what the directory holds durably.
    private func takeNote() {
        guard let node, host.isUp else {
            node = nil
            return
        }
        configurationLeft = node.isConfigurationRecorded ? node.membership.configuration : nil
        let durable = node.durableIndex
        simulation.logs.holds(node.replica, through: durable)
        // Of a store that takes no more writes nobody knows what it lost of its end.
        let isWhole = node.storeFailure == nil
        simulation.recoveries.ended(
            directory,
            RecoveryChecker.Remains(
                term: node.durableVote.term, vote: node.durableVote.candidate, durable: isWhole ? durable : 0,
                chain: isWhole ? node.entryChain(at: durable) : nil))
        self.node = nil
    }

    /// The world is over: nodes refer to this machine, which need not refer to them any longer.
    func forget() {
        node = nil
        former = []
        waiting = [:]
    }

    func start() {
        guard !host.isUp, !isWithheld else { return }
        host.start()
        open()
    }

    /// The machine gets an empty disk, with which it will join the group; it is down now.
    func wipe(becomesVoter: Bool = true) {
        kill()
        host.disk.clearFaults()
        host.replaceDisk()
        configurationLeft = GroupConfiguration()
        diskCount += 1
        diskNumber = diskCount
        replica = .none
        self.becomesVoter = becomesVoter
        refusal = nil
        entrance = .joining(contacts)
    }

    /// Whom a node that joins asks.
    private var contacts: [SocketAddress] {
        simulation.nodes.filter { $0 !== self && $0.standing == .member }.map(\.address)
    }

    /// The machine gets a disk back that it had before; it is down now.
    func restoreDisk(_ image: DiskImage, number: Int) {
        kill()
        host.disk.clearFaults()
        host.replaceDisk(with: image)
        diskNumber = number
        refusal = nil
    }

    /// Whatever was wrong with the machine is over. A node whose store has failed is started again, as an operator
    /// would.
    func heal() {
        host.disk.clearFaults()
        host.disk.options.capacityBytes = FaultyDisk.Options().capacityBytes
        host.clock.driftMillionths = 0
        if host.isPaused { host.resume() }
        guard standing != .free else { return }
        if host.isUp, node == nil, refusal == nil, !isOpening || simulation.toleratesFailedOpening { kill() }
        restartIfBroken()
        start()
    }

    /// Starts a node again whose store has failed or one of whose partitions stands still, as an operator would.
    func restartIfBroken() {
        guard host.isUp, !host.isPaused, !isOpening, refusal == nil, !isSound else { return }
        simulation.markers.reach(.failedStore)
        kill()
        start()
    }

    var isOpen: Bool { node != nil }

    /// Whether only another disk helps: the directory is refused, or something was damaged that the node does not mend.
    var isLost: Bool {
        if refusal != nil { return true }
        return simulation.atlas.damaged.contains(replica) && isOpen && !isSound
    }

    private var isSound: Bool {
        guard let node else { return false }
        guard node.storeFailure == nil else { return false }
        let mending = Set(node.damagedPartitions.map(\.partition))
        return node.machines.frozenPartitions.allSatisfy(mending.contains)
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
        switch event.message {
        case "snapshot installed": simulation.markers.reach(.installedSnapshot)
        case "partition log repaired": simulation.markers.reach(.mendedPartition)
        case "the log is whole again": simulation.markers.reach(.mendedLog)
        case "a peer's entries could not be read": simulation.markers.reach(.unreadableLog)
        default: break
        }
        simulation.options.listener?(simulation.world.clock.monotonicNanoseconds, life, event)
    }
}
