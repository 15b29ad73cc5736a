internal import CordwoodBase

/// What the expected part of an interaction case says about the things that are judged: everything that nodes handed
/// out, errors, and the print of commands that look at state. Messages and log text are passed over.
struct InteractionExpectation {
    var handed: [ReplicaID: InteractionEnvironment.Handed] = [:]
    var droppedProposals = 0
    var unpromotable = 0
    var refusedToForget = false

    init(parsing expected: String, of scenario: ScenarioScript.Case) {
        // A single node's Ready is printed without a header.
        var node = scenario.command == "process-ready" ? scenario.positionals.first.flatMap(UInt64.init) : nil
        var isReady = false
        var isCommitted = false
        for raw in expected.split(separator: "\n", omittingEmptySubsequences: false) {
            let line = raw.trimmed()
            if line.hasPrefix("> ") {
                let words = line.split(separator: " ")
                node = words.count > 1 ? UInt64(words[1]) : nil
                isReady = false
                isCommitted = false
                continue
            }
            if line.hasPrefix("Ready MustSync=") { isReady = true }
            if line == "raft proposal dropped" { droppedProposals += 1 }
            if line.contains("is unpromotable and can not campaign") { unpromotable += 1 }
            if line.contains("ignoring MsgForgetLeader due to ReadOnlyLeaseBased") { refusedToForget = true }
            guard isReady, let number = node else { continue }
            let id = ReplicaID(number)
            if line == "CommittedEntries:" {
                isCommitted = true
            } else if isCommitted, Self.isEntry(line) {
                handed[id, default: .init()].committed.append(line)
            } else {
                isCommitted = false
                if line.hasPrefix("HardState ") {
                    handed[id, default: .init()].hardState = String(line.dropFirst("HardState ".count))
                } else if line.hasPrefix("Snapshot Index:") {
                    handed[id, default: .init()].snapshots.append(String(line.dropFirst("Snapshot ".count)))
                } else if line == "Messages:" {
                    isReady = false
                }
            }
        }
    }

    /// `term/index Type ...`
    private static func isEntry(_ line: String) -> Bool {
        guard let slash = line.firstIndex(of: "/"), let space = line.firstIndex(of: " "), slash < space else {
            return false
        }
        return UInt64(line[..<slash]) != nil && UInt64(line[line.index(after: slash)..<space]) != nil
    }
}
