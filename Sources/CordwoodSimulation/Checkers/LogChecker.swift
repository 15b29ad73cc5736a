import CordwoodBase

/// Logs match: the entry chain at a committed index is one for ever, on whichever replica; a replica that leads holds
/// everything that was committed before its term; and what is committed is durable on a quorum.
final class LogChecker {
    private let judge: Judge
    private var chains: [RaftIndex: (chain: ChainValue, host: String)] = [:]
    /// The highest committed index that was seen, and the term in which it was seen committed.
    private(set) var commit: RaftIndex = 0
    private var commitTerm: Term = 0
    /// What each replica has ever held durably.
    private var durable: [ReplicaID: RaftIndex] = [:]
    /// The configuration that a leader counts by, and its commit when it was first seen to: what is committed from
    /// there on is committed by it.
    private var counted: [String: (configuration: RaftIndex, commit: RaftIndex)] = [:]

    init(_ judge: Judge) { self.judge = judge }

    func committed(_ index: RaftIndex, _ chain: ChainValue, term: Term, on host: String) {
        if let known = chains[index] {
            judge.require(
                known.chain == chain, "logs match",
                "at committed index \(index) \(known.host) and \(host) have different chains")
        } else {
            chains[index] = (chain, host)
        }
        if index > commit {
            commit = index
            commitTerm = term
        }
    }

    func holds(_ replica: ReplicaID, through index: RaftIndex) {
        durable[replica] = max(durable[replica] ?? 0, index)
    }

    /// A replica begins to lead a term.
    func leads(_ host: String, _ term: Term, last: RaftIndex) {
        judge.require(
            term <= commitTerm || last >= commit, "leaders are complete",
            "\(host) leads term \(term) with a log up to \(last), and \(commit) was committed in term \(commitTerm)")
    }

    /// A leader takes an index for committed, by the voters that count behind a configuration entry.
    func leaderCommits(_ index: RaftIndex, behind configuration: RaftIndex, _ halves: [[ReplicaID]], on life: String) {
        guard let since = counted[life], since.configuration == configuration else {
            counted[life] = (configuration, index)
            return
        }
        guard index > since.commit else { return }
        for voters in halves where !voters.isEmpty {
            let holding = voters.filter { durable[$0] ?? 0 >= index }
            judge.require(
                holding.count > voters.count / 2, "what is committed is durable on a quorum",
                "\(life) commits \(index), and of \(voters) only \(holding) hold it")
        }
    }
}
