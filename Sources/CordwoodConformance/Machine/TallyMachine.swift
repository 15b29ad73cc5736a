import CordwoodBase
package import CordwoodMachine

/// The machine of the crash harness: remembers every command that it took. A command is a length and so many bytes;
/// everything else is refused.
package final class TallyMachine: PartitionStateMachine {
    private var applied: [[UInt8]] = []

    struct Malformed: Error {}

    /// The machine with commands of many sizes, every ninth of which means nothing to it.
    package static let subject = MachineSubject(
        make: { _ in .synchronous(TallyMachine()) },
        command: { number, partition in
            if number % 9 == 8 { return [UInt8](repeating: 0xEE, count: number) }
            let content = (0..<(number * 53 % 700 + 8)).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ number) }
            return TallyMachine.framed(content + [UInt8(truncatingIfNeeded: partition.rawValue)])
        })

    /// The same with commands so large that they fill several segments of the log.
    package static let largeSubject = {
        var subject = MachineSubject(
            make: { _ in .synchronous(TallyMachine()) },
            command: { number, _ in TallyMachine.framed([UInt8](repeating: UInt8(number), count: 7000 + number)) })
        subject.commandCount = 32
        return subject
    }()

    package func apply(_ command: PartitionCommand) -> ApplyOutcome {
        let payload = Array(command.payload)
        guard let content = TallyMachine.contents(of: payload), content.count == 1 else {
            return ApplyOutcome(refused: true)
        }
        applied.append(content[0])
        return ApplyOutcome(answer: [UInt8(truncatingIfNeeded: applied.count)], eventCount: 1)
    }

    package func objection(to command: PartitionCommand) -> ApplyOutcome? {
        TallyMachine.contents(of: Array(command.payload))?.count == 1 ? nil : ApplyOutcome(refused: true)
    }

    package func snapshot() -> [UInt8] { applied.flatMap(TallyMachine.framed) }

    package func restore(_ snapshot: [UInt8]) throws {
        guard let contents = TallyMachine.contents(of: snapshot) else { throw Malformed() }
        applied = contents
    }

    private static func framed(_ content: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt32(content.count))
        return bytes + content
    }

    /// The contents one behind the other; `nil` when the bytes do not end with one.
    private static func contents(of bytes: [UInt8]) -> [[UInt8]]? {
        bytes.withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            var contents: [[UInt8]] = []
            do throws(DecodeError) {
                while reader.remaining > 0 {
                    let length = Int(try reader.integer(UInt32.self))
                    contents.append([UInt8](try reader.take(length)))
                }
            } catch { return nil }
            return contents
        }
    }
}
