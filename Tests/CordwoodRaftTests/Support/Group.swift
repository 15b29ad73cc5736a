import CordwoodBase
import CordwoodRaft
import Testing

/// Replicas in one process, over a network and disks that do what the test says. Everything is in the open: messages
/// wait in `network` until they are delivered, writes in each node until its disk goes on.
///
/// After every step of a core the checks of `Group+Checks.swift` run: they see the whole group at once.
struct Group {
    struct Link: Hashable {
        var from: ReplicaID
        var to: ReplicaID
    }

    var options: RaftOptions
    var nodes: [ReplicaID: GroupNode] = [:]
    var network: [GroupPacket] = []
    /// Links that lose everything.
    var cut: Set<Link> = []
    /// What is lost whatever the link.
    var loses: (RaftMessage) -> Bool = { _ in false }
    /// Every durable payload is out of reach, so that cores ask for what they send.
    var readsEverything = false
    var checks = GroupChecks()
    var trace: [RaftTraceEvent] = []
    var nextCommand = 0
    var nextContext: UInt64 = 0
    private var seed: UInt64

    var ids: [ReplicaID] { nodes.keys.sorted() }

    /// Who leads the highest term, if anyone who is running does.
    var leader: ReplicaID? {
        let leaders = ids.filter { self[$0].core.isLeader && !self[$0].isDown }
        return leaders.max { self[$0].core.term < self[$1].core.term }
    }

    /// The configuration of whoever has committed most.
    var latestConfiguration: GroupConfiguration {
        let first = ids.max { self[$0].core.appliedIndex < self[$1].core.appliedIndex }
        return first.map { self[$0].core.configuration } ?? GroupConfiguration()
    }

    subscript(id: ReplicaID) -> GroupNode {
        get {
            guard let node = nodes[id] else { fatalError("there is no replica \(id)") }
            return node
        }
        set { nodes[id] = newValue }
    }

    /// Options that tests start from: ticks as in the reference's tests, nothing held back.
    static func options(_ change: (inout RaftOptions) -> Void = { _ in }) -> RaftOptions {
        var options = RaftOptions()
        options.preVote = false
        options.checkQuorum = false
        options.tellsQuorumContact = false
        options.stepDownOnRemoval = false
        options.windowMessages = 256
        change(&options)
        return options
    }

    /// Replicas 1...voters as voters, the next ones as learners, and all of them the same empty log; or other logs.
    init(
        _ voters: Int, learners: Int = 0, options: RaftOptions = Group.options(), seed: UInt64 = 1,
        boundary: LogPosition = LogPosition(index: 0, term: 0), logs: [ReplicaID: [UInt64]] = [:],
        votes: [ReplicaID: Vote] = [:]
    ) throws {
        self.options = options
        self.seed = seed
        let all = (1...UInt64(max(voters + learners, 1))).map { ReplicaID($0) }
        let configuration = GroupConfiguration(
            voters: Array(all.prefix(voters)), learners: Array(all.dropFirst(voters)))
        for id in all {
            var disk = GroupDisk(snapshot: GroupSnapshot(position: boundary, configuration: configuration))
            disk.entries = (logs[id] ?? []).map { GroupEntry(term: Term($0), body: .empty, size: 0) }
            disk.vote = votes[id] ?? Vote(term: disk.entries.last?.term ?? 0, candidate: .none)
            try add(id, disk: disk)
        }
    }

    /// Adds a replica that has this on its disk; or starts it again.
    mutating func add(_ id: ReplicaID, disk: GroupDisk, restarts: UInt64 = 0) throws {
        var start = RaftStart(
            replica: id, vote: disk.vote, boundary: disk.snapshot.position, lastIndex: disk.last,
            commit: max(disk.snapshot.position.index, min(disk.commitHint, disk.last)),
            configuration: disk.snapshot.configuration, seed: seed &* 1000 &+ id.rawValue &+ restarts &* 77,
            isRestart: restarts > 0)
        var index = disk.snapshot.position.index
        for entry in disk.entries {
            index = index.next
            if entry.term != start.termRuns.last?.term {
                start.termRuns.append(TermRun(first: index, term: entry.term))
            }
            if case .change = entry.body { start.configurationEntries.append(index) }
        }
        var node = GroupNode(core: try RaftCore(start, options: options), disk: disk)
        node.restarts = restarts
        node.core.traceStart(into: &node.effects)
        trace += node.effects.trace
        node.effects.removeAll()
        nodes[id] = node
    }

    /// An empty replica that no configuration names yet.
    mutating func addEmpty(_ id: ReplicaID) throws {
        try add(id, disk: GroupDisk(snapshot: GroupSnapshot(configuration: GroupConfiguration())))
    }

    // MARK: Inputs

    mutating func step(_ id: ReplicaID, _ input: RaftInput) {
        if self[id].isDown { return }
        let before = self[id]
        nodes[id]!.step(input)
        carryOut(id, nil, before: before)
    }

    mutating func campaign(_ id: ReplicaID) { step(id, .campaign) }

    mutating func tick(_ id: ReplicaID, _ count: Int = 1) {
        for _ in 0..<count { step(id, .tick) }
    }

    /// Proposes the next command, or a change, and ends the turn.
    @discardableResult
    mutating func propose(_ id: ReplicaID, size: Int = 8) -> ProposalAnswer {
        nextCommand += 1
        return propose(id, GroupEntry(term: 0, body: .command(nextCommand), size: size))
    }

    @discardableResult
    mutating func propose(_ id: ReplicaID, _ change: ConfigurationChange) -> ProposalAnswer {
        propose(id, GroupEntry(term: 0, body: .change(change)))
    }

    @discardableResult
    mutating func propose(_ id: ReplicaID, _ entry: GroupEntry, endsTurn: Bool = true) -> ProposalAnswer {
        let before = self[id]
        let answer = nodes[id]!.propose(entry)
        if !endsTurn { return answer }
        nodes[id]!.step(.endTurn)
        let own = RaftMessage(.proposal, from: id, to: id, term: 0)
        carryOut(id, GroupPacket(message: own, proposal: entry), before: before)
        return answer
    }

    /// Asks for a read index and returns the context to look for.
    mutating func read(_ id: ReplicaID) -> UInt64 {
        nextContext += 1
        checks.readFloors[nextContext] = checks.commit
        step(id, .read(context: nextContext))
        return nextContext
    }

    mutating func receive(_ packet: GroupPacket) {
        let id = packet.message.to
        guard let before = nodes[id], !before.isDown else { return }
        if let proposal = packet.proposal {
            propose(id, proposal)
            return
        }
        nodes[id]!.receive(packet)
        carryOut(id, packet, before: before)
    }

    // MARK: Network

    /// Delivers everything that is in flight, and what comes of it, until nothing moves.
    mutating func settle(limit: Int = 100_000) {
        var steps = 0
        while !network.isEmpty {
            receive(network.removeFirst())
            steps += 1
            precondition(steps < limit, "the group does not come to rest")
        }
    }

    /// Takes what is in flight out of the network.
    mutating func take(_ kind: RaftMessage.Kind, to id: ReplicaID? = nil) -> [GroupPacket] {
        let taken = network.filter { $0.message.kind == kind && (id == nil || $0.message.to == id) }
        network.removeAll { $0.message.kind == kind && (id == nil || $0.message.to == id) }
        return taken
    }

    mutating func isolate(_ id: ReplicaID) {
        for other in ids where other != id {
            cut.insert(Link(from: id, to: other))
            cut.insert(Link(from: other, to: id))
        }
    }

    mutating func disconnect(_ left: ReplicaID, _ right: ReplicaID) {
        cut.insert(Link(from: left, to: right))
        cut.insert(Link(from: right, to: left))
    }

    mutating func heal() { cut = [] }

    private mutating func transmit(_ packet: GroupPacket) {
        if cut.contains(Link(from: packet.message.from, to: packet.message.to)) || loses(packet.message) { return }
        network.append(packet)
    }

    // MARK: Disks and restarts

    /// Lets a held disk finish its oldest writes, all of them by default.
    mutating func finishWrites(_ id: ReplicaID, _ count: Int = .max) {
        var left = count
        while left > 0, let write = nodes[id]?.writes.first {
            nodes[id]!.writes.removeFirst()
            finish(id, write)
            if case .message = write { continue }
            left -= 1
        }
        // What waits only for what is now durable goes too.
        while case .message = nodes[id]?.writes.first, let write = nodes[id]?.writes.removeFirst() { finish(id, write) }
    }

    private mutating func finish(_ id: ReplicaID, _ write: GroupNode.Write) {
        switch write {
        case .entries(let from, let entries, let commit, let token):
            nodes[id]!.disk.write(entries, from: from)
            nodes[id]!.disk.commitHint = max(commit, self[id].disk.commitHint)
            step(id, .durable(token))
        case .vote(let vote, let token):
            nodes[id]!.disk.vote = vote
            step(id, .durable(token))
        case .snapshot(let snapshot):
            nodes[id]!.disk.snapshot = snapshot
            nodes[id]!.disk.entries = []
            nodes[id]!.applied = snapshot
            step(id, .snapshotDurable(snapshot.position))
        case .message(let packet):
            if packet.message.kind == .voteResponse, !packet.message.isRejected { checks.granted(packet.message) }
            if packet.message.to == id { receive(packet) } else { transmit(packet) }
        }
    }

    /// The process dies with everything that is not on disk.
    mutating func crash(_ id: ReplicaID) {
        nodes[id]!.isDown = true
        nodes[id]!.writes = []
        nodes[id]!.effects.removeAll()
    }

    mutating func restart(_ id: ReplicaID) throws {
        try add(id, disk: self[id].disk, restarts: self[id].restarts + 1)
    }

    /// Lets held hand-outs go on.
    mutating func finishApplying(_ id: ReplicaID) {
        nodes[id]!.isApplyHeld = false
        applyNext(id)
    }

    /// Drops the log through an index that was applied and is durable.
    mutating func compact(_ id: ReplicaID, through index: RaftIndex) {
        guard let boundary = self[id].history[index] else { fatalError("\(index) was not applied on \(id)") }
        nodes[id]!.log.compact(to: boundary)
        nodes[id]!.disk.compact(to: boundary)
        step(id, .compacted(through: index))
    }

    // MARK: Effects

    private mutating func carryOut(_ id: ReplicaID, _ packet: GroupPacket?, before: GroupNode) {
        while let node = nodes[id], !node.effects.effects.isEmpty || !node.effects.trace.isEmpty {
            let effects = node.effects
            nodes[id]!.effects.removeAll()
            trace += effects.trace
            for effect in effects.effects { carryOut(id, effect, packet) }
        }
        if readsEverything, let node = nodes[id] {
            nodes[id]!.step(.evicted(through: node.core.durableIndex))
            for effect in nodes[id]!.effects.effects { carryOut(id, effect, packet) }
            nodes[id]!.effects.removeAll()
        }
        checks.check(id, before: before, self)
        if let node = nodes[id], !node.isDiskHeld { finishWrites(id) }
        applyNext(id)
    }

    private mutating func carryOut(_ id: ReplicaID, _ effect: RaftEffect, _ packet: GroupPacket?) {
        switch effect {
        case .append(let range, _, let source, let token):
            let entries = entries(of: id, range, source, packet)
            nodes[id]!.log.write(entries, from: range.lowerBound)
            nodes[id]!.writes.append(
                .entries(from: range.lowerBound, entries, commit: self[id].core.commitIndex, token))
        case .persist(let vote, let token):
            nodes[id]!.writes.append(.vote(vote, token))
        case .send(let message):
            // A real vote request rests on the own vote, which is in the stream before it.
            if message.kind == .vote {
                nodes[id]!.writes.append(.message(GroupPacket(message: message)))
            } else {
                transmit(GroupPacket(message: message))
            }
        case .sendAfter(_, let message):
            nodes[id]!.writes.append(.message(GroupPacket(message: message)))
        case .sendAppend(let message, _):
            let entries = message.entries.map { self[id].log.entry($0)! }
            transmit(GroupPacket(message: message, entries: entries))
        case .sendSnapshot(let message):
            transmit(GroupPacket(message: message, snapshot: self[id].applied))
        case .forwardProposal(let message):
            transmit(GroupPacket(message: message, proposal: packet?.proposal))
        case .read(let ticket, let peer, let from, let maxBytes):
            answerRead(id, ticket, peer, from, maxBytes)
        case .apply(let range):
            let start = self[id].toApply?.lowerBound ?? range.lowerBound
            nodes[id]!.toApply = start..<range.upperBound
        case .install:
            nodes[id]!.toApply = nil
            nodes[id]!.log.snapshot = packet!.snapshot!
            nodes[id]!.log.entries = []
            nodes[id]!.writes.append(.snapshot(packet!.snapshot!))
        case .needSnapshot(let peer):
            nodes[id]!.step(.snapshotOffered(peer: peer, self[id].applied.position))
        case .readReady(let context, let index): nodes[id]!.readsReady[context] = index
        case .readFailed(let context): nodes[id]!.readsFailed.insert(context)
        case .proposalsAborted(let range, let term): nodes[id]!.aborted.append((range, term))
        case .roleChanged, .configurationChanged: break
        }
    }

    private func entries(
        of id: ReplicaID, _ range: Range<RaftIndex>, _ source: AppendSource, _ packet: GroupPacket?
    ) -> [GroupEntry] {
        let node = self[id]
        return range.map { index in
            switch source {
            case .proposals: node.accepted[index]!
            case .message: packet!.entries[Int(index - packet!.message.index) - 1]
            case .termStart: GroupEntry(term: node.core.term, body: .empty, size: 0)
            case .leaveJoint: GroupEntry(term: node.core.term, body: .change(.leaveJoint), size: 0)
            }
        }
    }

    private mutating func answerRead(
        _ id: ReplicaID, _ ticket: UInt64, _ peer: ReplicaID, _ from: RaftIndex, _ maxBytes: UInt64
    ) {
        var bytes: UInt64 = 0
        var count = 0
        while let entry = self[id].log.entry(from + UInt64(count)) {
            if count > 0, bytes + UInt64(entry.size) > maxBytes { break }
            bytes += UInt64(entry.size)
            count += 1
        }
        let outcome: ReadOutcome = count == 0 ? .purged : .entries(count: count, bytes: bytes)
        nodes[id]!.step(.readDone(ticket: ticket, peer: peer, outcome))
    }

    private mutating func applyNext(_ id: ReplicaID) {
        while let node = nodes[id], !node.isApplyHeld, !node.isDown, let range = node.toApply {
            let index = range.lowerBound
            let rest = index.next..<range.upperBound
            nodes[id]!.toApply = rest.isEmpty ? nil : rest
            nodes[id]!.apply(node.log.entry(index)!, at: index)
            if !self[id].effects.effects.isEmpty { carryOut(id, nil, before: node) }
            step(id, .applied(index))
        }
    }
}

extension Group: CustomStringConvertible {
    var description: String {
        ids.map { id in
            let core = self[id].core
            return "\(id): \(self[id].isDown ? "down" : "\(core.role)") term \(core.term) vote \(core.vote.candidate) "
                + "last \(core.lastPosition) commit \(core.commitIndex) applied \(core.appliedIndex) "
                + "\(core.configuration)\(core.isElectable ? "" : " not electable")"
        }.joined(separator: "\n")
    }
}
