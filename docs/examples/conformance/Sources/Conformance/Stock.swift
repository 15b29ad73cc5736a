import CordwoodConformance

/// A machine of our own: how many there are of each article. A command is `article amount`, and stock never falls below
/// nothing.
final class Stock: PartitionStateMachine {
    struct NotStock: Error {}

    private var amounts: [String: Int64] = [:]

    func apply(_ command: PartitionCommand) -> ApplyOutcome {
        guard let (article, change) = Stock.parse(command.payload) else {
            return ApplyOutcome(answer: Array("a command is an article and an amount".utf8), refused: true)
        }
        let (amount, overflow) = amounts[article, default: 0].addingReportingOverflow(change)
        guard !overflow, amount >= 0 else { return ApplyOutcome(answer: Array("out of stock".utf8), refused: true) }
        amounts[article] = amount == 0 ? nil : amount
        return ApplyOutcome(answer: Array("\(amount)".utf8), eventCount: 1)
    }

    /// Sorted: equal stock has equal bytes, on every replica.
    func snapshot() -> [UInt8] {
        Array(amounts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)\n" }.joined().utf8)
    }

    func restore(_ snapshot: [UInt8]) throws {
        amounts = [:]
        for line in snapshot.split(separator: UInt8(ascii: "\n")) {
            guard let (article, amount) = Stock.parse(line) else { throw NotStock() }
            amounts[article] = amount
        }
        // What `snapshot` would not have written is no state: cut bytes, an article twice, another order.
        guard self.snapshot() == snapshot else { throw NotStock() }
    }

    private static func parse(_ bytes: ArraySlice<UInt8>) -> (article: String, amount: Int64)? {
        let words = String(decoding: bytes, as: UTF8.self).split(separator: " ")
        guard words.count == 2, let amount = Int64(words[1]) else { return nil }
        return (String(words[0]), amount)
    }
}
