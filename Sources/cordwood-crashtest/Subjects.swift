import CordwoodBase
import CordwoodCrash
import CordwoodMachine

/// What the trials on real files work with.
let crashProgram = CrashProgram(
    "cordwood-crashtest",
    [
        ("log", LogSubject()),
        (
            "node",
            MachineSubject(
                command: { random in
                    let count = Int.random(in: 1...Int.random(in: 1...900, using: &random), using: &random)
                    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
                },
                machine: { _ in .synchronous(DigestMachine()) })
        ),
    ])

/// Counts commands, and keeps a digest over all of them: any command too many, too few or out of order shows.
private final class DigestMachine: PartitionStateMachine {
    private var count: UInt64 = 0
    private var digest: UInt64 = 0

    func apply(_ command: PartitionCommand) -> ApplyOutcome {
        count += 1
        digest = command.payload.withUnsafeBytes { Checksum.xxh64($0, seed: digest ^ count) }
        return ApplyOutcome(answer: snapshot(), eventCount: 1)
    }

    func snapshot() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: count)
        bytes.append(littleEndian: digest)
        return bytes
    }

    func restore(_ snapshot: [UInt8]) throws {
        try snapshot.withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            count = try reader.integer(UInt64.self)
            digest = try reader.integer(UInt64.self)
        }
    }
}
