/// What a run came to, as a table of counts.
struct TrialReport {
    private var rows: [(name: String, value: String)] = []

    init(_ stage: TrialStage) {
        let (ledger, counts, group) = (stage.workload.ledger, stage.workload.counts, stage.group)
        rows = [
            ("operations", "\(counts.operations)"), ("writes", "\(ledger.writes.count)"),
            ("acknowledged", "\(ledger.acknowledged)"), ("outcome unknown at first", "\(counts.unknown)"),
            ("open for ever", "\(ledger.open)"), ("denied", "\(ledger.denied)"),
            ("sent again, same answer", "\(counts.repeated)"),
            ("linearizable reads", "\(counts.linearizableReads)"), ("local reads", "\(counts.localReads)"),
            ("payload bytes", "\(counts.bytes)"), ("elections won", "\(group.terms.elections)"),
            ("highest term", "\(group.terms.highestTerm)"), ("recoveries", "\(group.recoveries)"),
            ("bytes between nodes", "\(group.proxy.passedBytes)"),
        ]
        for (code, count) in counts.codes.sorted(by: { $0.key < $1.key }) { add("answered \(code)", "\(count)") }
    }

    mutating func add(_ name: String, _ value: String) { rows.append((name, value)) }

    var lines: [String] {
        rows.map { $0.name + String(repeating: " ", count: max(1, 36 - $0.name.count)) + $0.value }
    }
}
