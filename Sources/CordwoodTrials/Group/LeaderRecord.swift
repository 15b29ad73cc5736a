/// Who led in which term, from the logs of all nodes: never two in one term.
struct LeaderRecord {
    private var leaders: [UInt64: String] = [:]
    private var offsets: [String: UInt64] = [:]
    /// The highest term that anybody campaigned or led in.
    private(set) var highestTerm: UInt64 = 0

    /// Changes of a role, a term or a leader that nodes have logged.
    private(set) var changes = 0

    var elections: Int { leaders.count }

    mutating func read(_ node: TrialNode) throws(Violation) {
        let text = TrialFiles.lines(of: node.logFile, from: &offsets[node.name, default: 0])
        for line in text.split(separator: "\n") { try read(line, of: "\(node.name), disk \(node.disk)") }
    }

    /// A line of a node's log, in logfmt.
    mutating func read(_ line: Substring, of name: String) throws(Violation) {
        guard line.contains("msg=\"role changed\"") else { return }
        var fields: [Substring: Substring] = [:]
        for word in line.split(separator: " ") {
            guard let equals = word.firstIndex(of: "=") else { continue }
            fields[word[..<equals]] = word[word.index(after: equals)...]
        }
        guard let term = fields["term"].flatMap({ UInt64($0) }), let role = fields["role"] else { return }
        changes += 1
        highestTerm = max(highestTerm, term)
        guard role == "leader" else { return }
        if let other = leaders.updateValue(name, forKey: term) {
            throw Violation("one leader a term", "\(other) and \(name) both began to lead in term \(term)")
        }
    }
}
