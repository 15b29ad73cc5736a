import CordwoodBase
import CordwoodConformance
import CordwoodMachine

/// Sums up the numbers that it is told, and breaks one promise if it is to.
final class SabotagedMachine: PartitionStateMachine {
    enum Sabotage: String, CaseIterable, Sendable {
        case drawsRandomly, changesInSnapshot, forgetsInSnapshot, keepsOldState, throwsAtGarbage, changesInObjection
        case countsRefused, takesAnyState, sharesState

        /// A part of the name of a check that must notice.
        var noticedBy: String {
            switch self {
            case .drawsRandomly: "the same commands give the same outcomes"
            case .changesInSnapshot: "a snapshot changes nothing"
            case .forgetsInSnapshot: "from the snapshot behind any command"
            case .keepsOldState: "takes the place of what the machine held"
            case .throwsAtGarbage: "never thrown"
            case .changesInObjection: "an objection changes nothing"
            case .countsRefused: "leaves no events"
            case .takesAnyState: "no state are refused"
            case .sharesState: "share nothing"
            }
        }
    }

    private struct Refusal: Error {}

    /// What machines share that should not.
    private nonisolated(unsafe) static var shared: UInt64 = 0

    private let sabotage: Sabotage?
    private var sum: UInt64 = 0
    private var count: UInt64 = 0

    private init(_ sabotage: Sabotage?) { self.sabotage = sabotage }

    static func subject(_ sabotage: Sabotage?) -> MachineSubject {
        MachineSubject(
            make: { _ in .synchronous(SabotagedMachine(sabotage)) },
            command: { number, partition in
                number % 5 == 4 ? [] : encoded([UInt64(number) * 7 + partition.rawValue])
            })
    }

    func apply(_ command: PartitionCommand) throws -> ApplyOutcome {
        guard let numbers = SabotagedMachine.decoded(Array(command.payload)), numbers.count == 1 else {
            if sabotage == .throwsAtGarbage { throw Refusal() }
            return ApplyOutcome(refused: true, eventCount: sabotage == .countsRefused ? 1 : 0)
        }
        sum &+= numbers[0]
        count += 1
        if sabotage == .drawsRandomly { sum &+= UInt64.random(in: 1...1000) }
        if sabotage == .sharesState {
            SabotagedMachine.shared &+= numbers[0]
            return ApplyOutcome(answer: SabotagedMachine.encoded([SabotagedMachine.shared]), eventCount: 1)
        }
        return ApplyOutcome(answer: SabotagedMachine.encoded([sum]), eventCount: 1)
    }

    func objection(to command: PartitionCommand) throws -> ApplyOutcome? {
        if sabotage == .changesInObjection { sum &+= 1 }
        return command.payload.isEmpty ? ApplyOutcome(refused: true) : nil
    }

    func snapshot() throws -> [UInt8] {
        if sabotage == .changesInSnapshot { sum &+= 1 }
        return SabotagedMachine.encoded([sabotage == .forgetsInSnapshot ? 0 : sum, count])
    }

    func restore(_ snapshot: [UInt8]) throws {
        guard let numbers = SabotagedMachine.decoded(snapshot), numbers.count == 2 else {
            if sabotage == .takesAnyState { return }
            throw Refusal()
        }
        if sabotage == .keepsOldState {
            sum &+= numbers[0]
        } else {
            sum = numbers[0]
        }
        count = numbers[1]
    }

    private static func encoded(_ numbers: [UInt64]) -> [UInt8] {
        numbers.reduce(into: []) { $0.append(littleEndian: $1) }
    }

    private static func decoded(_ bytes: [UInt8]) -> [UInt64]? {
        guard bytes.count % 8 == 0 else { return nil }
        return bytes.withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            return (0..<bytes.count / 8).compactMap { _ in try? reader.integer(UInt64.self) }
        }
    }
}
