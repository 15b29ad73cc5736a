import CordwoodBase
import CordwoodMachine

/// The conformance kit for state machines: named checks of what a `PartitionStateMachine` owes the engine, a workload
/// for power cuts, and damage to its files.
///
/// A machine must come to the same state from the same commands, on every replica and after every restart. What breaks
/// that, a clock, a random number, the order of a dictionary, shows here in one process, and not as replicas that
/// differ.
public enum MachineConformance {
    /// One property of a machine.
    public struct Check: Sendable, CustomStringConvertible {
        public let name: String
        private let body: @Sendable (MachineSubject) async throws -> Void

        init(_ name: String, _ body: @escaping @Sendable (MachineSubject) async throws -> Void) {
            self.name = name
            self.body = body
        }

        /// Throws `ConformanceFailure` when a machine of the subject fails the check.
        public func run(on subject: MachineSubject) async throws {
            do { try await body(subject) } catch { throw ConformanceFailure("\(name): \(error)") }
        }

        public var description: String { name }
    }

    private static let partition: PartitionID = 3

    public static let checks: [Check] = [
        Check("the same commands give the same outcomes and the same state") { subject in
            let first = try await run(subject, subject.history(of: partition))
            for _ in 0..<3 {
                let other = try await run(subject, subject.history(of: partition))
                try expectEqual(other.outcomes, first.outcomes, "outcomes of another machine")
                try expectEqual(try await other.probe.snapshot(), first.state, "state of another machine")
            }
        },
        Check("a snapshot changes nothing and is the same twice") { subject in
            let history = subject.history(of: partition)
            let undisturbed = try await run(subject, history)
            let probe = try MachineProbe(subject, partition: partition)
            for (number, command) in history.enumerated() {
                let before = try await probe.snapshot()
                try expectEqual(try await probe.snapshot(), before, "snapshot behind \(number) commands, taken again")
                try expectEqual(
                    try await probe.apply(command), undisturbed.outcomes[number], "outcome of command \(number)")
            }
            try expectEqual(try await probe.snapshot(), undisturbed.state, "state at the end")
        },
        Check("from the snapshot behind any command the rest gives the same outcomes and the same state") { subject in
            let history = subject.history(of: partition)
            let whole = try await run(subject, history)
            let probe = try MachineProbe(subject, partition: partition)
            for count in 0...history.count {
                let state = try await probe.snapshot()
                let restored = try MachineProbe(subject, partition: partition)
                try await restored.restore(state, behind: history[..<count])
                try expectEqual(try await restored.snapshot(), state, "state restored behind \(count) commands")
                for number in count..<history.count {
                    try expectEqual(
                        try await restored.apply(history[number]), whole.outcomes[number],
                        "outcome of command \(number), restored behind \(count)")
                }
                try expectEqual(
                    try await restored.snapshot(), whole.state, "state at the end, restored behind \(count)")
                if count < history.count { _ = try await probe.apply(history[count]) }
            }
        },
        Check("a restored state takes the place of what the machine held") { subject in
            let history = subject.history(of: partition)
            let early = try await run(subject, Array(history.prefix(history.count / 3)))
            let late = try await run(subject, history)
            try await late.probe.restore(early.state, behind: history.prefix(history.count / 3))
            try expectEqual(try await late.probe.snapshot(), early.state, "state after restoring an older one")
        },
        Check("commands that mean nothing are refused, never thrown, and the same way everywhere") { subject in
            for seed in 1...4 as ClosedRange<UInt64> {
                var history = subject.history(of: partition, count: 6)
                for garbage in MachineSubject.garbage(seed: seed) {
                    history.append(MachineSubject.command(history.count, partition, payload: garbage))
                }
                // Bytes of honest commands, cut and changed.
                for number in 0..<6 {
                    var payload = subject.command(number, partition)
                    if payload.isEmpty { continue }
                    payload[Int(seed) * 7 % payload.count] ^= 0x80
                    history.append(MachineSubject.command(history.count, partition, payload: payload))
                    history.append(MachineSubject.command(history.count, partition, payload: payload.dropLast()))
                }
                let first = try await run(subject, history)
                let second = try await run(subject, history)
                try expectEqual(second.outcomes, first.outcomes, "outcomes with seed \(seed)")
                try expectEqual(second.state, first.state, "state with seed \(seed)")
            }
        },
        Check("an objection changes nothing and is the same twice") { subject in
            let probe = try MachineProbe(subject, partition: partition)
            for command in subject.history(of: partition) {
                let before = try await probe.snapshot()
                let first = try await probe.objection(to: command)
                let second = try await probe.objection(to: command)
                try expectEqual(second, first, "the second answer about command \(command.partitionIndex)")
                try expectEqual(try await probe.snapshot(), before, "state after being asked")
                _ = try await probe.apply(command)
            }
        },
        Check("a refused command leaves no events") { subject in
            let found = try await run(subject, subject.history(of: partition))
            for (number, outcome) in found.outcomes.enumerated() where outcome.refused {
                try expectEqual(outcome.eventCount, 0, "events of command \(number), which was refused")
            }
        },
        Check("bytes that are no state are refused") { subject in
            let history = subject.history(of: partition)
            let state = try await run(subject, history).state
            var damaged = (0..<min(state.count, 64)).map {
                Array(state.prefix($0 * state.count / min(state.count, 64)))
            }
            damaged += MachineSubject.garbage(seed: 5)
            damaged.append(state + [0])
            for offset in stride(from: 0, to: state.count, by: max(1, state.count / 64)) {
                var changed = state
                changed[offset] ^= 0x41
                damaged.append(changed)
            }
            for bytes in damaged {
                let probe = try MachineProbe(subject, partition: partition)
                do { try await probe.restore(bytes, behind: history[...]) } catch { continue }
                // Other bytes may be a state, too: then they are what the machine says its state is.
                try expectEqual(try await probe.snapshot(), bytes, "state after restoring \(bytes.count) damaged bytes")
            }
        },
        Check("the machines of two partitions share nothing") { subject in
            let other = partition.next
            let alone = try await run(subject, subject.history(of: partition))
            let probe = try MachineProbe(subject, partition: partition)
            let neighbour = try MachineProbe(subject, partition: other)
            let foreign = subject.history(of: other)
            for (number, command) in subject.history(of: partition).enumerated() {
                _ = try await neighbour.apply(foreign[number])
                try expectEqual(
                    try await probe.apply(command), alone.outcomes[number], "outcome of command \(number)")
            }
            try expectEqual(try await probe.snapshot(), alone.state, "state beside a neighbour")
        },
    ]

    /// What a history comes to on a fresh machine.
    private static func run(
        _ subject: MachineSubject, _ history: [PartitionCommand]
    ) async throws -> (probe: MachineProbe, outcomes: [ApplyOutcome], state: [UInt8]) {
        let probe = try MachineProbe(subject, partition: partition)
        var outcomes: [ApplyOutcome] = []
        for command in history { outcomes.append(try await probe.apply(command)) }
        return (probe, outcomes, try await probe.snapshot())
    }
}
