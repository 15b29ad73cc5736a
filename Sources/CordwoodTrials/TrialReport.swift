/// What a run came to, as a table of counts.
struct TrialReport {
    let seed: UInt64
    let nodes: Int
    /// Faults that could not be made here, and why.
    var skipped: [FaultKind: String] = [:]
    private var rows: [(String, String)] = []
    private var faults: [FaultKind: Int] = [:]

    init(seed: UInt64, nodes: Int) {
        self.seed = seed
        self.nodes = nodes
    }

    mutating func take(_ group: TrialGroup, _ workload: Workload, _ nemesis: Nemesis) {
        let (ledger, counts) = (workload.ledger, workload.counts)
        faults = nemesis.counts
        let added = rows
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
        rows += added
        rows += counts.codes.sorted { $0.key < $1.key }.map { ("answered \($0.key)", "\($0.value)") }
    }

    mutating func add(_ name: String, _ value: String) { rows.append((name, value)) }

    /// A fault that the run should have met and has not: it shows less than it seems to.
    func missing(of kinds: [FaultKind]) -> Violation? {
        let missing = kinds.filter { faults[$0] ?? 0 == 0 }
        if missing.isEmpty { return nil }
        return Violation("every expected fault strikes", "never: " + missing.map(\.rawValue).joined(separator: ", "))
    }

    var lines: [String] {
        let named = FaultKind.allCases.map { kind in
            ("fault: " + kind.rawValue, skipped[kind].map { "skipped: \($0)" } ?? "\(faults[kind] ?? 0)")
        }
        return (rows + named).map { name, value in
            name + String(repeating: " ", count: max(1, 36 - name.count)) + value
        }
    }
}
