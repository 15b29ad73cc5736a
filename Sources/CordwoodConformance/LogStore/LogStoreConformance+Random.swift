import CordwoodBase
import CordwoodIO
import CordwoodRaft
import CordwoodVirtual

extension LogStoreConformance {
    /// Runs `steps` random operations on a fresh store of the factory, and compares the store with the model after
    /// each.
    ///
    /// The same seed gives the same operations. Reopening, and crashes where the factory can make them, are among the
    /// operations. A failure names the seed, the step, the last operations and both states.
    public static func randomSequence(
        on factory: any LogStoreFactory, seed: UInt64, steps: Int
    ) async throws {
        let log = try await LogUnderTest(factory)
        var workload = LogWorkload(seed: seed)
        var recent: [String] = []
        for step in 1...max(1, steps) {
            let operation = workload.next(for: log.model, canCrash: factory.canCrash)
            recent.append("\(operation)")
            do {
                try await log.perform(operation)
            } catch {
                throw ConformanceFailure(
                    """
                    seed \(seed), step \(step): \(error)
                    operations, the last one failed: \(recent.suffix(12).joined(separator: "; "))
                    store: \(log.store.state)
                    model: \(log.model.summary)
                    """)
            }
        }
        try await log.store.close()
    }
}

/// One operation of a random sequence.
enum WorkloadOperation: Hashable, CustomStringConvertible {
    case append(count: Int, bytes: Int)
    case replaceSuffix(from: RaftIndex, count: Int)
    case truncate(after: RaftIndex)
    case compact(through: RaftIndex)
    case vote(Vote)
    case updateCommit(RaftIndex)
    case exportAndInstall(Range<RaftIndex>)
    case readRange(Range<RaftIndex>, maxBytes: Int?)
    case batchOfSingles(count: Int)
    case flush
    case reopen
    case crash

    var description: String {
        switch self {
        case .append(let count, let bytes): "append \(count) of \(bytes) bytes"
        case .replaceSuffix(let index, let count): "replace from \(index) with \(count)"
        case .truncate(let index): "truncate after \(index)"
        case .compact(let index): "compact through \(index)"
        case .vote(let vote): "vote \(vote.term)/\(vote.candidate)"
        case .updateCommit(let index): "commit \(index)"
        case .exportAndInstall(let range): "export and install \(range)"
        case .readRange(let range, let bytes): "read \(range) within \(bytes.map(String.init) ?? "any") bytes"
        case .batchOfSingles(let count): "append \(count) one by one"
        case .flush: "flush"
        case .reopen: "reopen"
        case .crash: "crash"
        }
    }
}

/// Draws operations that a log in its present state allows.
struct LogWorkload {
    private let random: VirtualRandom
    private var term: UInt64 = 1

    init(seed: UInt64) { random = VirtualRandom(seed: seed, concern: "log workload") }

    mutating func next(for log: LogModel, canCrash: Bool) -> WorkloadOperation {
        if random.chance(1, in: 8) { term += 1 }
        let held = UInt64(log.entries.count)
        // A log that has grown is cut and purged more often, so that it stays small enough to be compared whole.
        let isLong = held > 60
        switch random.next(below: 100) {
        case 0..<28: return isLong ? .compact(through: log.lastIndex - random.next(below: 20)) : append()
        case 28..<36: return .batchOfSingles(count: Int(random.next(in: 1...8)))
        case 36..<48:
            return .replaceSuffix(
                from: log.startIndex + random.next(below: held + 1), count: Int(random.next(below: 5)))
        case 48..<56: return .truncate(after: log.boundary.index + random.next(below: held + 3))
        case 56..<64:
            return .compact(through: log.boundary.index + random.next(below: held + 1))
        case 64..<66: return .compact(through: log.lastIndex + random.next(below: 9))
        case 66..<72: return .vote(Vote(term: Term(term), candidate: ReplicaID(random.next(below: 4))))
        case 72..<76: return .updateCommit(RaftIndex(random.next(below: log.nextIndex.rawValue + 2)))
        case 76..<80:
            let first = log.startIndex + random.next(below: held + 1)
            return .exportAndInstall(first..<first + random.next(below: log.nextIndex - first + 1))
        case 80..<88:
            let first = log.startIndex + random.next(below: held + 1)
            let range = first..<first + random.next(below: log.nextIndex - first + 1)
            return .readRange(range, maxBytes: random.chance(1, in: 3) ? nil : Int(random.next(below: 4000)))
        case 88..<91: return .flush
        case 91..<96: return .reopen
        default: return canCrash ? .crash : .reopen
        }
    }

    private func append() -> WorkloadOperation {
        let sizes: [UInt64] = [0, 40, 200, 600, 1500, 4200]
        let bytes = random.next(below: sizes[Int(random.next(below: UInt64(sizes.count)))] + 1)
        return .append(count: Int(random.next(in: 1...12)), bytes: Int(bytes))
    }
}

extension LogUnderTest {
    /// Entries of one random sequence take the highest term seen so far, so that terms never fall.
    private var workloadTerm: Term { max(model.lastTerm, model.vote.term, 1) }

    func perform(_ operation: WorkloadOperation) async throws {
        switch operation {
        case .append(let count, let bytes): try await append(count, term: workloadTerm, payloadBytes: bytes)
        case .batchOfSingles(let count):
            let entries = makeEntries(count, term: workloadTerm, payloadBytes: 60)
            for entry in entries.dropLast() { _ = try store.append([entry]) }
            try await finishBatch(entries)
        case .replaceSuffix(let index, let count):
            if index == store.nextIndex {
                try await append(count, term: workloadTerm)
            } else {
                try await replaceSuffix(from: index, count: count, term: workloadTerm.next)
            }
        case .truncate(let index): try await truncate(after: index)
        case .compact(let index): try await compact(through: index, term: workloadTerm)
        case .vote(let vote): try await self.vote(vote)
        case .updateCommit(let index): store.updateCommit(index)
        case .exportAndInstall(let range):
            let source = model
            let exported = try await store.export(range)
            if !range.isEmpty { try await install(exported, range, of: source) }
        case .readRange(let range, let maxBytes):
            try expectEqual(
                try await store.entries(in: range, maxBytes: maxBytes),
                try model.entries(in: range, maxBytes: maxBytes), "range \(range)")
        case .flush: try await flush()
        case .reopen:
            try await reopen()
            try await verify()
        case .crash:
            try await crash()
            try await verify()
        }
    }
}

extension LogModel {
    /// The positions of the model in words.
    var summary: String {
        "boundary \(boundary) next \(nextIndex) last \(lastEntry.map { "\($0)" } ?? "none") vote \(vote) "
            + "commit hint \(commitHint)"
    }
}
