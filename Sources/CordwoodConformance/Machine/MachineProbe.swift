import CordwoodBase
import CordwoodMachine

/// One machine of a subject without an engine around it, with a partition log and derived files in memory.
final class MachineProbe {
    /// What was applied, as the machine may read it back.
    private final class MemoryLog: PartitionLogReading {
        var commands: [PartitionCommand] = []

        var startIndex: PartitionLogIndex { 1 }
        var nextIndex: PartitionLogIndex { PartitionLogIndex(UInt64(commands.count) + 1) }

        func commands(from index: PartitionLogIndex, maxCount: Int, maxBytes: Int) async throws -> [PartitionCommand] {
            var bytes = 0
            var taken: [PartitionCommand] = []
            for command in commands.dropFirst(Int(clamping: index.rawValue) - 1).prefix(maxCount) {
                bytes += command.payload.count
                if !taken.isEmpty, bytes > maxBytes { break }
                taken.append(command)
            }
            return taken
        }
    }

    private final class MemoryFiles: DerivedFiles {
        private var files: [String: [UInt8]] = [:]

        func replace(_ name: String, with bytes: [UInt8]) async throws { files[name] = bytes }
        func read(_ name: String) async throws -> [UInt8]? { files[name] }
        func delete(_ name: String) async throws { files[name] = nil }
    }

    private final class Watermark { var value: UInt64 = 0 }

    private let log = MemoryLog()
    private let watermark = Watermark()
    private let machine: AnyPartitionStateMachine

    init(_ subject: MachineSubject, partition: PartitionID) throws {
        machine = try subject.make(
            MachineContext(
                partition: partition, log: log, derived: MemoryFiles(),
                watermark: { [watermark] in watermark.value }, report: { _ in }))
    }

    func apply(_ command: PartitionCommand) async throws -> ApplyOutcome {
        log.commands.append(command)
        let outcome =
            switch machine {
            case .synchronous(let machine): try machine.apply(command)
            case .asynchronous(let machine): try await machine.apply(command)
            }
        watermark.value += UInt64(outcome.eventCount)
        return outcome
    }

    func objection(to command: PartitionCommand) async throws -> ApplyOutcome? {
        switch machine {
        case .synchronous(let machine): try machine.objection(to: command)
        case .asynchronous(let machine): try await machine.objection(to: command)
        }
    }

    func snapshot() async throws -> [UInt8] {
        switch machine {
        case .synchronous(let machine): try machine.snapshot()
        case .asynchronous(let machine): try await machine.snapshot()
        }
    }

    /// Restores a state behind so many commands of a history.
    func restore(_ snapshot: [UInt8], behind history: ArraySlice<PartitionCommand>) async throws {
        log.commands = Array(history)
        switch machine {
        case .synchronous(let machine): try machine.restore(snapshot)
        case .asynchronous(let machine): try await machine.restore(snapshot)
        }
    }
}
