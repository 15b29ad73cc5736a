public import CordwoodBase

/// What a core is started from: everything that the log, the snapshots and the vote record of this replica say.
public struct RaftStart: Sendable {
    public var replica: ReplicaID
    /// Term and vote as recorded.
    public var vote: Vote
    /// What precedes the first entry held: the last purged one, or the end of a snapshot.
    public var boundary: LogPosition
    /// Last index of the log, all of it durable; the boundary's when no entry is held.
    public var lastIndex: RaftIndex
    /// Where each term begins, from the first entry held to the last.
    public var termRuns: [TermRun]
    /// The highest index known committed: of the boundary at least, at most the last index.
    ///
    /// It must be no less than what this replica knew when it wrote its last entry. A leader proposes a change of the
    /// configuration only when the one before is applied, and its appends carry that commit: a replica that kept the
    /// entry and forgot the commit could campaign in a configuration that is two changes old, and win with a quorum
    /// that no longer meets the present one. So the commit index goes to disk with every batch of entries.
    public var commit: RaftIndex
    /// Dispatched so far, between boundary and commit.
    public var applied: RaftIndex
    /// The configuration that is in force at `applied`.
    public var configuration: GroupConfiguration
    /// Indexes of the configuration entries above `applied`, ascending.
    public var configurationEntries: [RaftIndex]
    /// Where the core's draws of election timeouts begin: new at every start, and different on every replica.
    public var seed: UInt64
    /// This replica has run before: under lease reads it first keeps silent for a while.
    public var isRestart: Bool

    public init(
        replica: ReplicaID, vote: Vote = .none, boundary: LogPosition = LogPosition(index: 0, term: 0),
        lastIndex: RaftIndex? = nil, termRuns: [TermRun] = [], commit: RaftIndex? = nil, applied: RaftIndex? = nil,
        configuration: GroupConfiguration = GroupConfiguration(), configurationEntries: [RaftIndex] = [],
        seed: UInt64, isRestart: Bool = false
    ) {
        self.replica = replica
        self.vote = vote
        self.boundary = boundary
        self.lastIndex = lastIndex ?? boundary.index
        self.termRuns = termRuns
        self.commit = commit ?? boundary.index
        self.applied = applied ?? boundary.index
        self.configuration = configuration
        self.configurationEntries = configurationEntries
        self.seed = seed
        self.isRestart = isRestart
    }
}

/// Why a core cannot start: the state it was given cannot have come about.
public enum RaftStartError: Error, Hashable, Sendable {
    case noReplica
    case lastBelowBoundary(last: RaftIndex, boundary: RaftIndex)
    case commitOutOfRange(commit: RaftIndex, boundary: RaftIndex, last: RaftIndex)
    case appliedOutOfRange(applied: RaftIndex, boundary: RaftIndex, commit: RaftIndex)
    /// Term runs do not cover the log from its first entry on, or do not ascend.
    case termRuns(String)
    /// The log holds an entry of a term that the vote record has not reached.
    case termBehindLog(recorded: Term, last: Term)
    case configuration(String)
    case configurationEntries(String)
    case options(String)
}

extension RaftStart {
    func validate() throws(RaftStartError) {
        if replica == .none { throw .noReplica }
        if lastIndex < boundary.index { throw .lastBelowBoundary(last: lastIndex, boundary: boundary.index) }
        if commit < boundary.index || commit > lastIndex {
            throw .commitOutOfRange(commit: commit, boundary: boundary.index, last: lastIndex)
        }
        if applied < boundary.index || applied > commit {
            throw .appliedOutOfRange(applied: applied, boundary: boundary.index, commit: commit)
        }
        var previous = TermRun(first: boundary.index, term: boundary.term)
        for (place, run) in termRuns.enumerated() {
            if place == 0 && (run.first != boundary.index.next || run.term < previous.term) {
                throw .termRuns("term \(run.term) from \(run.first) on behind the boundary \(boundary)")
            }
            if place > 0 && (run.first <= previous.first || run.term <= previous.term) {
                throw .termRuns("term \(run.term) from \(run.first) on behind term \(previous.term)")
            }
            if run.first > lastIndex { throw .termRuns("term \(run.term) from \(run.first) on, beyond the end") }
            previous = run
        }
        if termRuns.isEmpty && lastIndex != boundary.index { throw .termRuns("entries without a term") }
        // A snapshot that bootstraps a group is ahead of the vote record by design: its term is nobody's election.
        if let last = termRuns.last, last.term > vote.term {
            throw .termBehindLog(recorded: vote.term, last: last.term)
        }
        if let flaw = configuration.flaw { throw .configuration(flaw) }
        var lowest = applied
        for index in configurationEntries {
            if index <= lowest || index > lastIndex {
                throw .configurationEntries("index \(index) behind \(lowest), in a log to \(lastIndex)")
            }
            lowest = index
        }
    }
}
