import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodVirtual

/// Adds up what it is told: each command is a number, and the state is the sum and the count.
final class Adder: PartitionStateMachine {
    let context: MachineContext
    private(set) var sum: UInt64 = 0
    private(set) var count: UInt64 = 0
    /// Commands that throw so many times before they are applied.
    var failuresLeft = 0
    /// Objects to commands with this number.
    var objectsTo: UInt64?

    init(_ context: MachineContext) { self.context = context }

    struct Refusal: Error {}

    func apply(_ command: PartitionCommand) throws -> ApplyOutcome {
        if failuresLeft > 0 {
            failuresLeft -= 1
            throw Refusal()
        }
        let number = value(of: command)
        sum += number
        count += 1
        return ApplyOutcome(answer: bytes(of: sum), eventCount: number == 0 ? 0 : 1)
    }

    func objection(to command: PartitionCommand) -> ApplyOutcome? {
        value(of: command) == objectsTo ? ApplyOutcome(answer: [1], refused: true) : nil
    }

    func snapshot() -> [UInt8] { bytes(of: sum) + bytes(of: count) }

    func restore(_ snapshot: [UInt8]) throws {
        guard snapshot.count == 16 else { throw Refusal() }
        sum = number(snapshot[0..<8])
        count = number(snapshot[8..<16])
    }

    private func value(of command: PartitionCommand) -> UInt64 { number(command.payload) }
}

func bytes(of number: UInt64) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: number)
    return bytes
}

func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
}

/// One node's partitions over a log that lives in the test: the segmented log is an array, everything in it is durable
/// and committed as soon as it is there.
final class Bench {
    let seams: Seams
    let dispatcher: PartitionDispatcher
    let pool: PartitionLogPool
    let snapshots: SnapshotStore
    let machine: SegmentedStateMachine
    private(set) var entries: [Entry]
    private(set) var completions: [ApplyCompletion] = []
    private(set) var adders: [PartitionID: Adder] = [:]
    var commits = true
    var configureAdder: (Adder) -> Void = { _ in }

    init(
        _ seams: Seams, partitions: Int = 4, dispatcher configuration: PartitionDispatcherConfiguration? = nil,
        pool configure: (inout PartitionLogPool.Configuration) -> Void = { _ in },
        machine machineConfiguration: SegmentedStateMachine.Configuration = .init(),
        log entries: [Entry] = [], checkpoint: SystemCheckpoint? = nil, factory: PartitionStateMachineFactory? = nil
    ) {
        self.seams = seams
        self.entries = entries
        var poolConfiguration = PartitionLogPool.Configuration(
            directory: "partitions",
            identity: LogIdentity(
                cluster: UniqueID(high: 1, low: 1), node: UniqueID(high: 2, low: 2), replica: 1,
                store: UniqueID(high: 3, low: 3), log: .none))
        configure(&poolConfiguration)
        dispatcher = PartitionDispatcher(
            configuration: configuration ?? PartitionDispatcherConfiguration(partitionCount: partitions, members: [1]),
            clock: seams.clock)
        pool = PartitionLogPool(
            configuration: poolConfiguration, seams: seams, partitionCount: dispatcher.partitionCount,
            registry: checkpoint?.partitions ?? [])
        snapshots = SnapshotStore(directory: "snapshots", seams: seams)
        var made: (Adder) -> Void = { _ in }
        machine = SegmentedStateMachine(
            dispatcher: dispatcher, logs: pool, snapshots: snapshots, seams: seams,
            configuration: machineConfiguration,
            factory: factory ?? { context in
                let adder = Adder(context)
                made(adder)
                return .synchronous(adder)
            })
        made = { [weak self] adder in
            self?.adders[adder.context.partition] = adder
            self?.configureAdder(adder)
        }
        machine.onCompletion = { [weak self] in self?.completions.append($0) }
    }

    /// Appends one entry with a number for each partition named and hands it over.
    @discardableResult
    func propose(_ numbers: [PartitionID: UInt64], type: EntryType? = nil) throws -> RaftIndex {
        var slices: [EntrySlice] = []
        var payload: [UInt8] = []
        for partition in numbers.keys.sorted() {
            let admission = try dispatcher.admit(
                partition, byteCount: 8, nowNanoseconds: seams.clock.monotonicNanoseconds)
            slices.append(
                EntrySlice(
                    partition: partition, partitionIndex: admission.partitionIndex,
                    previousRaftIndex: admission.previousRaftIndex, offset: UInt32(payload.count), length: 8))
            payload += bytes(of: numbers[partition] ?? 0)
        }
        return try append(
            type ?? (slices.count > 1 ? .multiPartition : .application), EntrySlices(slices), payload)
    }

    @discardableResult
    func append(_ type: EntryType, _ slices: EntrySlices = .none, _ payload: [UInt8] = []) throws -> RaftIndex {
        let index = RaftIndex(UInt64(entries.count) + 1)
        let entry = Entry(
            index: index, term: 1, type: type, timestampMicroseconds: seams.clock.wallMicroseconds, slices: slices,
            payload: payload)
        try dispatcher.recordAppended(entry, nowNanoseconds: seams.clock.monotonicNanoseconds)
        entries.append(entry)
        if commits { commit() }
        return index
    }

    /// Makes everything appended durable and committed, and hands it over.
    func commit() {
        let last = RaftIndex(UInt64(entries.count))
        let from = dispatcher.dispatchedThrough
        dispatcher.recordLogged(through: last)
        dispatcher.recordCommitted(through: last)
        machine.dispatch(entries[Int(from.rawValue)...])
    }

    /// Starts from the log and what is on the disk.
    func recover(checkpoint: SystemCheckpoint? = nil, from first: RaftIndex = 1, commit: RaftIndex? = nil) async throws
        -> SegmentedStateMachine.RecoveryReport
    {
        let last = RaftIndex(UInt64(entries.count))
        return try await machine.recover(
            checkpoint: checkpoint, retained: first..<last.next, commit: commit ?? last
        ) { range in
            let start = Int(range.lowerBound.rawValue) - 1
            return Array(self.entries[start..<min(start + 100, Int(range.upperBound.rawValue) - 1)])
        }
    }

    var checkpoint: SystemCheckpoint {
        SystemCheckpoint(sessions: machine.encodedSessions(floor: dispatcher.floor), partitions: pool.lines)
    }

    func applied(_ partition: PartitionID) -> PartitionLogIndex { dispatcher.progress(of: partition)?.applied ?? 0 }

    /// Waits until every partition has applied everything.
    func settle(timeoutNanoseconds: UInt64 = 60_000_000_000) async -> BarrierResult {
        await dispatcher.barrier(through: RaftIndex(UInt64(entries.count)), timeoutNanoseconds: timeoutNanoseconds)
    }
}
