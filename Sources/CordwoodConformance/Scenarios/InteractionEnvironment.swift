internal import CordwoodBase
internal import CordwoodRaft

/// The world of the interaction scripts: nodes, one queue of messages in order, and the commands over them.
///
/// Messages are never reordered: a delivery takes all that are addressed to one node, in their order. What a node does
/// between two commands gathers in it (`InteractionNode`) until a command takes it as one Ready.
struct InteractionEnvironment {
    /// What a case did, as far as scripts can judge it.
    struct Outcome {
        /// What the command prints, for commands whose print is compared as it is.
        var text: String?
        /// The error that the command returned.
        var error: String?
        /// What was handed out, by node.
        var handed: [ReplicaID: Handed] = [:]
        /// Proposals that were refused, passed-on ones included.
        var droppedProposals = 0
        /// Campaigns of nodes that cannot be elected.
        var unpromotable = 0
        /// A node refused to forget its leader.
        var refusedToForget = false
    }

    /// What one node's Readys of one case carried.
    struct Handed: Hashable {
        var hardState: String?
        var committed: [String] = []
        var snapshots: [String] = []
    }

    private(set) var nodes: [InteractionNode] = []
    private var packets: [InteractionPacket] = []
    private var outcome = Outcome()
    private let readsEverything: Bool
    /// Whether output is shown: not at log level none.
    private(set) var isVisible = true

    init(readsEverything: Bool) { self.readsEverything = readsEverything }

    /// Runs a case.
    mutating func run(_ scenario: ScenarioScript.Case) throws(ScenarioError) -> Outcome {
        outcome = Outcome()
        let unpromotable = nodes.reduce(0) { $0 + $1.unpromotable }
        switch scenario.command {
        case "add-nodes": try addNodes(scenario)
        case "campaign": nodes[try node(scenario)].campaign()
        case "propose": try propose(scenario)
        case "propose-conf-change": try proposeChange(scenario)
        case "process-ready": for place in try places(scenario) { processReady(place) }
        case "process-append-thread": for place in try places(scenario) { processAppend(place) }
        case "process-apply-thread": for place in try places(scenario) { processApply(place) }
        case "deliver-msgs": try deliver(scenario)
        case "stabilize": try stabilize(scenario)
        case "tick-heartbeat": try tick(scenario) { $0.heartbeatTicks }
        case "tick-election": try tick(scenario) { $0.electionTicks }
        case "set-randomized-election-timeout":
            guard let timeout = scenario.value("timeout") else { throw scenario.bad("no timeout") }
            nodes[try node(scenario)].core.overrideElectionTimeout(Int(clamping: try scenario.number(timeout)))
        case "compact":
            let place = try node(scenario)
            nodes[place].compact(through: RaftIndex(try scenario.positionalNumber(1)))
            outcome.text = log(place)
        case "send-snapshot": try sendSnapshot(scenario)
        case "report-unreachable":
            nodes[try node(scenario)].step(.unreachable(ReplicaID(try scenario.positionalNumber(1))))
        case "transfer-leadership": try transfer(scenario)
        case "forget-leader":
            let place = try node(scenario)
            outcome.refusedToForget =
                nodes[place].core.role == .follower && nodes[place].core.options.readMode == .lease
            nodes[place].step(.forgetLeader)
        case "raft-log": outcome.text = log(try node(scenario))
        case "raft-state": outcome.text = states()
        case "status": outcome.text = status(try node(scenario))
        case "log-level": isVisible = scenario.positionals.first?.lowercased() != "none"
        case "_breakpoint": break
        default: throw .unknownCommand(line: scenario.line, scenario.command)
        }
        outcome.unpromotable = nodes.reduce(0) { $0 + $1.unpromotable } - unpromotable
        return outcome
    }

    // MARK: Arguments

    private func place(_ number: UInt64, _ scenario: ScenarioScript.Case) throws(ScenarioError) -> Int {
        if number == 0 || number > nodes.count { throw scenario.bad("there is no node \(number)") }
        return Int(number) - 1
    }

    private func node(_ scenario: ScenarioScript.Case) throws(ScenarioError) -> Int {
        try place(try scenario.positionalNumber(0), scenario)
    }

    private func places(_ scenario: ScenarioScript.Case) throws(ScenarioError) -> [Int] {
        var places: [Int] = []
        for word in scenario.positionals { places.append(try place(try scenario.number(word), scenario)) }
        return places
    }

    // MARK: Commands

    private mutating func addNodes(_ scenario: ScenarioScript.Case) throws(ScenarioError) {
        var settings = InteractionNode.Settings()
        settings.isAsynchronous = try scenario.flag("async-storage-writes")
        settings.readsEverything = readsEverything
        if let bytes = scenario.value("max-committed-size-per-ready") {
            settings.maxCommittedBytes = Int(clamping: try scenario.number(bytes))
        }
        settings.options = try options(scenario, isAsynchronous: settings.isAsynchronous)
        var snapshot = InteractionSnapshot.none
        if ["voters", "learners", "index", "content"].contains(where: { scenario.value($0) != nil }) {
            guard let index = scenario.value("index") else { throw scenario.bad("bootstrapped nodes need an index") }
            var configuration = GroupConfiguration()
            for id in scenario.values("voters") ?? [] {
                configuration.voters.append(ReplicaID(try scenario.number(id)))
            }
            for id in scenario.values("learners") ?? [] {
                configuration.learners.append(ReplicaID(try scenario.number(id)))
            }
            snapshot = InteractionSnapshot(
                position: LogPosition(index: RaftIndex(try scenario.number(index)), term: 1),
                configuration: GroupConfiguration(voters: configuration.voters, learners: configuration.learners),
                data: scenario.value("content") ?? "")
        }
        for _ in 0..<(try scenario.positionalNumber(0)) {
            let id = ReplicaID(UInt64(nodes.count + 1))
            let start = RaftStart(
                replica: id, boundary: snapshot.position, configuration: snapshot.configuration, seed: id.rawValue)
            let core: RaftCore
            do throws(RaftStartError) {
                core = try RaftCore(start, options: settings.options)
            } catch {
                throw scenario.bad("\(error)")
            }
            nodes.append(InteractionNode(core: core, settings: settings, snapshot: snapshot))
        }
    }

    private func options(_ scenario: ScenarioScript.Case, isAsynchronous: Bool) throws(ScenarioError) -> RaftOptions {
        var options = RaftOptions()
        options.electionTicks = 3
        options.heartbeatTicks = 1
        options.preVote = try scenario.flag("prevote")
        options.checkQuorum = try scenario.flag("checkquorum")
        options.tellsQuorumContact = false
        options.stepDownOnRemoval = try scenario.flag("step-down-on-removal")
        options.forwardsProposals = true
        options.validatesChanges = !(try scenario.flag("disable-conf-change-validation"))
        options.readMode = scenario.value("read-only") == "lease-based" ? .lease : .safe
        options.maxAppendBytes = .max
        options.windowMessages = Int(Int32.max)
        if let window = scenario.value("inflight") {
            options.windowMessages = Int(clamping: try scenario.number(window))
        }
        options.maxUncommittedBytes = 0
        options.appliesBeforeDurable = !isAsynchronous
        return options
    }

    private mutating func propose(_ scenario: ScenarioScript.Case) throws(ScenarioError) {
        guard scenario.positionals.count == 2 else { throw scenario.bad("takes a node and one word") }
        let entry = InteractionEntry(content: .normal(scenario.positionals[1]))
        if !nodes[try node(scenario)].propose(entry) { refuse() }
    }

    private mutating func proposeChange(_ scenario: ScenarioScript.Case) throws(ScenarioError) {
        let transition: ConfigurationChange.Transition
        switch scenario.value("transition") {
        case nil, "auto": transition = .auto
        case "implicit": transition = .implicit
        case "explicit": transition = .explicit
        case let other?: throw scenario.bad("unknown transition \(other)")
        }
        let steps = try ConfigurationChange.Step.parse(scenario.input, scenario)
        let change = ConfigurationChange(steps, transition: transition)
        let isOld = try scenario.flag("v1")
        if isOld, steps.count != 1 || transition != .auto {
            outcome.error = "v1 conf change can only have one operation and no transition"
            return
        }
        let entry = InteractionEntry(content: isOld ? .oldChange(change) : .change(change))
        if !nodes[try node(scenario)].propose(entry) { refuse() }
    }

    private mutating func refuse() {
        outcome.error = "raft proposal dropped"
        outcome.droppedProposals += 1
    }

    private mutating func tick(
        _ scenario: ScenarioScript.Case, _ ticks: (RaftOptions) -> Int
    ) throws(ScenarioError) {
        let place = try node(scenario)
        for _ in 0..<ticks(nodes[place].core.options) { nodes[place].step(.tick) }
    }

    private mutating func sendSnapshot(_ scenario: ScenarioScript.Case) throws(ScenarioError) {
        let from = nodes[try node(scenario)]
        var message = RaftMessage(
            .snapshot, from: from.id, to: ReplicaID(try scenario.positionalNumber(1)), term: from.core.term)
        message.index = from.newestSnapshot.position.index
        message.logTerm = from.newestSnapshot.position.term
        packets.append(InteractionPacket(message, .snapshot(message, from.newestSnapshot)))
    }

    private mutating func transfer(_ scenario: ScenarioScript.Case) throws(ScenarioError) {
        guard let from = scenario.value("from"), let to = scenario.value("to") else {
            throw scenario.bad("takes from and to")
        }
        let place = try place(try scenario.number(from), scenario)
        nodes[place].step(.transferLeadership(to: ReplicaID(try scenario.number(to))))
    }

    // MARK: Readys and storage threads

    private mutating func processReady(_ place: Int) {
        let ready = nodes[place].takeReady()
        note(ready, of: nodes[place].id)
        if nodes[place].settings.isAsynchronous {
            queue(ready, at: place)
            return
        }
        persist(ready.entries, ready.snapshot, at: place)
        apply(ready.committed, at: place)
        let id = nodes[place].id
        packets.append(contentsOf: ready.messages)
        packets.append(contentsOf: ready.waiting.filter { $0.to != id })
        // What waited for durability and is the node's own, then what has become stable, then what is applied.
        for packet in ready.waiting where packet.to == id { step(packet, at: place) }
        if ready.stable != nil || ready.snapshot != nil {
            step(.init(local: id, .appendDone(ready.stable, ready.snapshot?.position)), at: place)
        }
        if let last = ready.committed.last { step(.init(local: id, applyDone(last, ready.committed)), at: place) }
    }

    private func applyDone(_ last: InteractionEntry, _ entries: [InteractionEntry]) -> InteractionPacket.Content {
        .applyDone(last.index, bytes: entries.reduce(0) { $0 + $1.encodedBytes })
    }

    private mutating func queue(_ ready: InteractionNode.Ready, at place: Int) {
        let id = nodes[place].id
        packets.append(contentsOf: ready.messages)
        if !ready.entries.isEmpty || ready.hardState != nil || ready.snapshot != nil || !ready.waiting.isEmpty {
            var responses = ready.waiting
            if ready.stable != nil || ready.snapshot != nil {
                responses.append(.init(local: id, .appendDone(ready.stable, ready.snapshot?.position)))
            }
            nodes[place].appendWork.append(
                .init(
                    hardState: ready.hardState, entries: ready.entries, snapshot: ready.snapshot, responses: responses))
        }
        if let last = ready.committed.last {
            nodes[place].applyWork.append(
                .init(entries: ready.committed, response: .init(local: id, applyDone(last, ready.committed))))
        }
    }

    private mutating func processAppend(_ place: Int) {
        if nodes[place].appendWork.isEmpty { return }
        let work = nodes[place].appendWork.removeFirst()
        persist(work.entries, work.snapshot, at: place)
        packets.append(contentsOf: work.responses)
    }

    private mutating func processApply(_ place: Int) {
        if nodes[place].applyWork.isEmpty { return }
        let work = nodes[place].applyWork.removeFirst()
        apply(work.entries, at: place)
        packets.append(work.response)
    }

    private mutating func persist(_ entries: [InteractionEntry], _ snapshot: InteractionSnapshot?, at place: Int) {
        do throws(InteractionNode.StorageError) {
            try nodes[place].persist(entries, snapshot)
        } catch {
            outcome.error = "can't apply snapshot and entries at the same time"
        }
    }

    private mutating func apply(_ entries: [InteractionEntry], at place: Int) {
        if let error = nodes[place].apply(entries) { outcome.error = error.description }
    }

    private mutating func note(_ ready: InteractionNode.Ready, of id: ReplicaID) {
        if let state = ready.hardState {
            let vote = state.vote.candidate == .none ? "" : " Vote:\(state.vote.candidate)"
            outcome.handed[id, default: Handed()].hardState = "Term:\(state.vote.term)\(vote) Commit:\(state.commit)"
        }
        if !ready.committed.isEmpty {
            outcome.handed[id, default: Handed()].committed += ready.committed.map(\.text)
        }
        if let snapshot = ready.snapshot { outcome.handed[id, default: Handed()].snapshots.append(snapshot.text) }
    }

    // MARK: Messages

    private mutating func deliver(_ scenario: ScenarioScript.Case) throws(ScenarioError) {
        let type = scenario.value("type")
        for argument in scenario.arguments where argument.key != "type" {
            if argument.values.isEmpty {
                let place = try place(try scenario.number(argument.key), scenario)
                for packet in takePackets(to: nodes[place].id, type: type, isDrop: false) { step(packet, at: place) }
            } else if argument.key == "drop" {
                for value in argument.values {
                    _ = takePackets(to: ReplicaID(try scenario.number(value)), type: type, isDrop: true)
                }
            } else {
                throw scenario.bad("unknown argument \(argument.key)")
            }
        }
    }

    private mutating func takePackets(to id: ReplicaID, type: String?, isDrop: Bool) -> [InteractionPacket] {
        func isTaken(_ packet: InteractionPacket) -> Bool {
            packet.to == id && !(isDrop && packet.isLocal) && (type == nil || packet.type == type)
        }
        let taken = packets.filter(isTaken)
        packets.removeAll(where: isTaken)
        return taken
    }

    private mutating func step(_ packet: InteractionPacket, at place: Int) {
        if !nodes[place].receive(packet) { outcome.droppedProposals += 1 }
    }

    private mutating func stabilize(_ scenario: ScenarioScript.Case) throws(ScenarioError) {
        var places = try places(scenario)
        if places.isEmpty { places = Array(nodes.indices) }
        var isDone = false
        while !isDone {
            isDone = true
            for place in places where nodes[place].hasReady {
                processReady(place)
                isDone = false
            }
            for place in places {
                for packet in takePackets(to: nodes[place].id, type: nil, isDrop: false) {
                    step(packet, at: place)
                    isDone = false
                }
            }
            for place in places {
                while !nodes[place].appendWork.isEmpty {
                    processAppend(place)
                    isDone = false
                }
            }
            for place in places {
                while !nodes[place].applyWork.isEmpty {
                    processApply(place)
                    isDone = false
                }
            }
        }
    }

    // MARK: Print

    private func log(_ place: Int) -> String {
        let node = nodes[place]
        if node.stored.isEmpty {
            return
                "log is empty: first index=\(node.storedBoundary.index.next), last index=\(node.storedBoundary.index)"
        }
        return node.stored.map(\.text).joined(separator: "\n")
    }

    private func states() -> String {
        nodes.map { node in
            let role =
                switch node.core.role {
                case .follower: "StateFollower"
                case .preCandidate: "StatePreCandidate"
                case .candidate: "StateCandidate"
                case .leader: "StateLeader"
                }
            let voter = node.core.configuration.isVoter(node.id) ? "(Voter)" : "(Non-Voter)"
            return "\(node.id): \(role) \(voter) Term:\(node.core.term) Lead:\(node.core.leader)"
        }.joined(separator: "\n")
    }

    private func status(_ place: Int) -> String {
        let core = nodes[place].core
        return core.status.members.map { "\($0.replica): \($0.progress)" }.joined(separator: "\n")
    }
}
