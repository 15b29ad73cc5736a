import CordwoodBase
import CordwoodNode
import CordwoodRaft

/// What never falls within one life of a node: term, commit, what was handed out, W, the start of the log; and what
/// never passes what: dispatched, commit and the log's end, applied and logged, W and what was applied, the floor and
/// what is needed.
final class ProgressChecker {
    private struct Marks {
        var term: Term = 0
        var commit: RaftIndex = 0
        var dispatched: RaftIndex = 0
        var start: RaftIndex = 0
        var watermarks: [UInt64] = []
    }

    private let judge: Judge
    private let agreement: AgreementChecker
    /// By host and life.
    private var marks: [String: Marks] = [:]

    init(_ judge: Judge, _ agreement: AgreementChecker) {
        self.judge = judge
        self.agreement = agreement
    }

    /// A node that takes no more writes is behind its core and says nothing to anybody: it is not looked at.
    func look(_ status: NodeStatus, watermarks: [UInt64], _ life: String) {
        var seen = marks[life] ?? Marks()
        func never(_ what: String, _ before: some Comparable, _ now: some Comparable, _ falls: Bool) {
            judge.require(!falls, "\(what) never falls", "\(what) of \(life) goes from \(before) to \(now)")
        }
        never("the term", seen.term, status.term, status.term < seen.term)
        never("commit", seen.commit, status.commit, status.commit < seen.commit)
        never("dispatched", seen.dispatched, status.dispatched, status.dispatched < seen.dispatched)
        never("the start of the log", seen.start, status.log.startIndex, status.log.startIndex < seen.start)
        judge.require(
            status.dispatched <= status.commit && status.commit < status.log.nextIndex,
            "dispatched <= commit <= last",
            "\(life): dispatched \(status.dispatched), commit \(status.commit), next \(status.log.nextIndex)")
        judge.require(
            status.log.boundary.index <= status.commit, "purged <= commit",
            "\(life): boundary \(status.log.boundary.index), commit \(status.commit)")
        if seen.watermarks.isEmpty { seen.watermarks = Array(repeating: 0, count: watermarks.count) }
        for (number, watermark) in watermarks.enumerated() {
            let partition = PartitionID(UInt64(number))
            never("W of partition \(number)", seen.watermarks[number], watermark, watermark < seen.watermarks[number])
            judge.require(
                watermark <= agreement.eventCount(partition), "nothing is visible before it is applied",
                "\(life): W of partition \(number) is \(watermark), \(agreement.eventCount(partition)) were applied")
            seen.watermarks[number] = watermark
        }
        seen.term = status.term
        seen.commit = status.commit
        seen.dispatched = status.dispatched
        seen.start = status.log.startIndex
        marks[life] = seen
    }
}
