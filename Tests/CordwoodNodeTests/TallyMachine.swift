import CordwoodBase
import CordwoodMachine

/// Remembers every command that it applied, in order. Commands that begin with "no" are refused, "throw" throws.
final class TallyMachine: PartitionStateMachine {
    private(set) var applied: [String] = []

    struct Refusal: Error {}

    static func make(_ context: MachineContext) -> AnyPartitionStateMachine { .synchronous(TallyMachine()) }

    func apply(_ command: PartitionCommand) throws -> ApplyOutcome {
        let text = String(decoding: command.payload, as: UTF8.self)
        if text == "throw" { throw Refusal() }
        if text.hasPrefix("no") { return ApplyOutcome(refused: true) }
        applied.append(text)
        return ApplyOutcome(answer: Array("\(applied.count)".utf8), eventCount: 1)
    }

    func snapshot() throws -> [UInt8] { Array(applied.joined(separator: "\n").utf8) }

    func restore(_ snapshot: [UInt8]) throws {
        applied =
            snapshot.isEmpty ? [] : String(decoding: snapshot, as: UTF8.self).split(separator: "\n").map(String.init)
    }
}
