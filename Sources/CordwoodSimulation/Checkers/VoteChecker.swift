import CordwoodBase
import CordwoodRaft

/// What replicas say to each other, over the whole history of the group: a replica votes once in a term, whatever
/// crashes lie between, and asks for votes in a term once as a candidate; only one replica sends appends in a term; a
/// replica acknowledges nothing that its log does not hold durably; and no id speaks from two directories.
final class VoteChecker {
    private struct Ballot: Hashable {
        var replica: ReplicaID
        var term: Term
    }

    private let judge: Judge
    private var votes: [Ballot: ReplicaID] = [:]
    private var leaders: [Term: ReplicaID] = [:]
    private var directories: [ReplicaID: String] = [:]
    private(set) var voteCount = 0

    init(_ judge: Judge) { self.judge = judge }

    /// A message leaves a node. `directory` names the disk that it speaks from, `durable` the end of what is on it.
    func sent(_ message: RaftMessage, from directory: String, durable: RaftIndex) {
        switch message.kind {
        case .vote: cast(message.from, message.term, for: message.from, directory)
        case .voteResponse where !message.isRejected: cast(message.from, message.term, for: message.to, directory)
        case .append, .snapshot, .heartbeat:
            let other = leaders[message.term]
            judge.require(
                other == nil || other == message.from, "one leader a term",
                "replicas \(other ?? .none) and \(message.from) send as leaders of term \(message.term)")
            leaders[message.term] = message.from
        case .appendResponse where !message.isRejected:
            judge.require(
                message.index <= durable, "what is acknowledged is durable",
                "\(directory) acknowledges \(message.index) and holds \(durable) durably")
        default: break
        }
    }

    private func cast(_ replica: ReplicaID, _ term: Term, for candidate: ReplicaID, _ directory: String) {
        voteCount += 1
        let ballot = Ballot(replica: replica, term: term)
        if let before = votes[ballot], before != candidate {
            judge.report(
                "one vote a term", "replica \(replica) votes for \(before) and for \(candidate) in term \(term)")
        }
        votes[ballot] = candidate
        if let before = directories[replica], before != directory {
            judge.report(
                "an id is that of one directory", "replica \(replica) votes from \(before) and from \(directory)")
        }
        directories[replica] = directory
    }
}
