import CordwoodBase
import CordwoodRaft

/// Appends without entries that tell followers of a new commit, kept for a moment.
///
/// Under load the next append follows at once and says the same, so of what is kept hardly anything is ever sent: two
/// messages and two answers a batch are saved, and the wake-ups that they cost. A notice leaves when its moment is over
/// or when anything else is said to the follower, so nothing that rests on a commit arrives before it by long.
struct CommitNotices {
    /// How long one may be kept: what a follower shows is behind by so much more at most.
    static let delayNanoseconds: UInt64 = 1_000_000

    /// The last one for each peer, in the order in which they began to wait.
    private var waiting: [RaftMessage] = []

    var isEmpty: Bool { waiting.isEmpty }

    mutating func keep(_ message: RaftMessage) {
        if let place = waiting.firstIndex(where: { $0.to == message.to }) {
            waiting[place] = message
        } else {
            waiting.append(message)
        }
    }

    /// The one for a peer, which waits no longer.
    mutating func take(for peer: ReplicaID) -> RaftMessage? {
        waiting.firstIndex { $0.to == peer }.map { waiting.remove(at: $0) }
    }

    mutating func takeAll() -> [RaftMessage] {
        defer { waiting.removeAll(keepingCapacity: true) }
        return waiting
    }
}
