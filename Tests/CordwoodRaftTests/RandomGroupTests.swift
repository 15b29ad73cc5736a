import CordwoodBase
import CordwoodRaft
import Testing

/// Groups under random faults: messages lost, repeated, late and out of order; disks that lag; crashes; transfers,
/// changes of the configuration, snapshots, reads. What must hold is checked after every step by `GroupChecks`; at the
/// end the faults stop, and the group must come to one state that holds everything that was committed.
@Suite struct RandomGroupTests {
    struct Run {
        var group: Group
        var random: GroupRandom
        var reads: [(ReplicaID, UInt64)] = []
        let all: [ReplicaID]

        init(seed: UInt64) throws {
            var random = GroupRandom(seed: seed)
            var options = Group.options()
            options.preVote = random.chance(60)
            options.checkQuorum = random.chance(60)
            options.tellsQuorumContact = options.checkQuorum && random.chance(50)
            options.stepDownOnRemoval = random.chance(50)
            options.forwardsProposals = random.chance(30)
            options.windowMessages = [1, 2, 4, 256][Int(random.next() % 4)]
            options.maxAppendBytes = [1, 20, 1000][Int(random.next() % 3)]
            options.appliesBeforeDurable = random.chance(30)
            let voters = Int(random.next() % 5) + 1
            let learners = Int(random.next() % 2)
            group = try Group(
                voters, learners: learners, options: options, seed: seed, boundary: LogPosition(index: 10, term: 1))
            group.readsEverything = random.chance(30)
            // Somebody to be added later.
            let stranger = ReplicaID(UInt64(voters + learners + 1))
            try group.addEmpty(stranger)
            all = group.ids
            self.random = random
        }

        mutating func anyone() -> ReplicaID { all[Int(random.next() % UInt64(all.count))] }

        mutating func leader() -> ReplicaID {
            group.leader ?? anyone()
        }

        mutating func disturb() throws {
            let id = anyone()
            switch random.next() % 100 {
            case 0..<35: deliverSome()
            case 35..<55: group.tick(id)
            case 55..<70:
                let at = random.chance(80) ? leader() : id
                if !group[at].isDown { group.propose(at) }
            case 70..<72: if !group[id].isDown { group.campaign(id) }
            case 72..<74: group.step(leader(), .transferLeadership(to: id))
            case 74..<78:
                group.nodes[id]!.isDiskHeld.toggle()
                if !group[id].isDiskHeld, !group[id].isDown { group.finishWrites(id) }
            case 78..<81: if group[id].isDiskHeld, !group[id].isDown { group.finishWrites(id, 1) }
            case 81..<83: group[id].isDown ? try group.restart(id) : group.crash(id)
            case 83..<86: change()
            case 86..<89:
                let at = random.chance(60) ? leader() : id
                if !group[at].isDown { reads.append((at, group.read(at))) }
            case 89..<91: compact(id)
            case 91..<93: group.isolate(id)
            case 93..<95: group.heal()
            case 95..<96: group.step(id, .forgetLeader)
            case 96..<97: group.step(leader(), .unreachable(id))
            case 97..<98: group.step(leader(), .snapshotSent(peer: id, succeeded: random.chance(50)))
            default:
                if group[id].isApplyHeld { group.finishApplying(id) } else { group.nodes[id]!.isApplyHeld = true }
            }
        }

        mutating func deliverSome() {
            for _ in 0..<(1 + random.next() % 8) where !group.network.isEmpty {
                let late = random.chance(20)
                let place = late ? Int(random.next() % UInt64(group.network.count)) : 0
                let packet = group.network.remove(at: place)
                if random.chance(10) { continue }
                group.receive(packet)
                if random.chance(5) { group.network.append(packet) }
            }
        }

        mutating func change() {
            let at = leader()
            if group[at].isDown { return }
            // The node's part of the gate: something of its own term is committed.
            let core = group[at].core
            if core.isLeader, core.term(at: core.commitIndex) != core.term { return }
            if core.configuration.isJoint, !core.configuration.leavesAutomatically {
                group.propose(at, .leaveJoint)
                return
            }
            var steps: [ConfigurationChange.Step] = []
            for _ in 0...(random.next() % 3) {
                let id = anyone()
                switch random.next() % 3 {
                case 0: steps.append(.addVoter(id))
                case 1: steps.append(.addLearner(id))
                default: steps.append(.remove(id))
                }
            }
            let transition: ConfigurationChange.Transition = [.auto, .implicit, .explicit][Int(random.next() % 3)]
            group.propose(at, ConfigurationChange(steps, transition: transition))
        }

        mutating func compact(_ id: ReplicaID) {
            let node = group[id]
            let index = node.core.appliedIndex
            // A replica whose snapshot is not on disk yet has nothing to drop.
            if node.isDown || index > node.disk.last || index <= node.log.snapshot.position.index { return }
            if node.disk.snapshot != node.log.snapshot || node.history[index] == nil { return }
            group.compact(id, through: index)
        }

        /// No more faults: everyone runs, all links work, disks and hand-outs go on.
        mutating func recover() throws {
            group.heal()
            for id in all {
                if group[id].isDown { try group.restart(id) }
                group.nodes[id]!.isDiskHeld = false
                group.finishWrites(id)
                group.finishApplying(id)
            }
            for round in 0..<600 {
                group.settle()
                for id in all { group.tick(id) }
                if round >= 30 {
                    // Whoever was removed is taken down by then: it may not know, and go on campaigning.
                    let latest = group.latestConfiguration
                    for id in all where group.leader != id {
                        if !latest.contains(id) {
                            group.crash(id)
                        } else if group[id].isDown {
                            try group.restart(id)
                        }
                    }
                }
                if round % 20 == 0, let leader = group.leader {
                    // A snapshot that was lost: the node's transport reports it.
                    for member in group[leader].core.status.members where member.progress.state == .snapshot {
                        group.step(leader, .snapshotSent(peer: member.replica, succeeded: false))
                    }
                    if round >= 60 {
                        if round >= 100, isDone { break }
                        group.propose(leader)
                    }
                }
            }
            group.settle()
        }

        /// Leaders have come and gone, and the one that is there has something of its own committed.
        private var isDone: Bool {
            guard let leader = group.leader else { return false }
            let core = group[leader].core
            return core.term(at: core.commitIndex) == core.term && core.commitIndex == core.lastPosition.index
        }
    }

    @Test(arguments: [0 as UInt64, 1, 2, 3, 4, 5, 6, 7])
    func nothingCommittedIsLostAndTheGroupComesToRest(block: UInt64) throws {
        for seed in block * 25..<block * 25 + 25 {
            var run = try Run(seed: seed)
            for _ in 0..<600 {
                try run.disturb()
                if !run.group.checks.failures.isEmpty { break }
            }
            try #require(run.group.checks.failures.isEmpty, "seed \(seed)")
            try run.recover()
            try #require(run.group.checks.failures.isEmpty, "seed \(seed)")
            judge(run, seed: seed)
        }
    }

    private func judge(_ run: Run, seed: UInt64) {
        let group = run.group
        guard let leader = group.leader else {
            // The one limit: configurations count when applied, so voters that were told of a change by nobody before
            // its last witness was removed cannot elect.
            let latest = group.latestConfiguration
            let aware = latest.quorum.outcome { group[$0].core.configuration == latest }
            #expect(aware != .won, "seed \(seed): nobody leads\n\(group)")
            return
        }
        let core = group[leader].core
        #expect(core.commitIndex == core.lastPosition.index, "seed \(seed): commit stays behind")
        #expect(core.commitIndex >= group.checks.commit, "seed \(seed): committed entries are gone")
        #expect(!core.configuration.isJoint || !core.configuration.leavesAutomatically, "seed \(seed): still joint")
        for id in run.all where core.configuration.contains(id) {
            #expect(group[id].core.commitIndex == core.commitIndex, "seed \(seed): \(id) is behind")
            #expect(group[id].commands == group[leader].commands, "seed \(seed): \(id) applied something else")
        }
        for (id, context) in run.reads {
            if let index = group[id].readsReady[context], let floor = group.checks.readFloors[context] {
                #expect(index >= floor, "seed \(seed): read \(context) at \(index), behind commit \(floor)")
            }
        }
        // What was said to be aborted is nowhere.
        for id in run.all {
            for (range, term) in group[id].aborted {
                for index in range { #expect(group.checks.committed[index]?.term != term, "seed \(seed): \(index)") }
            }
        }
    }
}
