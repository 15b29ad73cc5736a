import CordwoodBase
import CordwoodRaft

extension LogStoreConformance {
    static let suffixChecks: [Check] = [
        Check("a replaced suffix drops everything after it") { log in
            try await log.append(10, term: 1)
            try await log.replaceSuffix(from: 7, count: 1, term: 2)
            try expectEqual(log.store.nextIndex, 8, "next")
            try await log.append(3, term: 2)
        },
        Check("a suffix can be replaced at every index") { log in
            for index in 1...9 as ClosedRange<UInt64> {
                try await log.truncate(after: 0)
                try await log.append(8, term: Term(2 * index))
                try await log.replaceSuffix(from: RaftIndex(index), count: 2, term: Term(2 * index + 1))
            }
        },
        Check("a suffix can be replaced by more, by the same number and by nothing") { log in
            try await log.append(6, term: 1)
            try await log.replaceSuffix(from: 4, count: 20, term: 2)
            try await log.replaceSuffix(from: 15, count: 9, term: 3)
            try await log.replaceSuffix(from: 3, count: 0, term: 4)
            try await log.append(1, term: 4)
        },
        Check("a replacement reaches back over several segments") { log in
            for _ in 0..<20 { try await log.append(5, term: 1, payloadBytes: 900) }
            try await log.replaceSuffix(from: 7, count: 3, term: 2)
            for _ in 0..<10 { try await log.append(5, term: 3, payloadBytes: 900) }
            try await log.replaceSuffix(from: 11, count: 1, term: 4)
            try await log.replaceSuffix(from: 1, count: 1, term: 5)
        },
        Check("a replacement at the start of a compacted log, twice (9.2)") { log in
            try await log.append(10, term: 1)
            try await log.compact(through: 6)
            try await log.replaceSuffix(from: 7, count: 2, term: 2)
            try await log.replaceSuffix(from: 7, count: 1, term: 3)
            try await log.compact(through: 7)
            try await log.replaceSuffix(from: 8, count: 2, term: 4)
            try await log.replaceSuffix(from: 8, count: 2, term: 5)
        },
        Check("a replacement is refused beyond next and below start") { log in
            try await log.append(10, term: 1)
            try await log.compact(through: 4)
            var beyond = log.makeEntries(1, term: 2, withSlices: false)
            beyond[0].index = 12
            try await expectRefused(log, "replacement from 12 where 11 is next") {
                _ = try log.store.replaceSuffix(from: 12, with: beyond)
            }
            var below = beyond
            below[0].index = 4
            try await expectRefused(log, "replacement from 4 where 5 is the start") {
                _ = try log.store.replaceSuffix(from: 4, with: below)
            }
        },
        Check("a replacement whose entries do not begin at its index is refused") { log in
            try await log.append(10, term: 1)
            var entries = log.makeEntries(2, term: 2, from: 6, withSlices: false)
            for position in entries.indices { entries[position].index += 1 }
            try await expectRefused(log, "replacement from 6 with 7 and 8") {
                _ = try log.store.replaceSuffix(from: 6, with: entries)
            }
        },
        Check("durable falls before a replacement or truncation returns, and never covers what was dropped") { log in
            try await log.append(10, term: 1)
            let entries = log.makeEntries(2, term: 2, from: 6)
            let first = try log.store.replaceSuffix(from: 6, with: entries)
            try expect(log.store.durableIndex <= 5, "durable \(log.store.durableIndex)")
            try expectEqual(log.store.nextIndex, 8, "next")
            let second = try log.store.truncate(after: 2)
            try expect(log.store.durableIndex <= 2, "durable \(log.store.durableIndex)")
            log.store.endBatch()
            try await log.store.waitUntilDurable(second)
            try expectEqual(log.store.durableIndex, 2, "durable")
            try await expectError(.stale, "the ticket of the replacement that was cut") {
                try await log.store.waitUntilDurable(first)
            }
        },
        Check("delete after a middle index (9.1/37)") { log in
            try await log.append(10, term: 1)
            try await log.truncate(after: 6)
            try expectEqual(log.store.lastEntry, LogPosition(index: 6, term: 1), "last entry")
        },
        Check("delete beyond the end changes nothing (9.1/36)") { log in
            try await log.append(10, term: 1)
            for index in [10, 11, 12, 1000] as [RaftIndex] { try await log.truncate(after: index) }
            try expectEqual(log.store.nextIndex, 11, "next")
        },
        Check("delete all but the first (9.1/38)") { log in
            try await log.append(10, term: 1)
            try await log.truncate(after: 1)
        },
        Check("delete all (9.1/39)") { log in
            try await log.append(10, term: 1)
            try await log.truncate(after: 0)
            try expectEqual(log.store.lastEntry, nil, "last entry")
            try await log.append(2, term: 3)
        },
        Check("delete all that a purge has left, and no more") { log in
            try await log.append(10, term: 1)
            try await log.compact(through: 4)
            try await log.truncate(after: 4)
            try expectEqual(log.store.lastEntry, LogPosition(index: 4, term: 1), "last entry")
            try await expectRefused(log, "truncation after 3 where 5 is the start") {
                _ = try log.store.truncate(after: 3)
            }
            try await log.append(3, term: 2)
        },
        Check("truncation, append and truncation again in one batch") { log in
            try await log.append(10, term: 1)
            _ = try log.store.truncate(after: 6)
            _ = try log.store.append(log.makeEntries(3, term: 2, from: 7))
            let ticket = try log.store.truncate(after: 4)
            log.store.endBatch()
            try await log.store.waitUntilDurable(ticket)
            try expectEqual(log.store.durableIndex, 4, "durable")
            try await log.truncate(after: 4)
        },
        Check("an overwrite within the batch that is open: whole, inside, by a lower index") { log in
            try await log.append(2, term: 1)
            _ = try log.store.append(log.makeEntries(6, term: 1))
            _ = try log.store.replaceSuffix(from: 5, with: log.makeEntries(0, term: 2))
            try expectEqual(log.store.nextIndex, 5, "next")
            let last = try log.store.truncate(after: 2)
            log.store.endBatch()
            try await log.store.waitUntilDurable(last)
            try await log.replaceSuffix(from: 3, count: 6, term: 2)
            try await log.replaceSuffix(from: 2, count: 2, term: 3)
        },
        Check("a partition's next index falls back with the entries that are dropped") { log in
            try await log.append(23, term: 1)
            try await log.truncate(after: 9)
            try await log.append(11, term: 2)
            try await log.replaceSuffix(from: 4, count: 12, term: 3)
            try await log.compact(through: 8)
            try await log.truncate(after: 8)
            try await log.append(12, term: 4)
        },
        Check("rewritten a hundred times, only the last writing counts") { log in
            try await log.append(4, term: 1)
            for round in 2...100 as ClosedRange<UInt64> {
                try await log.replaceSuffix(from: RaftIndex(2 + round % 3), count: 3, term: Term(round))
            }
        },
    ]
}
