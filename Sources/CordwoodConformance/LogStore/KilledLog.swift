public import CordwoodBase
public import CordwoodRaft
import CordwoodVirtual

/// A log store that is killed, life after life, and what it must hold after each.
///
/// What it is asked for in a life is a pure function of a seed and of what the log held when that life began. So of
/// each life no more needs to be known than its seed, how many operations were begun and acknowledged in it, and how
/// many the next opening found: whoever knows these numbers knows every byte that the log may hold. The same type
/// works in the process that dies and in the one that follows it.
///
/// A log has one ordered stream: what is found is the log after some number of operations, at least those acknowledged
/// and at most those begun. The last of them may be there in part, its first entries without the others, since it may
/// have been several batches.
public struct KilledLog {
    /// What an opened log turned out to hold.
    public struct Finding: Hashable, Sendable {
        /// The number of operations of the last life that are in it.
        public var operations: Int
        /// Index behind the last entry.
        public var nextIndex: RaftIndex
        /// Over all that can be read.
        public var digest: UInt64

        public init(operations: Int, nextIndex: RaftIndex, digest: UInt64) {
            self.operations = operations
            self.nextIndex = nextIndex
            self.digest = digest
        }
    }

    private var model = LogModel()

    public init() {}

    /// A life as it was told.
    public struct Life: Hashable, Sendable {
        public var seed: UInt64
        public var begun: Int
        public var acknowledged: Int
        /// Operations that the store turned down for lack of space: they changed nothing.
        public var refused: Set<Int>

        public init(seed: UInt64, begun: Int, acknowledged: Int, refused: Set<Int> = []) {
            self.seed = seed
            self.begun = begun
            self.acknowledged = acknowledged
            self.refused = refused
        }
    }

    /// Takes up a life that is over and whose outcome is known.
    public mutating func settle(_ life: Life, finding: Finding) throws {
        settle(try history(of: life).logs[finding.operations], nextIndex: finding.nextIndex)
    }

    /// Compares an opened store with what the last life may have left. Throws `ConformanceFailure` when it is nothing
    /// of that.
    public mutating func judge(_ store: any RaftLogStore, after life: Life) async throws -> Finding {
        let (history, operations) = try history(of: life)
        let oracle = RecoveryOracle(
            history: history.map { LogReading($0) }, acknowledged: life.acknowledged, begun: life.begun)
        let found = try await LogReading(store)
        guard let number = oracle.match(found) else {
            throw ConformanceFailure(
                "after \(life.begun) operations of seed \(life.seed), \(life.acknowledged) of them acknowledged: found "
                    + "\(found.summary); may be \(oracle.summary); the last operations: "
                    + operations.suffix(8).map { "\($0)" }.joined(separator: "; "))
        }
        settle(history[number], nextIndex: store.nextIndex)
        return Finding(operations: number, nextIndex: store.nextIndex, digest: found.digest)
    }

    private mutating func settle(_ after: LogModel, nextIndex: RaftIndex) {
        model = after
        model.apply(.truncate(after: nextIndex.previous))
    }

    /// The log before the first operation of a life and after each one, and the operations.
    private func history(of life: Life) throws -> (logs: [LogModel], operations: [WorkloadOperation]) {
        var draws = LogLife(seed: life.seed)
        var logs = [model]
        var operations: [WorkloadOperation] = []
        while operations.count < life.begun {
            let before = logs[operations.count]
            let operation = draws.next(for: before)
            operations.append(operation)
            logs.append(life.refused.contains(operations.count) ? before : try before.after(operation))
        }
        return (logs, operations)
    }

    /// What is told while a log lives, each with the operation's number.
    public enum Event: Hashable, Sendable {
        /// It is about to be asked for.
        case begun(Int)
        case acknowledged(Int)
        /// The store turned it down for lack of space.
        case refused(Int)
    }

    /// Lives: works on a store until `operations` have been done, and tells of each before it is begun and when it is
    /// acknowledged.
    public func live(
        on store: any RaftLogStore, seed: UInt64, operations: Int, tell: (Event) -> Void
    ) async throws {
        var life = LogLife(seed: seed)
        var present = model
        var unawaited: [(number: Int, ticket: LogTicket)] = []
        var number = 0
        while number < operations {
            number += 1
            let operation = life.next(for: present)
            tell(.begun(number))
            let answer = try await operation.ask(store, present)
            switch answer {
            case .waiting(let ticket): unawaited.append((number, ticket))
            case .durable: tell(.acknowledged(number))
            case .refused: tell(.refused(number))
            }
            if answer != .refused { present = try present.after(operation) }
            if life.endsBatch() { store.endBatch() }
            guard life.awaits() || number == operations else { continue }
            store.endBatch()
            for waiting in unawaited where try await isDurable(waiting.ticket, in: store) {
                tell(.acknowledged(waiting.number))
            }
            unawaited = []
        }
    }

    /// Waits for it; false when a later truncation has dropped it.
    private func isDurable(_ ticket: LogTicket, in store: any RaftLogStore) async throws(LogError) -> Bool {
        do throws(LogError) {
            try await store.waitUntilDurable(ticket)
            return true
        } catch {
            guard case .stale = error else { throw error }
            return false
        }
    }
}

/// The draws of one life.
private struct LogLife {
    private var workload: LogWorkload
    private let random: VirtualRandom

    init(seed: UInt64) {
        workload = LogWorkload(seed: seed)
        random = VirtualRandom(seed: seed, concern: "batches of a killed log")
    }

    /// The next operation that changes the log.
    mutating func next(for model: LogModel) -> WorkloadOperation {
        while true {
            let operation = workload.next(for: model, canCrash: false)
            switch operation {
            case .append, .batchOfSingles, .replaceSuffix, .truncate, .vote: return operation
            case .compact(let index) where index >= model.startIndex: return operation
            case .exportAndInstall(let range) where !range.isEmpty: return operation
            default: continue
            }
        }
    }

    func endsBatch() -> Bool { random.chance(1, in: 2) }
    func awaits() -> Bool { random.chance(1, in: 3) }
}

extension WorkloadOperation {
    /// True for what a full disk has no room for; all else must be possible.
    fileprivate var needsSpace: Bool {
        switch self {
        case .append, .batchOfSingles, .replaceSuffix, .exportAndInstall: true
        default: false
        }
    }

    /// What a store says to an operation.
    fileprivate enum Answer: Hashable {
        case waiting(LogTicket)
        case durable
        /// It has no space for it, and nothing has changed.
        case refused
    }

    fileprivate func ask(_ store: any RaftLogStore, _ model: LogModel) async throws -> Answer {
        do {
            guard let ticket = try await perform(on: store, model) else { return .durable }
            return .waiting(ticket)
        } catch {
            guard needsSpace, let error = error as? LogError, case .noSpace = error else { throw error }
            return .refused
        }
    }

    /// Asks the store for it. Returns what to wait for, or nil when it is durable already.
    fileprivate func perform(on store: any RaftLogStore, _ model: LogModel) async throws -> LogTicket? {
        switch self {
        case .append, .batchOfSingles, .replaceSuffix:
            let entries = entries(for: model)
            if case .replaceSuffix(let index, _) = self { return try store.replaceSuffix(from: index, with: entries) }
            return try store.append(entries)
        case .truncate(let index): return try store.truncate(after: index)
        case .vote(let vote): return try store.recordVote(vote)
        case .compact(let index):
            try await store.compact(
                through: index, boundary: index < model.nextIndex ? nil : model.boundary(beyond: index))
            return nil
        case .exportAndInstall(let range):
            let exported = try await store.export(range)
            try await store.install(exported, at: range.lowerBound)
            return nil
        case .updateCommit, .readRange, .flush, .reopen, .crash: return nil
        }
    }

    /// The entries that it brings.
    fileprivate func entries(for model: LogModel) -> [Entry] {
        let term = max(model.lastTerm, model.vote.term, 1)
        return switch self {
        case .append(let count, let bytes): model.sampleEntries(count, term: term, payloadBytes: bytes)
        case .batchOfSingles(let count): model.sampleEntries(count, term: term, payloadBytes: 60)
        case .replaceSuffix(let index, let count): model.sampleEntries(count, term: term.next, from: index)
        default: []
        }
    }
}

extension LogModel {
    /// The log after an operation of a life.
    fileprivate func after(_ operation: WorkloadOperation) throws -> LogModel {
        var next = self
        switch operation {
        case .append, .batchOfSingles: _ = try next.extend(with: operation.entries(for: self))
        case .replaceSuffix(let index, _):
            next.apply(.truncate(after: index.previous))
            _ = try next.extend(with: operation.entries(for: self))
        case .truncate(let index): next.apply(.truncate(after: index))
        case .vote(let vote): next.apply(.vote(vote))
        case .compact(let index):
            next.apply(.compact(index < nextIndex ? try boundary(at: index) : boundary(beyond: index)))
        case .exportAndInstall(let range): next.apply(.truncate(after: range.upperBound.previous))
        case .updateCommit, .readRange, .flush, .reopen, .crash: break
        }
        return next
    }

    /// A boundary behind the last entry, with a chain value that is made up, as if a snapshot knew it.
    fileprivate func boundary(beyond index: RaftIndex) -> LogBoundary {
        let term = max(lastTerm, vote.term, 1)
        return LogBoundary(index: index, term: term, chain: ChainValue(high: index.rawValue, low: term.rawValue))
    }
}

extension LogReading {
    /// Over boundary, chain values and vote; the chains cover the entries.
    fileprivate var digest: UInt64 {
        var bytes: [UInt8] = []
        for value in [
            boundary.index.rawValue, boundary.term.rawValue, boundary.chain.low, boundary.chain.high,
            vote.term.rawValue, vote.candidate.rawValue,
        ] { bytes.append(littleEndian: value) }
        for entry in entries {
            bytes.append(littleEndian: entry.chain.low)
            bytes.append(littleEndian: entry.chain.high)
        }
        return bytes.withUnsafeBytes { Checksum.xxh3($0, seed: 0) }
    }
}
