/// What a recovered log may hold: the log after some number of the operations that were written down, at least those
/// acknowledged and at most those begun.
struct RecoveryOracle {
    var history: [LogReading]
    var acknowledged: Int
    var begun: Int

    func match(_ found: LogReading) -> Int? { LogReading.match(found, history, acknowledged, begun) }

    /// What is expected, in words.
    var summary: String { history[acknowledged...begun].map(\.summary).joined(separator: " | ") }
}

extension LogReading {
    /// The number of operations after which the log was as it was found, at least `acknowledged` and at most `begun`;
    /// `nil` when it never was.
    ///
    /// An append or a replacement that was not acknowledged may be there in part, its first entries without the others:
    /// it may have been several batches.
    static func match(_ found: LogReading, _ history: [LogReading], _ acknowledged: Int, _ begun: Int) -> Int? {
        for number in acknowledged...begun where history[number] == found { return number }
        for number in (acknowledged...begun).dropFirst() {
            let before = history[number - 1]
            let whole = history[number]
            guard found.boundary == whole.boundary, found.vote == whole.vote, found.boundary == before.boundary,
                found.vote == before.vote, found.entries.count < whole.entries.count,
                whole.entries.starts(with: found.entries)
            else { continue }
            let common = zip(before.entries, whole.entries).prefix { $0 == $1 }.count
            if found.entries.count >= common { return number }
        }
        return nil
    }
}
