import CordwoodRaft

/// What a recovered log may hold: the log after some number of the operations that were written down, at least those
/// acknowledged and at most those begun.
struct RecoveryOracle {
    var history: [LogModel]
    var acknowledged: Int
    var begun: Int

    /// The number of operations after which the log was as it was found; `nil` when it never was.
    ///
    /// An append or a replacement that was not acknowledged may be there in part, its first entries without the others:
    /// it may have been several batches.
    func match(_ found: LogReading) -> Int? {
        for number in acknowledged...begun where LogReading(history[number]) == found { return number }
        for number in (acknowledged...begun).dropFirst() {
            let before = history[number - 1]
            let whole = LogReading(history[number])
            guard found.boundary == whole.boundary, found.vote == whole.vote, found.boundary == before.boundary,
                found.vote == before.vote, found.entries.count < whole.entries.count,
                whole.entries.starts(with: found.entries)
            else { continue }
            let common = zip(before.entries, whole.entries).prefix { $0 == $1 }.count
            if found.entries.count >= common { return number }
        }
        return nil
    }

    /// What is expected, in words.
    var summary: String {
        history[acknowledged...begun].map { LogReading($0).summary }.joined(separator: " | ")
    }
}
