public import CordwoodBase
public import CordwoodMachine
import CordwoodVirtual

/// A state machine that the kit examines: how it is made, and commands that mean something to it.
///
/// To examine a machine of your own, write down a subject and run `MachineConformance.checks` on it, `crashWorkload`
/// through a `CrashExploration`, and `MachineConformance.damage`. docs/conformance.md has an example.
public struct MachineSubject: Sendable {
    /// Makes the machine of a partition, as for a node.
    public var make: @Sendable (MachineContext) throws -> AnyPartitionStateMachine
    /// The payload of the command with a number, from 0 on. The same number may give another command for another
    /// partition; the same arguments must always give the same bytes. Vary what commands do and their sizes, and let
    /// some of them be refused.
    public var command: @Sendable (_ number: Int, PartitionID) -> [UInt8]
    /// Commands that a history has.
    public var commandCount = 24

    public init(
        make: @escaping @Sendable (MachineContext) throws -> AnyPartitionStateMachine,
        command: @escaping @Sendable (_ number: Int, PartitionID) -> [UInt8]
    ) {
        self.make = make
        self.command = command
    }

    /// A history of one partition.
    func history(of partition: PartitionID, count: Int? = nil) -> [PartitionCommand] {
        (0..<(count ?? commandCount)).map { number in
            MachineSubject.command(number, partition, payload: command(number, partition))
        }
    }

    static func command(_ number: Int, _ partition: PartitionID, payload: [UInt8]) -> PartitionCommand {
        PartitionCommand(
            partition: partition, partitionIndex: PartitionLogIndex(UInt64(number) + 1),
            raftIndex: RaftIndex(UInt64(number) * 3 + 2), term: Term(UInt64(number) / 10 + 1),
            timestampMicroseconds: 1_700_000_000_000_000 + Int64(number) * 1000, payload: payload[...])
    }

    /// Bytes that are no command in all likelihood: none, one of each kind, and some drawn by a seed.
    static func garbage(seed: UInt64) -> [[UInt8]] {
        let random = VirtualRandom(seed: seed)
        var garbage: [[UInt8]] = [[], [0], [0xFF], [UInt8](repeating: 0xFF, count: 64)]
        for length in [1, 2, 4, 7, 8, 9, 16, 33, 200] {
            garbage.append((0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) })
        }
        return garbage
    }
}
