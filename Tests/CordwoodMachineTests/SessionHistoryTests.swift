import CordwoodBase
import CordwoodIO
import CordwoodMachine
import CordwoodRaft
import CordwoodVirtual
import Testing

/// Clients that retry until they know, over a group that loses messages, leaders, processes and logs.
///
/// Beside what `SessionGroup` checks after every entry, the whole history is held against `SessionOracle` at the end:
/// a fold over the committed log that knows nothing of tables.
@Suite struct SessionHistoryTests {
    /// One session after another, one command at a time, each under its sequence until its fate is known.
    struct Client {
        var session: UInt64?
        var sequence: UInt64 = 1
        var value: UInt64 = 0
        var ticket: SessionGroup.Ticket?
        var opening: SessionGroup.Ticket?
        var finished: [SessionCommand] = []
    }

    struct Run {
        let group: SessionGroup
        let random: VirtualRandom
        var clients = Array(repeating: Client(), count: 4)
        var now: Int64 = 0

        init(seed: UInt64) throws {
            random = VirtualRandom(seed: seed)
            let preVote = random.percent(50)
            let checkQuorum = random.percent(50)
            group = try SessionGroup(capacity: 3, seed: seed) {
                $0.preVote = preVote
                $0.checkQuorum = checkQuorum
            }
        }

        private func anyone() -> ReplicaID { SessionGroup.ids[random.below(3)] }

        mutating func disturb() throws {
            switch random.below(100) {
            case 0..<40: for _ in 0...random.below(6) where !group.network.isEmpty { deliver() }
            case 40..<60: group.step(anyone(), .tick)
            case 60..<84: act(random.below(clients.count))
            case 84..<86: group.step(anyone(), .campaign)
            case 86..<89: group.isolated = random.percent(50) ? [] : [anyone()]
            case 89..<92: try group.restart(anyone())
            case 92..<95: group.compact(anyone())
            default:
                // Clocks run apart, and a session's timeout is a few of these steps.
                now += Int64(random.below(30))
                group[anyone()].clockMicroseconds = now + Int64(random.below(200)) - 100
            }
        }

        private func deliver() {
            let place = random.percent(20) ? random.below(group.network.count) : 0
            group.deliver(at: place, isLost: random.percent(8))
        }

        /// What a client does next, by what it knows.
        mutating func act(_ place: Int) {
            var client = clients[place]
            defer { clients[place] = client }
            let replica = random.percent(80) ? group.leader ?? anyone() : anyone()
            guard let session = client.session else {
                if case .session(.opened(let session, _)) = group.fate(client.opening) {
                    client.session = session
                    client.sequence = 1
                    client.value = UInt64(random.below(1000))
                } else if group.fate(client.opening) != .waiting || random.percent(20) {
                    client.opening = group.ask(replica, .open(timeoutMicroseconds: 400)) ?? client.opening
                }
                return
            }
            let command = SessionCommand(session, client.sequence, adds: client.value)
            switch group.fate(client.ticket) {
            case .applied where random.percent(70):
                client.finished.append(command)
                client.ticket = nil
                client.sequence += 1
                client.value = UInt64(random.below(1000))
                if random.percent(10) {
                    _ = group.ask(replica, .close(session: session))
                    client = Client(finished: client.finished)
                }
            case .refused(.sessionNotOpen):
                client = Client(finished: client.finished)
            case .waiting where random.percent(80): break
            case .refused(let reason): Issue.record("\(command) is refused as \(reason), seed \(group.seed)")
            case .applied, .unknown, .aborted, .waiting, .session, nil:
                // The answer was lost, or said nothing: the same command under the same sequence.
                client.ticket = group.ask(replica, .command(command)) ?? client.ticket
                if random.percent(10), let old = client.finished.last, old.call.session == session {
                    _ = group.ask(replica, .command(old))
                }
            }
        }

        /// No more faults: everyone comes to apply the same log, and it reaches all that was ever proposed.
        mutating func recover() {
            group.isolated = []
            for _ in 0..<400 {
                group.settle()
                group.tick()
                guard let leader = group.leader else { continue }
                let highest = group.asks.keys.map(\.position.index).max() ?? 0
                if group[leader].core.commitIndex < highest {
                    _ = group.ask(leader, .open(timeoutMicroseconds: 1))
                } else if isDone {
                    break
                }
            }
        }

        private var isDone: Bool {
            guard let leader = group.leader else { return false }
            let last = group[leader].core.lastPosition.index
            return SessionGroup.ids.allSatisfy { group[$0].position.index == last }
        }
    }

    @Test(arguments: 0..<4 as Range<UInt64>)
    func everyCommandIsExecutedAtMostOnceAndAllReplicasAgreeOnEverySession(block: UInt64) throws {
        var tally = Tally()
        for seed in block * 20..<(block + 1) * 20 {
            var run = try Run(seed: seed)
            for _ in 0..<2500 { try run.disturb() }
            run.recover()
            try judge(run, seed, &tally)
        }
        // The faults did what they are for.
        #expect(tally.aborted > 0 && tally.unknown > 0 && tally.installs > 0, "\(tally)")
        #expect(tally.applied > 500 && tally.refused > 100 && tally.repeated > 100, "\(tally)")
    }

    struct Tally {
        var applied = 0
        var refused = 0
        var repeated = 0
        var unknown = 0
        var aborted = 0
        var installs = 0
    }

    private func judge(_ run: Run, _ seed: UInt64, _ tally: inout Tally) throws {
        let group = run.group
        let images = SessionGroup.ids.map { group[$0].image }
        #expect(Set(images).count == 1, "replicas differ at the end, seed \(seed)")
        var oracle = SessionOracle(capacity: 3)
        for (index, entry) in group.committed.sorted(by: { $0.key < $1.key }) {
            let expected = oracle.decide(entry)
            #expect(group.decided[index] == expected, "index \(index), seed \(seed)")
        }
        #expect(group[1].ledger.sum == oracle.sum, "seed \(seed)")
        // Each command that a client saw finished is there once; and what a client was told is what the log says.
        let executed = group[1].ledger.executed
        for command in run.clients.flatMap(\.finished) {
            #expect(executed.count { $0 == command } == 1, "\(command), seed \(seed)")
        }
        for (ticket, fate) in group.fates {
            let entry = group.committed[ticket.position.index]
            switch fate {
            case .waiting: Issue.record("\(ticket) waits for ever, seed \(seed)")
            case .aborted:
                #expect(entry != nil && entry?.term != ticket.position.term, "\(ticket) is aborted, seed \(seed)")
                tally.aborted += 1
            case .unknown: tally.unknown += 1
            case .applied, .refused, .session:
                #expect(entry?.term == ticket.position.term, "\(ticket) is \(fate), seed \(seed)")
                #expect(fate == group.decided[ticket.position.index], "\(ticket) is \(fate), seed \(seed)")
            }
        }
        let answers = group.decided.values.count { if case .applied = $0 { true } else { false } }
        tally.applied += answers
        tally.repeated += answers - executed.count
        tally.refused += group.decided.values.count { if case .refused = $0 { true } else { false } }
        tally.installs += group.installs
    }
}

/// What sessions and commands come to, by the plainest reading of the rules.
struct SessionOracle {
    private struct Session {
        var timeout: Int64
        var used: Int64
        var last: (command: SessionCommand, answer: UInt64)?
    }

    let capacity: Int
    private(set) var sum: UInt64 = 0
    private var open: [UInt64: Session] = [:]

    init(capacity: Int) { self.capacity = capacity }

    mutating func decide(_ entry: Entry) -> SessionFate? {
        let now = entry.timestampMicroseconds
        open = open.filter { now - $0.value.used <= $0.value.timeout }
        switch entry.type {
        case .session:
            switch try? SessionRequest(decoding: Array(entry.payload)) {
            case .open(let timeout):
                let oldest = open.min { ($0.value.used, $0.key) < ($1.value.used, $1.key) }
                let evicted = open.count == capacity ? oldest?.key : nil
                if let evicted { open[evicted] = nil }
                open[entry.index.rawValue] = Session(timeout: Int64(timeout), used: now)
                return .session(.opened(session: entry.index.rawValue, evicted: evicted))
            case .close(let session):
                let wasOpen = open.removeValue(forKey: session) != nil
                return .session(wasOpen ? .closed(session: session) : .notFound(session: session))
            case nil: return .session(.malformed)
            }
        case .application:
            let command = SessionCommand(payload: Array(entry.payload))
            guard var session = open[command.call.session] else { return .refused(.sessionNotOpen) }
            session.used = now
            defer { open[command.call.session] = session }
            if let last = session.last, command.call.sequence <= last.command.call.sequence {
                if command == last.command { return .applied(answer: last.answer) }
                return .refused(command.call == last.command.call ? .anotherCommand : .sequencePassed)
            }
            sum += command.value
            session.last = (command, sum)
            return .applied(answer: sum)
        case .noOperation, .configuration, .multiPartition: return nil
        }
    }
}

extension VirtualRandom {
    fileprivate func below(_ limit: Int) -> Int { Int(next(below: UInt64(limit))) }

    fileprivate func percent(_ chance: UInt64) -> Bool { self.chance(chance, in: 100) }
}
