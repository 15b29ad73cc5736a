import CordwoodBase
import CordwoodConformance
public import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual

/// The segmented log store under every operation of its contract, with small segments, so that a few entries fill
/// several.
public struct LogSubject: CrashSubject {
    public init() {}

    public func live(in directory: String, _ life: CrashLife, seams: Seams) async throws {
        let ledger = life.ledger
        var log = KilledLog()
        for past in ledger.lives {
            guard let found = past.found else { break }
            try log.settle(seed: past.seed, begun: past.begun, finding: LogSubject.finding(found))
        }
        let store = try await open(directory, life.seed, seams)
        // Nothing has happened since what was found last was told.
        let last = ledger.lives.last.flatMap { $0.found == nil ? $0 : nil }
        let finding = try await log.judge(
            store, seed: last?.seed ?? 0, begun: last?.begun ?? 0, acknowledged: last?.acknowledged ?? 0)
        if last != nil {
            ledger.found([UInt64(finding.operations), finding.nextIndex.rawValue, finding.digest])
        }
        if life.operations > 0 {
            ledger.begin(lifeOf: life.seed)
            do {
                try await log.live(
                    on: store, seed: life.seed, operations: life.operations, begun: { ledger.begun($0) },
                    acknowledged: { ledger.acknowledged($0) })
            } catch let error as LogError where store.state.health != .ok {
                ledger.failed()
                try await expectRefusal(store, after: error)
                throw StoreFailed("\(error)")
            }
        }
        try await store.close()
    }

    private func open(_ directory: String, _ seed: UInt64, _ seams: Seams) async throws -> SegmentedLogStore {
        var options = SegmentedLogStoreFactory.smallSegments
        options.depth = 1 + Int(VirtualRandom(seed: seed, concern: "depth").next(below: 4))
        do {
            return try await SegmentedLogStore.open(
                directory: directory, identity: SegmentedLogStoreFactory.identity, options: options, seams: seams)
        } catch {
            throw OpeningRefused("\(error)")
        }
    }

    /// A store that has failed takes nothing more.
    private func expectRefusal(_ store: SegmentedLogStore, after error: LogError) async throws {
        do {
            try await store.saveVote(Vote(term: 1_000_000, candidate: 1))
        } catch { return }
        throw CrashViolation("a vote was taken after \(error)")
    }

    private static func finding(_ numbers: [UInt64]) throws -> KilledLog.Finding {
        guard numbers.count == 3 else { throw CrashViolation("the ledger has \(numbers) for a finding") }
        return KilledLog.Finding(
            operations: Int(numbers[0]), nextIndex: RaftIndex(numbers[1]), digest: numbers[2])
    }
}
