/// What a run came to, as a table of counts.
struct TrialReport {
    private var rows: [(name: String, value: String)] = []

    init(_ stage: TrialStage) {
        let (ledger, counts, group) = (stage.workload.ledger, stage.workload.counts, stage.group)
        let transactions = ledger.transactions
        rows = [
            ("operations", "\(counts.operations)"), ("events sent", "\(ledger.writes.count)"),
            ("events acknowledged", "\(ledger.acknowledged)"), ("requests unknown at first", "\(counts.unknown)"),
            ("events open for ever", "\(ledger.open)"), ("events denied", "\(ledger.denied)"),
            ("transactions", "\(transactions.begun)"), ("their events", "\(transactions.events)"),
            ("transactions acknowledged", "\(transactions.acknowledged)"),
            ("transactions denied, all of each", "\(transactions.denied)"),
            ("transactions open for ever", "\(transactions.open)"),
            ("requests sent again, same answer", "\(counts.repeated)"),
            ("of these transactions", "\(counts.repeatedTransactions)"),
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
