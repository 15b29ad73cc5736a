import CordwoodBase
import CordwoodMachine
import CordwoodRaft

/// What a client asks of the group.
enum SessionAsk: Hashable {
    case open(timeoutMicroseconds: UInt64)
    case close(session: UInt64)
    case command(SessionCommand)

    func entry(at position: LogPosition, timestampMicroseconds: Int64) -> Entry {
        let (type, payload): (EntryType, [UInt8]) =
            switch self {
            case .open(let timeout): (.session, SessionRequest.open(timeoutMicroseconds: timeout).encoded())
            case .close(let session): (.session, SessionRequest.close(session: session).encoded())
            case .command(let command): (.application, command.payload)
            }
        return Entry(
            index: position.index, term: position.term, type: type, timestampMicroseconds: timestampMicroseconds,
            payload: payload)
    }
}

/// What became of it, as far as the replica that took it can tell.
enum SessionFate: Hashable {
    /// Nobody can say yet.
    case waiting
    case session(SessionOutcome)
    case applied(answer: UInt64)
    case refused(SessionRefusal)
    /// The entry may have been committed or not: only a retry under the same sequence tells.
    case unknown
    /// Another term's entry is committed in its place.
    case aborted
}

/// The state behind an index: what a Raft snapshot carries.
struct SessionImage: Hashable {
    var position: LogPosition
    var timestampMicroseconds: Int64 = 0
    var sessions: [UInt8]
    var results: [UInt8]
}

/// A core with its log, its sessions and its one partition. The disk is as fast as the memory: what a crash loses is
/// everything that is derived.
final class SessionReplica {
    var core: RaftCore
    var effects = RaftEffects()
    /// What the log begins behind.
    var base: SessionImage
    var log: [Entry] = []
    var vote: Vote
    var sessions: SessionTable
    var ledger: SessionLedger
    var position: LogPosition
    var timestampMicroseconds: Int64
    /// Proposals that are not in the log yet.
    var accepted: [RaftIndex: Entry] = [:]
    /// Who waits for what: an index alone does not name a proposal.
    var waiters: Set<LogPosition> = []
    /// The replica's own clock. Only its stamps on what it proposes as a leader may count.
    var clockMicroseconds: Int64 = 0
    var isDown = false
    let restarts: UInt64

    /// Starts from what is on disk. No configuration ever changes here, so that nothing rests on a commit that was
    /// written.
    init(
        _ id: ReplicaID, base: SessionImage, log: [Entry], vote: Vote, voters: [ReplicaID], options: RaftOptions,
        seed: UInt64, restarts: UInt64
    ) throws {
        var start = RaftStart(
            replica: id, vote: vote, boundary: base.position, lastIndex: base.position.index + UInt64(log.count),
            configuration: GroupConfiguration(voters: voters), seed: seed &+ restarts, isRestart: restarts > 0)
        for entry in log where entry.term != start.termRuns.last?.term {
            start.termRuns.append(TermRun(first: entry.index, term: entry.term))
        }
        core = try RaftCore(start, options: options)
        self.base = base
        self.log = log
        self.vote = vote
        self.restarts = restarts
        sessions = try SessionTable(decoding: base.sessions)
        ledger = SessionLedger(decoding: base.results)
        position = base.position
        timestampMicroseconds = base.timestampMicroseconds
    }

    var image: SessionImage {
        SessionImage(
            position: position, timestampMicroseconds: timestampMicroseconds, sessions: sessions.encoded(),
            results: ledger.encoded())
    }

    var lastTimestampMicroseconds: Int64 {
        accepted[core.lastPosition.index]?.timestampMicroseconds ?? log.last?.timestampMicroseconds
            ?? base.timestampMicroseconds
    }

    func entry(_ index: RaftIndex) -> Entry? {
        index > base.position.index && index <= base.position.index + UInt64(log.count)
            ? log[Int(index - base.position.index) - 1] : nil
    }

    func step(_ input: RaftInput) { core.step(input, into: &effects) }

    func write(_ entries: [Entry], from index: RaftIndex) {
        log.removeSubrange((Int(index - base.position.index) - 1)...)
        log += entries
    }

    /// Dispatch: sessions first, then the partition. Says what whoever waits for the entry is told.
    func dispatch(_ entry: Entry) -> SessionFate? {
        position = LogPosition(index: entry.index, term: entry.term)
        timestampMicroseconds = entry.timestampMicroseconds
        switch entry.type {
        case .session:
            let outcome = sessions.apply(
                Array(entry.payload), at: entry.index, atMicroseconds: entry.timestampMicroseconds)
            return outcome.map { .session($0) }
        case .application:
            let command = SessionCommand(payload: Array(entry.payload))
            let isOpen = sessions.use(
                command.call.session, at: entry.index, atMicroseconds: entry.timestampMicroseconds)
            if !isOpen { return .refused(.sessionNotOpen) }
            switch ledger.apply(command) {
            case .success(let answer): return .applied(answer: answer)
            case .failure(let refused): return .refused(refused.reason)
            }
        case .noOperation, .configuration, .multiPartition: return nil
        }
    }
}
