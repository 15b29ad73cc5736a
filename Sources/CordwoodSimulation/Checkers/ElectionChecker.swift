import CordwoodBase

/// At most one replica leads a term, over all restarts.
final class ElectionChecker {
    private let judge: Judge
    private var leaders: [Term: ReplicaID] = [:]

    init(_ judge: Judge) { self.judge = judge }

    var electionCount: Int { leaders.count }

    func leads(_ replica: ReplicaID, _ term: Term) {
        if let other = leaders[term], other != replica {
            judge.report("one leader a term", "replicas \(other) and \(replica) lead term \(term)")
        }
        leaders[term] = replica
    }
}
