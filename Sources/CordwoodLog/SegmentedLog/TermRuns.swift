internal import CordwoodBase
internal import CordwoodRaft

/// The term of every index that is held, as runs of equal terms: a few words for each change of leader.
struct TermRuns {
    /// Ascending by first index; never empty. The first run begins at the boundary.
    private var runs: [TermRun]
    private(set) var last: RaftIndex

    /// Nothing but the boundary.
    init(boundary index: RaftIndex, term: Term) {
        runs = [TermRun(first: index, term: term)]
        last = index
    }

    var boundary: RaftIndex { runs[0].first }

    /// The runs of what is held behind the boundary.
    var behindBoundary: [TermRun] {
        guard last > boundary else { return [] }
        var held = runs
        if held.count > 1, held[1].first == boundary.next { held.removeFirst() } else { held[0].first = boundary.next }
        return held
    }

    /// The term at an index from the boundary to the last one, `nil` outside.
    func term(at index: RaftIndex) -> Term? {
        guard index >= boundary, index <= last else { return nil }
        // Most questions are about the last run.
        if let run = runs.last, index >= run.first { return run.term }
        var low = 0
        var high = runs.count - 1
        while high - low > 1 {
            let middle = (low + high) / 2
            if runs[middle].first <= index { low = middle } else { high = middle }
        }
        return runs[low].term
    }

    mutating func append(_ term: Term) {
        last = last.next
        if let run = runs.last, run.term == term { return }
        runs.append(TermRun(first: last, term: term))
    }

    /// Drops everything behind an index at or above the boundary.
    mutating func truncate(after index: RaftIndex) {
        last = index
        while runs.count > 1, let run = runs.last, run.first > index { runs.removeLast() }
    }

    /// Moves the boundary up to an index that is held.
    mutating func compact(through index: RaftIndex) {
        var drop = 0
        while drop + 1 < runs.count, runs[drop + 1].first <= index { drop += 1 }
        runs.removeFirst(drop)
        runs[0].first = max(runs[0].first, index)
    }
}
