import CordwoodBase
public import CordwoodIO
import CordwoodLog
public import CordwoodMachine
import CordwoodNode
import CordwoodRaft
import CordwoodVirtual

/// A node on real files with state machines of the user's own, one a partition.
///
/// Four clients propose commands that are drawn from the life's seed. When the directory is opened again, the logs of
/// the partitions must hold every command that was answered, once and where its answer said, and otherwise nothing but
/// commands that were proposed and not answered, each at most once; what an earlier opening has shown must still be
/// there. A fresh machine that is given these commands in order must give the answers that were given, and come to the
/// same snapshot as the machine that the node has restored. So `apply` must depend on nothing but the state and the
/// command, and machines with the same state must give the same bytes as their snapshot.
public struct MachineSubject: CrashSubject {
    private static let clients = 4

    private let partitions: Int
    private let makeCommand: @Sendable (inout any RandomNumberGenerator) -> [UInt8]
    private let makeMachine: @Sendable (MachineContext) throws -> AnyPartitionStateMachine

    /// - Parameters:
    ///   - partitions: how many machines there are; a power of two.
    ///   - command: draws a command, of up to 4 KiB.
    ///   - machine: makes the machine of a partition, as it is given to `Cordwood.open`.
    public init(
        partitions: Int = 4, command: @escaping @Sendable (inout any RandomNumberGenerator) -> [UInt8],
        machine: @escaping @Sendable (MachineContext) throws -> AnyPartitionStateMachine
    ) {
        self.partitions = partitions
        makeCommand = command
        makeMachine = machine
    }

    public func live(in directory: String, _ life: CrashLife, seams: Seams) async throws {
        let machines = MadeMachines()
        let node = try await open(directory, machines, seams)
        do {
            try await judge(node, machines, life.ledger)
        } catch {
            // A read that fails says so, and stops nothing else.
            guard let failure = failure(of: node) ?? (error as? LogError).map({ "\($0)" }) else { throw error }
            try? await node.close()
            throw StoreFailed(failure)
        }
        if life.operations > 0 {
            life.ledger.begin(lifeOf: life.seed)
            try await work(node, life, seams)
        }
        do {
            try await node.close()
        } catch {
            throw StoreFailed("\(error)")
        }
    }

    private func open(_ directory: String, _ machines: MadeMachines, _ seams: Seams) async throws -> Node {
        var configuration = NodeConfiguration(directory: directory, name: "crash-test")
        configuration.partitionCount = partitions
        configuration.log.segmentBytes = 64 << 10
        configuration.log.maximumEntryBytes = 8 << 10
        configuration.log.batchBytes = 16 << 10
        configuration.log.cacheBytes = 16 << 10
        configuration.maxEntryBytes = 8 << 10
        configuration.partitionSegmentBytes = 64 << 10
        configuration.partitionSyncAgeNanoseconds = 20_000_000
        configuration.machines.snapshotBytes = 2 << 10
        do {
            return try await Node.open(
                configuration,
                machine: { context in
                    let machine = try makeMachine(context)
                    machines.made[context.partition] = (context, machine)
                    return machine
                }, seams: seams)
        } catch {
            throw OpeningRefused("\(error)")
        }
    }

    // MARK: Working

    private func work(_ node: Node, _ life: CrashLife, _ seams: Seams) async throws {
        let progress = WorkProgress()
        for client in 0..<MachineSubject.clients {
            seams.scheduler.spawn("client \(client)") {
                while progress.begun < life.operations, progress.violation == nil, failure(of: node) == nil {
                    progress.begun += 1
                    await propose(progress.begun, node, life, progress)
                }
                progress.clientEnded()
            }
        }
        await progress.untilEnded(MachineSubject.clients)
        if let violation = progress.violation { throw CrashViolation(violation) }
        if let failure = failure(of: node) {
            life.ledger.failed()
            try? await node.close()
            throw StoreFailed(failure)
        }
    }

    /// What the node says that it can do no more.
    private func failure(of node: Node) -> String? {
        if let failure = node.status.storeFailure { return "\(failure)" }
        let frozen = (0..<UInt64(partitions)).first { node.isFrozen(PartitionID($0)) }
        return frozen.map { "partition \($0) stands still" }
    }

    private func propose(_ number: Int, _ node: Node, _ life: CrashLife, _ progress: WorkProgress) async {
        let (partition, bytes) = command(number, of: life.seed)
        life.ledger.begun(number)
        do throws(ProposalRejection) {
            guard case .applied(let index, let outcome) = try await node.propose(bytes, to: partition) else { return }
            life.ledger.acknowledged(
                number, [partition.rawValue, index.rawValue, MachineSubject.digest(outcome.answer)])
        } catch {
            guard failure(of: node) == nil else { return }
            // A disk without room turns commands down, and takes others when there is room.
            if case .admission(.noSpace) = error { return life.ledger.refused(number) }
            progress.violation = "command \(number) was refused: \(error)"
        }
    }

    /// The command of a number, the same whenever it is asked for.
    private func command(_ number: Int, of seed: UInt64) -> (PartitionID, [UInt8]) {
        let random = VirtualRandom(seed: seed, concern: "command \(number)")
        let partition = PartitionID(random.next(below: UInt64(partitions)))
        var draws: any RandomNumberGenerator = random
        return (partition, makeCommand(&draws))
    }

    // MARK: Judging

    private func judge(_ node: Node, _ machines: MadeMachines, _ ledger: Ledger) async throws {
        await node.untilWarm()
        if let failure = failure(of: node) { throw StoreFailed(failure) }
        let index = try await node.readIndex()
        let everyone = (0..<UInt64(partitions)).map { PartitionID($0) }
        let barrier = await node.barrier(through: index, partitions: everyone, timeoutNanoseconds: 30_000_000_000)
        guard barrier == .applied else { throw CrashViolation("not everything is applied: \(barrier)") }
        var told = ToldCommands(ledger) { command($0, of: $1) }
        var finding: [UInt64] = [0]
        for partition in everyone {
            _ = await node.machine(of: partition)
            guard let (context, machine) = machines.made[partition] else {
                try told.expectNothing(of: partition)
                finding += [0, 0]
                continue
            }
            let commands = try await MachineSubject.commands(of: context.log)
            try told.expectShown(commands, of: partition)
            let answers = try await replay(commands, context, against: machine)
            for (command, answer) in zip(commands, answers) { try told.take(command, answer: answer) }
            finding += [UInt64(commands.count), ToldCommands.digest(commands)]
        }
        try told.expectNothingMissing()
        if ledger.lives.last.map({ $0.found == nil }) ?? false { ledger.found(finding) }
    }

    private static func commands(of log: any PartitionLogReading) async throws -> [PartitionCommand] {
        var commands: [PartitionCommand] = []
        while case let index = log.startIndex + UInt64(commands.count), index < log.nextIndex {
            commands += try await log.commands(from: index, maxCount: 1000, maxBytes: 1 << 20)
        }
        return commands
    }

    /// Gives the commands to a fresh machine, compares its state with the restored one's, and returns the answers.
    private func replay(
        _ commands: [PartitionCommand], _ context: MachineContext, against restored: AnyPartitionStateMachine
    ) async throws -> [UInt64] {
        let scratch = MachineContext(
            partition: context.partition, log: context.log, derived: NoFiles(), watermark: context.watermark,
            report: { _ in })
        let fresh = try makeMachine(scratch)
        var answers: [UInt64] = []
        for command in commands {
            answers.append(MachineSubject.digest(try await fresh.apply(command).answer))
        }
        guard try await fresh.snapshot() == restored.snapshot() else {
            throw CrashViolation(
                "the machine of partition \(context.partition) is in another state than its \(commands.count) commands "
                    + "lead to")
        }
        return answers
    }

    static func digest(_ bytes: [UInt8]) -> UInt64 { bytes.withUnsafeBytes { Checksum.xxh64($0) } >> 1 }
}

extension AnyPartitionStateMachine {
    fileprivate func apply(_ command: PartitionCommand) async throws -> ApplyOutcome {
        switch self {
        case .synchronous(let machine): try machine.apply(command)
        case .asynchronous(let machine): try await machine.apply(command)
        }
    }

    fileprivate func snapshot() async throws -> [UInt8] {
        switch self {
        case .synchronous(let machine): try machine.snapshot()
        case .asynchronous(let machine): try await machine.snapshot()
        }
    }
}

/// The machines of one life, as the node's factory made them.
private final class MadeMachines {
    var made: [PartitionID: (context: MachineContext, machine: AnyPartitionStateMachine)] = [:]
}

/// How far the clients of one life are.
private final class WorkProgress {
    var begun = 0
    var violation: String?
    private var ended = 0
    private var waiting: (count: Int, continuation: UnsafeContinuation<Void, Never>)?

    func clientEnded() {
        ended += 1
        if let waiting, ended == waiting.count { waiting.continuation.resume() }
    }

    func untilEnded(_ count: Int) async {
        guard ended < count else { return }
        await withUnsafeContinuation { waiting = (count, $0) }
    }
}

/// What a machine that is only replayed has for derived files.
private final class NoFiles: DerivedFiles {
    private var files: [String: [UInt8]] = [:]
    func replace(_ name: String, with bytes: [UInt8]) async throws { files[name] = bytes }
    func read(_ name: String) async throws -> [UInt8]? { files[name] }
    func delete(_ name: String) async throws { files[name] = nil }
}
