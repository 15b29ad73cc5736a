import Cordwood

/// Accounts and what is in them. A command is `from to amount`; the answer is what is left, or why nothing was moved.
///
/// The state is a function of the commands alone, and equal states give equal snapshots: the lines are sorted.
final class Accounts: PartitionStateMachine {
    private var balances: [String: Int64] = [:]

    func apply(_ command: PartitionCommand) -> ApplyOutcome {
        let words = String(decoding: command.payload, as: UTF8.self).split(separator: " ")
        guard words.count == 3, let amount = Int64(words[2]), (1...1000).contains(amount) else {
            return ApplyOutcome(answer: Array("a command is two names and an amount".utf8), refused: true)
        }
        let left = balances[String(words[0]), default: 0] - amount
        guard left >= -10_000 else {
            return ApplyOutcome(answer: Array("too little in \(words[0])".utf8), refused: true)
        }
        balances[String(words[0])] = left
        balances[String(words[1]), default: 0] += amount
        return ApplyOutcome(answer: Array("\(left)".utf8), eventCount: 1)
    }

    func snapshot() -> [UInt8] {
        Array(balances.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: "\n").utf8)
    }

    func restore(_ snapshot: [UInt8]) throws {
        balances = [:]
        for line in String(decoding: snapshot, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 2, let balance = Int64(words[1]) else { throw NoAccounts() }
            balances[String(words[0])] = balance
        }
    }

    struct NoAccounts: Error {}
}
