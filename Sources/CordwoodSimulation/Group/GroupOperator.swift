import CordwoodBase
import CordwoodIO
import CordwoodNode
import CordwoodRaft
import CordwoodVirtual

/// Those who run the group: they add, promote, demote, replace and remove nodes while everything else goes wrong, and
/// see to machines whose disk is lost or damaged: the old id is removed, the machine joins with an empty disk.
///
/// One errand is done at a time, by the nodes' public operations, through any node that is up. An errand whose outcome
/// is not known counts as under way: no fair fault takes a disk meanwhile, since nobody can tell who counts.
final class GroupOperator {
    let simulation: Simulation
    let random: VirtualRandom
    /// An errand is under way.
    private(set) var isAtWork = false
    /// The last change is known to be in force, or never to be.
    private(set) var isSettled = true
    private var hasEnded = false
    /// Disks that were taken out of machines whose replica was removed: they must never count again.
    private var retired: [(node: SimulatedNode, image: DiskImage, disk: Int)] = []

    init(_ simulation: Simulation) {
        self.simulation = simulation
        random = VirtualRandom(seed: simulation.seed, concern: "operator")
    }

    private var nodes: [SimulatedNode] { simulation.nodes }

    /// Whether there is something left to do before the group can be whole.
    var isBusy: Bool { isAtWork || nodes.contains { needsReplacement($0) } }

    /// Nobody waits for the operator any more.
    func dismiss() { hasEnded = true }

    private var goesOn: Bool { simulation.judge.violation == nil && !hasEnded }

    func begin(until end: UInt64) {
        simulation.world.scheduler.spawn("operator") { [self] in
            while goesOn {
                let isOver = simulation.world.clock.monotonicNanoseconds >= end
                await simulation.sleep(isOver ? 20_000_000 : random.next(in: 50_000_000...1_200_000_000))
                isAtWork = true
                await work(isOver: isOver || simulation.isHealed)
                isAtWork = false
                if !simulation.atlas.isFair, simulation.isHealed { return }
            }
        }
    }

    private func work(isOver: Bool) async {
        if simulation.atlas.isFair, let lost = nodes.first(where: needsReplacement) { return await replace(lost) }
        if isOver { return await retireStrangers() }
        var errands: [() async -> Void] = []
        if simulation.faults.contains(.membership) { errands += [changeGroup, changeGroup, changeGroup] }
        if simulation.faults.contains(.wipedDisk) { errands.append(loseDisk) }
        guard !errands.isEmpty else { return }
        await errands[Int(random.next(below: UInt64(errands.count)))]()
    }

    private func needsReplacement(_ node: SimulatedNode) -> Bool { node.standing == .member && node.isLost }

    // MARK: What is known

    /// The leader of the highest term that knows its own beginning to be committed, if there is one.
    private var leader: Node? {
        let leaders = nodes.compactMap { $0.host.isUp && !$0.host.isPaused ? $0.node : nil }.filter(\.isLeader)
        return leaders.max { $0.status.term < $1.status.term }
    }

    private var membership: Membership? { leader?.membership }

    /// Voters of every configuration that may be in force anywhere.
    var configurations: [[ReplicaID]] {
        guard isSettled, !isAtWork || isLosingDisk, let membership else { return [] }
        var views = [membership.configuration]
        for node in nodes {
            if let running = node.node {
                views.append(running.membership.configuration)
            } else if node.standing == .member {
                // It comes back with what it has recorded, and may stand by it.
                guard let left = node.configurationLeft else { return [] }
                views.append(left)
            }
        }
        return views.flatMap { $0.isJoint ? [$0.voters, $0.outgoing] : [$0.voters] }.filter { !$0.isEmpty }
    }

    private var isLosingDisk = false

    private func machine(_ name: String) -> SimulatedNode? { nodes.first { $0.name == name } }

    private func any<Element>(_ elements: [Element]) -> Element? {
        elements.isEmpty ? nil : elements[Int(random.next(below: UInt64(elements.count)))]
    }

    // MARK: Operations

    enum Outcome {
        case done
        case refused
        case unknown
    }

    /// Asks some member to do something to the group.
    private func operate(_ operation: MemberOperation) async -> Outcome {
        guard let node = any(nodes.filter { $0.standing == .member && $0.node != nil }) else { return .refused }
        let answer = await node.ask("operate", withinNanoseconds: 12_000_000_000) { node -> Outcome in
            do throws(MemberOperationError) {
                _ = try await node.operate(operation)
                return .done
            } catch {
                if case .unknown = error { return .unknown }
                return .refused
            }
        }
        let outcome = answer ?? .unknown
        if outcome == .unknown {
            simulation.markers.reach(.unknownChange)
            isSettled = false
        }
        return outcome
    }

    /// Waits until it is known which changes are in force: a leader has committed an entry of its own term, so whatever
    /// its log does not hold is gone for ever, and it has no change of its own under way.
    private func settle() async {
        while goesOn, !isSettled {
            if simulation.isHealed, !simulation.atlas.isFair { return }
            let asked = leader
            let isQuiet = await machine(asked?.configuration.name ?? "")?.ask(
                "settle", withinNanoseconds: 3_000_000_000
            ) { node -> Bool in
                guard node.isLeader, (try? await node.readIndex()) != nil else { return false }
                let status = node.raftStatus
                return node.isLeader && !status.hasUnappliedConfiguration && status.commit == status.last.index
                    && status.applied == status.commit && !status.configuration.isJoint
            }
            if isQuiet == true, leader === asked { isSettled = true } else { await simulation.sleep(50_000_000) }
        }
    }

    // MARK: Changes of the group

    private func changeGroup() async {
        await settle()
        guard let membership else { return }
        let configuration = membership.configuration
        let voters = membership.members.filter { configuration.voters.contains($0.replica) }
        let learners = membership.members.filter { configuration.learners.contains($0.replica) }
        func stays(without member: Membership.Member) -> Bool {
            voters.count > 2
                && simulation.atlas.allows(configuration.voters.filter { $0 != member.replica })
        }
        switch random.next(below: 8) {
        case 0, 1: if let free = any(nodes.filter { $0.standing == .free }) { await add(free) }
        case 2:
            guard let learner = any(learners) else { return }
            if machine(learner.name)?.node?.isCatchingUp == true { simulation.markers.reach(.promotionDuringSnapshot) }
            if await operate(.promote(name: learner.name)) == .done { simulation.markers.reach(.promotedMember) }
        case 3:
            guard let voter = any(voters), stays(without: voter) else { return }
            noteLeader(voter)
            if await operate(.demote(name: voter.name)) == .done { simulation.markers.reach(.demotedMember) }
        case 4, 5:
            guard let voter = any(voters), let learner = any(learners) else { return }
            guard
                simulation.atlas.allows(
                    configuration.voters.filter { $0 != voter.replica } + [learner.replica])
            else { return }
            if random.chance(1, in: 2) { endSomebodyWhileJoint() }
            noteLeader(voter)
            if await operate(.replace(old: voter.name, new: learner.name)) == .done {
                simulation.markers.reach(.replacedMember)
            }
            await retireStrangers()
        case 6:
            guard let member = any(membership.members), voters.contains(member) ? stays(without: member) : true else {
                return
            }
            noteLeader(member)
            if await operate(.remove(name: member.name)) == .done { simulation.markers.reach(.removedMember) }
            await retireStrangers()
        default: if let removed = any(nodes.filter { $0.standing == .removed }) { await reuse(removed) }
        }
    }

    private func noteLeader(_ member: Membership.Member) {
        if leader?.replica == member.replica { simulation.markers.reach(.leaderLeft) }
    }

    /// A machine with an empty disk joins, announced or not, as somebody who becomes a voter or as a learner.
    private func add(_ node: SimulatedNode) async {
        node.standing = .member
        node.wipe(becomesVoter: random.chance(2, in: 3))
        if random.chance(1, in: 4) {
            _ = await operate(.add(name: node.name, address: "\(node.address)", node: .none))
        }
        node.start()
        simulation.markers.reach(.addedMember)
    }

    /// Whoever is no member any more, as far as is known for certain, is so in the book, too.
    private func retireStrangers() async {
        guard simulation.faults.contains(.membership) else { return }
        await settle()
        guard isSettled, let membership else { return }
        for node in nodes where node.standing == .member && node.isOpen {
            if membership.isRetired(node.replica) {
                node.standing = .removed
                simulation.atlas.mend(node.replica)
            }
        }
    }

    /// A removed node is started again with what it has, or its machine is made free.
    private func reuse(_ node: SimulatedNode) async {
        if random.chance(1, in: 3) {
            node.kill()
            node.start()
            simulation.markers.reach(.returnedMember)
        } else {
            keep(node)
            node.wipe()
            node.standing = .free
        }
    }

    /// Its disk is kept when it is taken out: somebody may put it back.
    private func keep(_ node: SimulatedNode) {
        node.kill()
        retired.append((node, node.host.disk.image, node.diskNumber))
    }

    /// Somebody puts the old disk back, whose id has been removed: it must not count any more.
    private func startAsBefore(_ former: (node: SimulatedNode, image: DiskImage, disk: Int)) async {
        let node = former.node
        node.standing = .removed
        node.restoreDisk(former.image, number: former.disk)
        simulation.markers.reach(.restoredDisk)
        node.start()
        await simulation.sleep(random.next(in: 100_000_000...1_000_000_000))
        node.standing = .member
        node.wipe(becomesVoter: true)
    }

    /// Ends the process or the power of some machine at the moment at which a joint configuration is seen, or a little
    /// later.
    private func endSomebodyWhileJoint() {
        let delay = random.next(below: 3_000_000)
        let isCrash = random.chance(1, in: 2)
        let simulation = simulation
        simulation.operationsUnderWay += 1
        simulation.world.scheduler.spawn("end while joint") { [self] in
            defer { simulation.operationsUnderWay -= 1 }
            for _ in 0..<2000 where !simulation.isHealed {
                await simulation.sleep(500_000)
                let joint = nodes.filter { $0.host.isUp && $0.node?.membership.configuration.isJoint == true }
                guard !joint.isEmpty else { continue }
                await simulation.sleep(delay)
                guard !simulation.isHealed, let victim = any(joint + [joint[0]]) else { return }
                simulation.markers.reach(.endWhileJoint)
                if isCrash { victim.crash() } else { victim.kill() }
                let disk = victim.diskNumber
                await simulation.sleep(200_000_000)
                if victim.standing != .free, victim.diskNumber == disk { victim.start() }
                return
            }
        }
    }

    // MARK: Lost disks

    /// A voter's disk is gone, if that is fair.
    private func loseDisk() async {
        await settle()
        isLosingDisk = true
        defer { isLosingDisk = false }
        guard let membership, let member = any(membership.members), let node = machine(member.name),
            node.replica == member.replica, simulation.atlas.mayDamage(member.replica, in: configurations)
        else { return }
        simulation.markers.reach(.wipedDisk)
        simulation.atlas.damage(member.replica)
        if !simulation.atlas.isFair {
            // Nobody comes to help: the machine starts with nothing, under the old name.
            node.wipe()
            return node.start()
        }
        keep(node)
        await replace(node)
    }

    /// A machine whose disk is lost or damaged: its id is removed from the group, and it joins with an empty disk.
    private func replace(_ node: SimulatedNode) async {
        let old = node.replica
        node.wipe(becomesVoter: true)
        node.isWithheld = true
        defer { node.isWithheld = false }
        while goesOn {
            await settle()
            if !simulation.atlas.isFair { return }
            if let membership, membership.member(named: node.name) == nil { break }
            if leader != nil { _ = await operate(.remove(name: node.name)) }
            await simulation.sleep(100_000_000)
        }
        simulation.atlas.mend(old)
        node.isWithheld = false
        if random.chance(1, in: 3), let former = retired.last, former.node === node { await startAsBefore(former) }
        node.start()
        simulation.markers.reach(.mendedMember)
    }
}
