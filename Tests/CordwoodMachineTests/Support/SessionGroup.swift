import CordwoodBase
import CordwoodMachine
import CordwoodRaft
import Testing

/// Three replicas in one process: consensus cores over a network that the test holds in its hands, each with the
/// sessions and a partition behind it. No clock runs but those that the test sets.
///
/// Whatever a test does, these hold after each step, and are checked here:
/// - what one replica dispatches at an index, every other one dispatches there, and sessions and results behind that
///   index are the same bytes on all of them, also after a restart and after a snapshot;
/// - nothing is executed twice;
/// - a proposal is aborted only where another term's entry is committed in its place.
final class SessionGroup {
    struct Packet {
        var message: RaftMessage
        var entries: [Entry] = []
        var image: SessionImage?
    }

    /// Names a proposal: who took it, and where.
    struct Ticket: Hashable {
        var replica: ReplicaID
        var position: LogPosition
        var restarts: UInt64
    }

    private enum Write {
        case durable(DurabilityToken)
        case installed(LogPosition)
        case message(Packet)
    }

    static let ids: [ReplicaID] = [1, 2, 3]

    let options: RaftOptions
    let seed: UInt64
    private(set) var replicas: [ReplicaID: SessionReplica] = [:]
    private(set) var network: [Packet] = []
    var isolated: Set<ReplicaID> = []
    private(set) var fates: [Ticket: SessionFate] = [:]
    private(set) var asks: [Ticket: SessionAsk] = [:]
    /// What is committed, and what was said of it where it was dispatched first.
    private(set) var committed: [RaftIndex: Entry] = [:]
    private(set) var decided: [RaftIndex: SessionFate] = [:]
    private(set) var images: [RaftIndex: SessionImage] = [:]
    private(set) var installs = 0

    init(capacity: Int = 64, seed: UInt64 = 1, configure: (inout RaftOptions) -> Void = { _ in }) throws {
        var options = RaftOptions()
        options.preVote = false
        options.checkQuorum = false
        options.tellsQuorumContact = false
        configure(&options)
        self.options = options
        self.seed = seed
        let base = SessionImage(
            position: LogPosition(index: 1, term: 1), sessions: SessionTable(capacity: capacity).encoded(),
            results: SessionLedger().encoded())
        for id in Self.ids { try start(id, base: base, log: [], vote: Vote(term: 1, candidate: .none), restarts: 0) }
    }

    private func start(
        _ id: ReplicaID, base: SessionImage, log: [Entry], vote: Vote, restarts: UInt64
    ) throws {
        replicas[id] = try SessionReplica(
            id, base: base, log: log, vote: vote, voters: Self.ids, options: options,
            seed: seed &* 1000 &+ id.rawValue &* 100, restarts: restarts)
    }

    subscript(id: ReplicaID) -> SessionReplica {
        guard let replica = replicas[id] else { fatalError("there is no replica \(id)") }
        return replica
    }

    /// Who leads the highest term.
    var leader: ReplicaID? {
        Self.ids.filter { !self[$0].isDown && self[$0].core.isLeader }.max { self[$0].core.term < self[$1].core.term }
    }

    // MARK: What a test does

    func step(_ id: ReplicaID, _ input: RaftInput) {
        if self[id].isDown { return }
        self[id].step(input)
        carryOut(id, nil)
    }

    func tick() { for id in Self.ids { step(id, .tick) } }

    /// Lets the replica win an election, and everything that follows from it happen.
    func elect(_ id: ReplicaID) {
        step(id, .campaign)
        settle()
        #expect(self[id].core.isLeader)
    }

    /// Proposes at a replica, stamped by its clock; `nil` when it refuses.
    func ask(_ id: ReplicaID, _ ask: SessionAsk) -> Ticket? {
        if self[id].isDown { return nil }
        let stamp = max(self[id].clockMicroseconds, self[id].lastTimestampMicroseconds)
        let type: EntryType = if case .command = ask { .application } else { .session }
        let answer = self[id].core.propose(type, size: 24, into: &self[id].effects)
        guard case .accepted(let position) = answer else { return nil }
        self[id].accepted[position.index] = ask.entry(at: position, timestampMicroseconds: stamp)
        self[id].waiters.insert(position)
        let ticket = Ticket(replica: id, position: position, restarts: self[id].restarts)
        fates[ticket] = .waiting
        asks[ticket] = ask
        step(id, .endTurn)
        return ticket
    }

    /// Proposes, lets everything happen that follows, and says what became of it.
    func outcome(at id: ReplicaID, _ ask: SessionAsk) -> SessionFate? {
        guard let ticket = self.ask(id, ask) else { return nil }
        settle()
        return fates[ticket]
    }

    func fate(_ ticket: Ticket?) -> SessionFate? { ticket.flatMap { fates[$0] } }

    /// Opens a session, and returns its number.
    func open(at id: ReplicaID, timeoutMicroseconds: UInt64 = 1_000_000) throws -> UInt64 {
        let outcome = outcome(at: id, .open(timeoutMicroseconds: timeoutMicroseconds))
        guard case .session(.opened(let session, _)) = outcome else {
            Issue.record("opening a session came to \(String(describing: outcome))")
            throw CancellationError()
        }
        return session
    }

    /// The same time on all clocks.
    func setClocks(microseconds: Int64) {
        for id in Self.ids { self[id].clockMicroseconds = microseconds }
    }

    /// Delivers what is in flight, and what comes of it, until nothing moves.
    func settle() {
        while !network.isEmpty { receive(network.removeFirst()) }
    }

    /// Delivers or loses one packet.
    func deliver(at place: Int, isLost: Bool = false) {
        let packet = network.remove(at: place)
        isLost ? lose(packet) : receive(packet)
    }

    /// Delivers the messages of one kind to one replica, and nothing that comes of it.
    func deliver(_ kind: RaftMessage.Kind, to id: ReplicaID) {
        let chosen = network.filter { $0.message.kind == kind && $0.message.to == id }
        network.removeAll { $0.message.kind == kind && $0.message.to == id }
        for packet in chosen { receive(packet) }
    }

    /// Loses all that is in flight.
    func loseMessages() { network = [] }

    /// The process dies with all that is not on disk.
    func crash(_ id: ReplicaID) {
        self[id].isDown = true
        for position in self[id].waiters { tell(id, position, .unknown) }
    }

    /// Starts again from snapshot and log; or with the sessions of a later checkpoint, when the results are behind it.
    func restart(_ id: ReplicaID, sessions: [UInt8]? = nil) throws {
        let old = self[id]
        if !old.isDown { crash(id) }
        try start(id, base: old.base, log: old.log, vote: old.vote, restarts: old.restarts + 1)
        self[id].clockMicroseconds = old.clockMicroseconds
        if let sessions { self[id].sessions = try SessionTable(decoding: sessions) }
    }

    /// Makes a snapshot of what is applied and drops the log behind it.
    func compact(_ id: ReplicaID) {
        let image = self[id].image
        guard image.position.index > self[id].base.position.index else { return }
        self[id].log.removeFirst(Int(image.position.index - self[id].base.position.index))
        self[id].base = image
        step(id, .compacted(through: image.position.index))
    }

    // MARK: Network and effects

    private func transmit(_ packet: Packet) {
        let isCut = isolated.contains(packet.message.from) || isolated.contains(packet.message.to)
        isCut ? lose(packet) : network.append(packet)
    }

    /// Only a snapshot's transfer says that it failed; whatever else is lost is lost in silence.
    private func lose(_ packet: Packet) { report(packet, isDelivered: false) }

    private func report(_ packet: Packet, isDelivered: Bool) {
        let from = packet.message.from
        if packet.image == nil || self[from].isDown { return }
        self[from].step(.snapshotSent(peer: packet.message.to, succeeded: isDelivered))
    }

    private func receive(_ packet: Packet) {
        let id = packet.message.to
        let isCut = isolated.contains(id) || isolated.contains(packet.message.from)
        if isCut || self[id].isDown { return lose(packet) }
        take(packet)
        report(packet, isDelivered: true)
    }

    private func take(_ packet: Packet) {
        let id = packet.message.to
        if packet.image != nil {
            self[id].core.receiveSnapshot(
                packet.message, configuration: GroupConfiguration(voters: Self.ids), into: &self[id].effects)
        } else {
            let heads = packet.entries.map { EntryHead(term: $0.term, size: UInt32($0.payload.count), type: $0.type) }
            self[id].core.receive(packet.message, entries: heads.span, into: &self[id].effects)
        }
        carryOut(id, packet)
    }

    private func carryOut(_ id: ReplicaID, _ packet: Packet?) {
        var writes: [Write] = []
        while !self[id].effects.effects.isEmpty {
            let effects = self[id].effects.effects
            self[id].effects.removeAll()
            for effect in effects { carryOut(id, effect, packet, &writes) }
        }
        for write in writes {
            switch write {
            case .durable(let token): step(id, .durable(token))
            case .installed(let position): step(id, .snapshotDurable(position))
            case .message(let packet): packet.message.to == id ? take(packet) : transmit(packet)
            }
        }
    }

    private func carryOut(_ id: ReplicaID, _ effect: RaftEffect, _ packet: Packet?, _ writes: inout [Write]) {
        switch effect {
        case .append(let range, _, let source, let token):
            self[id].write(entries(of: id, range, source, packet), from: range.lowerBound)
            writes.append(.durable(token))
        case .persist(let vote, let token):
            self[id].vote = vote
            writes.append(.durable(token))
        case .send(let message) where message.kind == .vote: writes.append(.message(Packet(message: message)))
        case .send(let message): transmit(Packet(message: message))
        case .sendAfter(_, let message): writes.append(.message(Packet(message: message)))
        case .sendAppend(let message, _):
            let entries = message.entries.compactMap { self[id].entry($0) }
            transmit(Packet(message: message, entries: entries))
        case .sendSnapshot(let message): transmit(Packet(message: message, image: self[id].image))
        case .read(let ticket, let peer, let from, _):
            let isHeld = self[id].entry(from) != nil
            self[id].step(.readDone(ticket: ticket, peer: peer, isHeld ? .entries(count: 1, bytes: 24) : .purged))
        case .needSnapshot(let peer): self[id].step(.snapshotOffered(peer: peer, self[id].position))
        case .apply(let range):
            for index in range { dispatch(id, index) }
            self[id].step(.applied(range.upperBound.previous))
        case .install(let position, _):
            install(id, position, packet?.image)
            writes.append(.installed(position))
        case .proposalsAborted(let range, let term): abort(id, range, term)
        case .forwardProposal, .readReady, .readFailed, .roleChanged, .configurationChanged: break
        }
    }

    private func entries(
        of id: ReplicaID, _ range: Range<RaftIndex>, _ source: AppendSource, _ packet: Packet?
    ) -> [Entry] {
        range.compactMap { index in
            switch source {
            case .proposals: self[id].accepted.removeValue(forKey: index)
            case .message: packet?.entries.first { $0.index == index }
            case .termStart, .leaveJoint:
                Entry(
                    index: index, term: self[id].core.term, type: .noOperation,
                    timestampMicroseconds: max(self[id].clockMicroseconds, self[id].lastTimestampMicroseconds))
            }
        }
    }

    // MARK: What becomes of entries

    private func tell(_ id: ReplicaID, _ position: LogPosition, _ fate: SessionFate) {
        guard self[id].waiters.remove(position) != nil else { return }
        fates[Ticket(replica: id, position: position, restarts: self[id].restarts)] = fate
    }

    private func dispatch(_ id: ReplicaID, _ index: RaftIndex) {
        guard let entry = self[id].entry(index) else { fatalError("\(id) has no entry \(index) to dispatch") }
        let fate = self[id].dispatch(entry)
        if let known = committed[index] {
            #expect(entry == known, "\(id) dispatched \(entry) where \(known) was, seed \(seed)")
        }
        committed[index] = entry
        if let fate {
            if decided[index] == nil { decided[index] = fate }
            #expect(fate == decided[index], "\(id) decided otherwise at \(index), seed \(seed)")
            tell(id, LogPosition(index: index, term: entry.term), fate)
        }
        check(id)
    }

    /// The bytes behind an index are the same everywhere, and nothing was executed twice.
    private func check(_ id: ReplicaID) {
        let replica = self[id]
        // Sessions of a checkpoint are ahead of what is dispatched again.
        if replica.sessions.decidedThrough > replica.position.index { return }
        let image = replica.image
        if let known = images[image.position.index] {
            #expect(image == known, "\(id) differs behind \(image.position), seed \(seed)")
        } else {
            images[image.position.index] = image
            let calls = replica.ledger.executed.map(\.call)
            #expect(Set(calls).count == calls.count, "\(id) executed something twice, seed \(seed)")
        }
    }

    private func install(_ id: ReplicaID, _ position: LogPosition, _ image: SessionImage?) {
        guard let image, image.position == position, let sessions = try? SessionTable(decoding: image.sessions) else {
            fatalError("\(id) was to install \(String(describing: image)) at \(position)")
        }
        installs += 1
        self[id].base = image
        self[id].log = []
        self[id].sessions = sessions
        self[id].ledger = SessionLedger(decoding: image.results)
        self[id].position = image.position
        self[id].timestampMicroseconds = image.timestampMicroseconds
        for waiter in self[id].waiters where waiter.index <= position.index { tell(id, waiter, .unknown) }
        check(id)
    }

    private func abort(_ id: ReplicaID, _ range: Range<RaftIndex>, _ term: Term) {
        let core = self[id].core
        for index in range {
            #expect(index <= core.commitIndex, "\(id) aborts \(index) above commit, seed \(seed)")
            #expect(core.term(at: index) != term, "\(id) aborts what is committed at \(index), seed \(seed)")
            tell(id, LogPosition(index: index, term: term), .aborted)
        }
    }
}
