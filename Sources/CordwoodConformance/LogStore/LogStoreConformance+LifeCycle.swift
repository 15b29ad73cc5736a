import CordwoodBase
import CordwoodRaft

extension LogStoreConformance {
    static let closingChecks: [Check] = [
        Check("close may be called again; everything else then fails with closed (9.3)") { log in
            try await log.append(4, term: 1)
            let store = log.store
            let entries = log.makeEntries(1, term: 1)
            try await store.close()
            try await store.close()
            try expectEqual(store.state.health, .closed, "health")
            try await expectError(.closed, "append") { _ = try store.append(entries) }
            try await expectError(.closed, "replace") { _ = try store.replaceSuffix(from: 3, with: []) }
            try await expectError(.closed, "truncate") { _ = try store.truncate(after: 2) }
            try await expectError(.closed, "vote") { _ = try store.recordVote(Vote(term: 1, candidate: 1)) }
            try await expectError(.closed, "flush") { try await store.flush() }
            try await expectError(.closed, "compact") { try await store.compact(through: 2, boundary: nil) }
            try await expectError(.closed, "entry") { _ = try await store.entry(at: 1) }
            try await expectError(.closed, "entries") { _ = try await store.entries(in: 1..<3, maxBytes: nil) }
            try await expectError(.closed, "export") { _ = try await store.export(1..<3) }
            try await log.reopen()
            try await log.verify()
        },
        Check("close drains what is under way") { log in
            _ = try log.store.append(log.makeEntries(5, term: 1))
            log.store.endBatch()
            _ = try log.store.recordVote(Vote(term: 8, candidate: 2))
            try await log.reopen()
            try expectEqual(log.store.nextIndex, 6, "next")
            try expectEqual(log.store.durableIndex, 5, "durable")
            try expectEqual(log.store.state.vote, Vote(term: 8, candidate: 2), "vote")
        },
        Check("opened and closed many times without a change, it is the same") { log in
            try await log.append(7, term: 2)
            for _ in 0..<12 {
                try await log.reopen()
                try await log.verify()
            }
            try await log.append(1, term: 2)
        },
        Check("opened after one crash on another, it is the same") { log in
            guard log.factory.canCrash else { return }
            try await log.append(7, term: 2)
            try await log.compact(through: 3)
            for _ in 0..<12 {
                try await log.crash()
                try await log.verify()
            }
            try await log.append(1, term: 2)
        },
    ]

    static let lifeCycleChecks: [Check] = [
        Check("append, drop half, append, purge, append, purge beyond the end, append (9.2)") { log in
            try await log.append(100, term: 1)
            try await log.truncate(after: 50)
            try await log.append(50, term: 2)
            try await log.compact(through: 10)
            try await log.append(20, term: 2)
            try await log.compact(through: 300, term: 2)
            try await log.append(20, term: 3)
            try await log.replaceSuffix(from: 301, count: 5, term: 4)
            try await log.compact(through: 305)
            try await log.replaceSuffix(from: 306, count: 1, term: 5)
            try await log.replaceSuffix(from: 306, count: 1, term: 6)
        },
        Check("cut to nothing, then begun again at another index (9.3)") { log in
            try await log.append(12, term: 1, payloadBytes: 900)
            try await log.truncate(after: 0)
            try await log.compact(through: 5000, term: 2)
            try await log.append(12, term: 3, payloadBytes: 900)
            try await log.truncate(after: 5004)
            try await log.append(4, term: 4)
        },
        Check("entries of very different sizes in one batch") { log in
            for round in 0..<4 {
                var entries: [Entry] = []
                for (position, entry) in log.makeEntries(12, term: 1, withSlices: false).enumerated() {
                    var entry = entry
                    entry.payload =
                        [UInt8](repeating: UInt8(position), count: (position * 97 + round * 401) % 1500)[...]
                    entries.append(entry)
                }
                try await log.append(entries)
            }
        },
        Check("replicas with equal logs have equal chain values, whatever was cut on the way") { log in
            try await log.append(12, term: 1)
            let straight = try await log.store.entries(in: 1..<13, maxBytes: nil)
            try await log.startAfresh()
            try await log.append(5, term: 1)
            try await log.append(9, term: 3)
            try await log.truncate(after: 5)
            try await log.append(7, term: 1)
            try expectEqual(try await log.store.entries(in: 1..<13, maxBytes: nil), straight, "entries")
        },
    ]
}
