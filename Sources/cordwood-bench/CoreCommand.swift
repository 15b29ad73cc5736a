internal import CAllocations
internal import CordwoodBase
internal import CordwoodIO
internal import CordwoodOptions
internal import CordwoodPlatform
internal import CordwoodRaft

/// `cordwood-bench core`: what the consensus core alone commits.
extension BenchCommand {
    /// Three cores in one thread, with no network and no disk: every effect is carried out by a function call.
    static let core = BenchCommand("core", "commits a second of the consensus core alone, three replicas in memory") {
        run in
        nonisolated(unsafe) let report = run.report()
        let platform = try Platform.start(io: .posix)
        defer { platform.shutdown() }
        try platform.runToEnd { seams in
            for batch in [1, 64] {
                let workload = try CoreWorkload(batch: batch, window: 4, payloadBytes: 256)
                let figures = try workload.measure(clock: seams.clock, timeNanoseconds: run.timeNanoseconds)
                report.add([
                    ("replicas", .count(3)), ("payload", .count(256)), ("batch", .count(UInt64(batch))),
                    ("window", .count(4)), ("entries", .count(figures.entries)),
                    ("entries_per_s", .number(figures.entriesPerSecond, digits: 0)),
                    ("cpu_ns_entry", .number(figures.processorNanosecondsPerEntry, digits: 1)),
                    ("allocations", .count(figures.allocations)),
                ])
            }
        }
    }
}

/// A group of three cores that one thread keeps busy.
///
/// One entry a proposal; a turn ends after `batch` proposals, and there are always `window` turns under way. Payloads
/// stand for themselves: what a message carries is the heads of its entries, as a node has them after decoding.
final class CoreWorkload {
    struct Figures {
        var entries: UInt64
        var entriesPerSecond: Double
        /// What one entry costs all three replicas together.
        var processorNanosecondsPerEntry: Double
        /// Calls for memory while it was measured.
        var allocations: UInt64
    }

    enum Failure: Error {
        case noLeader
    }

    private struct Packet {
        var message: RaftMessage
        /// Where the entries' heads begin in `heads`.
        var firstHead: Int
    }

    private let batch: Int
    private let window: Int
    private let payloadBytes: Int
    private var cores: [RaftCore] = []
    private var effects = RaftEffects(capacity: 1024)
    private var effectsOfStep: [RaftEffect] = []
    private var queue: [Packet] = []
    private var queued: [Packet] = []
    private var heads: [EntryHead] = []
    /// The newest entries' payloads are at hand, as in a node.
    private let residentEntries: UInt64 = 1 << 12

    init(batch: Int, window: Int, payloadBytes: Int) throws {
        self.batch = batch
        self.window = window
        self.payloadBytes = payloadBytes
        var options = RaftOptions()
        options.windowMessages = window
        for id in 1...3 {
            let start = RaftStart(
                replica: ReplicaID(UInt64(id)), boundary: LogPosition(index: 1, term: 1),
                configuration: GroupConfiguration(voters: [1, 2, 3]), seed: UInt64(id))
            cores.append(try RaftCore(start, options: options))
        }
        cores[0].step(.campaign, into: &effects)
        carryOut(0)
        deliverAll()
        if !cores[0].isLeader { throw Failure.noLeader }
    }

    /// Runs until everything that grows has grown, then measures.
    func measure(clock: any Clock, timeNanoseconds: UInt64) throws -> Figures {
        while cores[0].commitIndex.rawValue < 4 * residentEntries { run(clock, until: 0) }
        let allocations = callocations_count()
        let first = cores[0].commitIndex
        let start = clock.monotonicNanoseconds
        let processor = ProcessTime.nanoseconds
        run(clock, until: start + timeNanoseconds)
        let nanoseconds = clock.monotonicNanoseconds - start
        let entries = cores[0].commitIndex - first
        return Figures(
            entries: entries, entriesPerSecond: Double(entries) * 1e9 / Double(nanoseconds),
            processorNanosecondsPerEntry: Double(ProcessTime.nanoseconds - processor) / Double(entries),
            allocations: callocations_count() - allocations)
    }

    private func run(_ clock: any Clock, until deadline: UInt64) {
        var turn = 0
        while turn % 256 != 0 || turn == 0 || clock.monotonicNanoseconds < deadline {
            turn += 1
            for _ in 0..<window {
                for _ in 0..<batch { _ = cores[0].propose(.application, size: payloadBytes, into: &effects) }
                cores[0].step(.endTurn, into: &effects)
                carryOut(0)
            }
            deliverAll()
            if turn % 64 == 0 { forget() }
        }
    }

    private func deliverAll() {
        while !queue.isEmpty {
            swap(&queue, &queued)
            for packet in queued {
                let place = Int(packet.message.to.rawValue) - 1
                let last = packet.firstHead + Int(packet.message.entryCount)
                cores[place].receive(
                    packet.message, entries: heads.span.extracting(packet.firstHead..<last), into: &effects)
                carryOut(place)
            }
            queued.removeAll(keepingCapacity: true)
        }
        heads.removeAll(keepingCapacity: true)
    }

    /// What a node does with effects, with writes that are durable at once.
    private func carryOut(_ place: Int) {
        while !effects.effects.isEmpty {
            swap(&effects.effects, &effectsOfStep)
            for effect in effectsOfStep {
                switch effect {
                case .append(_, _, _, let token), .persist(_, let token):
                    cores[place].step(.durable(token), into: &effects)
                case .send(let message), .sendAfter(_, let message):
                    queue.append(Packet(message: message, firstHead: 0))
                case .sendAppend(let message, _):
                    queue.append(Packet(message: message, firstHead: heads.count))
                    for _ in 0..<message.entryCount {
                        heads.append(
                            EntryHead(term: message.term, size: UInt32(payloadBytes), type: .application))
                    }
                case .apply(let range): cores[place].step(.applied(range.upperBound.previous), into: &effects)
                default: break
                }
            }
            effectsOfStep.removeAll(keepingCapacity: true)
        }
    }

    /// Drops old entries, as compaction and a bounded cache do.
    private func forget() {
        for place in cores.indices {
            let applied = cores[place].appliedIndex
            if applied.rawValue <= residentEntries { continue }
            cores[place].step(.evicted(through: applied - residentEntries), into: &effects)
            cores[place].step(.compacted(through: applied - residentEntries), into: &effects)
            carryOut(place)
        }
    }
}
