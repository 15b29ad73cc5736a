import Cordwood

/// Counters by name, in one partition. A command is `name amount`; the answer is the counter's new value.
///
/// What happens here depends on the state and the command alone, so every replica and every restart comes to the same
/// counters. There is nothing about files, locks or threads: that is the engine's work.
final class Counters: PartitionStateMachine {
    private var values: [String: Int64] = [:]

    func apply(_ command: PartitionCommand) -> ApplyOutcome {
        guard let (name, amount) = Counters.parse(command.payload) else {
            return ApplyOutcome(answer: Array("a command is a name and an amount".utf8), refused: true)
        }
        let (value, overflow) = values[name, default: 0].addingReportingOverflow(amount)
        guard !overflow else { return ApplyOutcome(answer: Array("\(name) would overflow".utf8), refused: true) }
        values[name] = value
        return ApplyOutcome(answer: Array("\(value)".utf8))
    }

    func snapshot() -> [UInt8] {
        Array(values.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: "\n").utf8)
    }

    func restore(_ snapshot: [UInt8]) throws {
        values = [:]
        for line in snapshot.split(separator: UInt8(ascii: "\n")) {
            guard let (name, value) = Counters.parse(line) else { throw NotCounters() }
            values[name] = value
        }
    }

    struct NotCounters: Error {}

    private static func parse(_ bytes: ArraySlice<UInt8>) -> (name: String, number: Int64)? {
        let words = String(decoding: bytes, as: UTF8.self).split(separator: " ")
        guard words.count == 2, let number = Int64(words[1]) else { return nil }
        return (String(words[0]), number)
    }
}
