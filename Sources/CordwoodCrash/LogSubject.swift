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
            try log.settle(past.asTold, finding: LogSubject.finding(found))
        }
        let store = try await open(directory, life.seed, seams)
        // Nothing has happened since what was found last was told.
        let last = ledger.lives.last.flatMap { $0.found == nil ? $0 : nil }
        let finding: KilledLog.Finding
        do {
            finding = try await log.judge(
                store, after: last?.asTold ?? KilledLog.Life(seed: 0, begun: 0, acknowledged: 0))
        } catch LogError.unavailable(let what) {
            throw StoreFailed(what)
        }
        if last != nil {
            ledger.found([UInt64(finding.operations), finding.nextIndex.rawValue, finding.digest])
        }
        if life.operations > 0 {
            ledger.begin(lifeOf: life.seed)
            try await work(log, store, life, seams)
        }
        do {
            try await store.close()
        } catch {
            throw StoreFailed("\(error)")
        }
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

    private func work(_ log: KilledLog, _ store: SegmentedLogStore, _ life: CrashLife, _ seams: Seams) async throws {
        let ledger = life.ledger
        let relief = life.filler.isEmpty ? nil : DiskRelief(life.filler, store, seams)
        do {
            try await log.live(on: store, seed: life.seed, operations: life.operations) { event in
                switch event {
                case .begun(let number): ledger.begun(number)
                case .acknowledged(let number): ledger.acknowledged(number)
                case .refused(let number):
                    ledger.refused(number)
                    relief?.noteRefusal()
                }
            }
        } catch let error as LogError where store.state.health != .ok {
            ledger.failed()
            try await expectRefusal(store, after: error)
            throw StoreFailed("\(error)")
        } catch LogError.unavailable(let what) {
            // A read that failed: the log can be written still.
            ledger.failed()
            throw StoreFailed(what)
        } catch LogError.corrupt(let damage) {
            // What was damaged under way came to light when it was read. What is sound is promised.
            try? await store.close()
            throw OpeningRefused("\(damage)")
        }
        try await relief?.expectToGoOn()
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

extension Ledger.Life {
    fileprivate var asTold: KilledLog.Life {
        KilledLog.Life(seed: seed, begun: begun, acknowledged: acknowledged, refused: refused)
    }
}
