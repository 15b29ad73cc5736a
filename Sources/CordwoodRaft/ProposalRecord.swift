internal import CordwoodBase

/// What this replica proposed as a leader and does not know the fate of.
///
/// An entry that is truncated is not lost yet: a later leader may still have it and bring it back. Only when commit
/// has passed its index with an entry of another term is it aborted for certain. Entries that an installed snapshot
/// covers stay unknown.
struct ProposalRecord: Sendable {
    private struct Run: Sendable {
        var first: RaftIndex
        var last: RaftIndex
        var term: Term
    }

    /// Uncommitted entries that are in the log, by term.
    private var held: [Run] = []
    /// Entries that were truncated.
    private var displaced: [Run] = []
    private var settled: RaftIndex = 0

    mutating func append(_ index: RaftIndex, term: Term) {
        if let place = held.indices.last, held[place].term == term, held[place].last.next == index {
            held[place].last = index
        } else {
            held.append(Run(first: index, last: index, term: term))
        }
    }

    mutating func truncate(after index: RaftIndex) {
        while let run = held.last, run.last > index {
            displaced.append(Run(first: max(run.first, index.next), last: run.last, term: run.term))
            if run.first > index {
                held.removeLast()
            } else {
                held[held.count - 1].last = index
            }
        }
    }

    /// Drops what is decided by the commit index, and says what is aborted.
    @inline(__always)
    mutating func settle(_ log: borrowing LogOutline, into effects: inout RaftEffects) {
        if log.committed > settled { decide(log, into: &effects) }
    }

    private mutating func decide(_ log: borrowing LogOutline, into effects: inout RaftEffects) {
        let committed = log.committed
        settled = committed
        while let run = held.first, run.first <= committed {
            if run.last > committed {
                held[0].first = committed.next
                break
            }
            held.removeFirst()
        }
        if displaced.isEmpty { return }
        var open: [Run] = []
        for run in displaced {
            // What came back is a prefix of the run; the rest of what commit has passed is aborted.
            var index = max(run.first, log.firstIndex)
            while index <= min(run.last, committed), log.term(at: index) == run.term { index = index.next }
            if index <= min(run.last, committed) {
                effects.emit(.proposalsAborted(index..<min(run.last, committed).next, run.term))
            }
            if run.last > committed {
                open.append(Run(first: max(run.first, committed.next), last: run.last, term: run.term))
            }
        }
        displaced = open
    }
}
