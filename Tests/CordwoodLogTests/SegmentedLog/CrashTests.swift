import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

/// Random work with power cuts: what is found after each is what the log held at some moment not before the last
/// acknowledgement.
@Suite("After a power cut")
struct CrashTests {
    @Test("the log is what it was at a moment not before the last acknowledgement", arguments: 0..<24)
    func recoversToAMoment(seed: Int) throws {
        var run = CrashRun(seed: UInt64(seed), depth: 1 + seed % 4)
        for _ in 0..<5 { try run.lifeAndDeath() }
    }
}

/// The history of a log as a list of moments, and the machine that it runs on.
private struct CrashRun {
    struct Moment: Equatable, CustomTestStringConvertible {
        var boundary = LogBoundary.zero
        var entries: [Entry] = []
        var vote = Vote.none

        var testDescription: String {
            "\(boundary.index)+\(entries.map { "\($0.position)" }) vote \(vote.term)"
        }

        var nextIndex: RaftIndex { boundary.index + UInt64(entries.count) + 1 }
    }

    /// What the work notes while it runs.
    final class History {
        var moments: [Moment]
        /// The newest moment that was acknowledged.
        var acknowledged = 0

        init(_ first: Moment) { moments = [first] }

        var now: Moment { moments[moments.count - 1] }
    }

    let seed: UInt64
    let options: LogStoreOptions
    var image = DiskImage()
    var life: UInt64 = 0
    var moment = Moment()

    init(seed: UInt64, depth: Int) {
        self.seed = seed
        var options = LogWorld.options
        options.depth = depth
        self.options = options
    }

    mutating func lifeAndDeath() throws {
        life += 1
        let world = VirtualWorld(seed: seed &* 1000 &+ life, disk: image)
        let random = world.random("work")
        let history = History(moment)
        let options = self.options
        let expected = moment
        let place = "seed \(seed) life \(life)"
        let steps = random.next(below: 60)
        let isQuick = random.chance(1, in: 3)
        var store: SegmentedLogStore?
        try world.run { (seams) async throws in
            let opened = try await LogWorld.open(seams, options)
            let isAsLeft = try await Self.moment(of: opened) == expected
            #expect(isAsLeft, "\(place): \(opened.recovery)")
            store = opened
            for _ in 0..<steps { try await Self.step(opened, history, random) }
        }
        // The cut comes at some point of what is still under way.
        if !isQuick { world.advance(nanoseconds: random.next(below: 400_000)) }
        image = world.crash()
        withExtendedLifetime(store) {}

        let after = VirtualWorld(seed: seed &* 1000 &+ life &+ 500, disk: image)
        let (found, report) = try after.run { (seams) async throws in
            let opened = try await LogWorld.open(seams, options)
            let found = try await Self.moment(of: opened)
            if random.chance(1, in: 2) { try await opened.close() }
            return (found, opened.recovery)
        }
        let legal = history.moments[history.acknowledged...]
        let isLegal = legal.contains(found)
        #expect(
            isLegal,
            """
            \(place): found \(found.testDescription), legal \(legal.map(\.testDescription)); \(report); \
            files \(image.paths)
            """)
        moment = found
        image = after.crash()
    }

    static func moment(of store: SegmentedLogStore) async throws -> Moment {
        let entries = try await store.entries(in: store.startIndex..<store.nextIndex, maxBytes: nil)
        #expect(store.durableIndex == store.nextIndex.previous)
        return Moment(boundary: store.state.boundary, entries: entries.asGiven, vote: store.state.vote)
    }

    /// One operation, with the moments that a cut within it may leave.
    static func step(_ store: SegmentedLogStore, _ history: History, _ random: VirtualRandom) async throws {
        var now = history.now
        let term = Term(1 + random.next(below: 5))
        switch random.next(below: 16) {
        case 0...6:
            let count = 1 + random.next(below: 6)
            let entries = (0..<count).map {
                LogWorld.entry(now.nextIndex + $0, term: term, payloadBytes: Int(random.next(below: 4000)))
            }
            _ = try store.append(entries)
            for entry in entries {
                now.entries.append(entry)
                history.moments.append(now)
            }
        case 7 where !now.entries.isEmpty:
            let keep = Int(random.next(below: UInt64(now.entries.count)))
            let from = now.boundary.index + UInt64(keep) + 1
            let count = 1 + random.next(below: 3)
            let entries = (0..<count).map { LogWorld.entry(from + $0, term: term, payloadBytes: 300) }
            _ = try store.replaceSuffix(from: from, with: entries)
            now.entries.removeLast(now.entries.count - keep)
            for entry in entries {
                now.entries.append(entry)
                history.moments.append(now)
            }
        case 8 where !now.entries.isEmpty:
            let keep = Int(random.next(below: UInt64(now.entries.count)))
            _ = try store.truncate(after: now.boundary.index + UInt64(keep))
            now.entries.removeLast(now.entries.count - keep)
            history.moments.append(now)
        case 9:
            now.vote = Vote(term: now.vote.term.next, candidate: 5)
            _ = try store.recordVote(now.vote)
            history.moments.append(now)
        case 10 where now.entries.count > 2:
            let drop = 1 + Int(random.next(below: UInt64(now.entries.count - 1)))
            let last = now.entries[drop - 1]
            now.boundary = LogBoundary(index: last.index, term: last.term, chain: .zero)
            now.boundary.chain = try await store.entry(at: last.index).chain
            now.entries.removeFirst(drop)
            history.moments.append(now)
            try await store.compact(through: last.index, boundary: nil)
            history.acknowledged = history.moments.count - 1
        case 11:
            try await store.writeSystemCheckpoint(
                SystemCheckpoint(configuration: [UInt8](repeating: 7, count: Int(random.next(below: 20_000)))))
            try await store.raiseFloor(to: now.boundary.index + 1)
            history.acknowledged = history.moments.count - 1
        case 12, 13:
            store.endBatch()
        default:
            try await store.flush()
            history.acknowledged = history.moments.count - 1
        }
    }
}
