import CordwoodBase
import CordwoodRaft

extension LogStoreConformance {
    static let compactionChecks: [Check] = [
        Check("purge up to the first entry (9.1/33)") { log in
            try await log.append(11, term: 1)
            try await log.compact(through: 1)
            try expectEqual(try await log.store.entries(in: 2..<12, maxBytes: nil).count, 10, "entries")
        },
        Check("purge up to the middle (9.1/34)") { log in
            try await log.append(11, term: 1)
            try await log.compact(through: 6)
            try expectEqual(log.store.startIndex, 7, "start")
            try expectEqual(try await log.store.entries(in: 7..<12, maxBytes: nil).count, 5, "entries")
        },
        Check("purge beyond the last entry: empty, and last is the boundary (9.1/35)") { log in
            try await log.append(11, term: 1)
            try await log.compact(through: 21, term: 2)
            try expectEqual(log.store.nextIndex, 22, "next")
            try expectEqual(log.store.startIndex, 22, "start")
            try expectEqual(log.store.lastEntry, LogPosition(index: 21, term: 2), "last entry")
            try await log.append(4, term: 3)
        },
        Check("purge beyond the end of a fresh store") { log in
            try await log.compact(through: 1000, term: 7)
            try await log.append(3, term: 7)
            try expectEqual(log.store.lastEntry, LogPosition(index: 1003, term: 7), "last entry")
        },
        Check("purge beyond the end needs the boundary of a snapshot") { log in
            try await log.append(3, term: 1)
            try await expectRefused(log, "compaction through 9 without a boundary") {
                try await log.store.compact(through: 9, boundary: nil)
            }
        },
        Check("purge of everything, then append (9.1/40)") { log in
            try await log.append(10, term: 1)
            try await log.compact(through: 10)
            try await log.append(1, term: 2)
            try expectEqual(log.store.lastEntry, LogPosition(index: 11, term: 2), "last entry")
        },
        Check("purges one entry after another, over several segments") { log in
            for _ in 0..<6 { try await log.append(8, term: 1, payloadBytes: 900) }
            for index in 1...48 as ClosedRange<UInt64> { try await log.compact(through: RaftIndex(index)) }
        },
        Check("a purge at or below the boundary changes nothing") { log in
            try await log.append(10, term: 1)
            try await log.compact(through: 6)
            for index in [0, 1, 5, 6] as [RaftIndex] { try await log.compact(through: index) }
            try expectEqual(log.store.startIndex, 7, "start")
        },
        Check("exactly the named range is purged, and what follows can be read at once (renegade#571)") { log in
            try await log.append(10, term: 1)
            try await log.store.compact(through: 5, boundary: nil)
            try await expectError(.purged(5), "entry 5") { _ = try await log.store.entry(at: 5) }
            try expectEqual(try await log.store.entry(at: 6).index, 6, "entry 6")
        },
        Check("the boundary's term and chain survive purge, truncation and reopening") { log in
            try await log.append(5, term: 1)
            try await log.append(5, term: 4)
            let chain = try await log.store.entry(at: 7).chain
            try await log.compact(through: 7)
            try expectEqual(log.store.state.boundary, LogBoundary(index: 7, term: 4, chain: chain), "boundary")
            try await log.truncate(after: 7)
            try await log.reopen()
            try expectEqual(log.store.state.boundary, LogBoundary(index: 7, term: 4, chain: chain), "boundary")
            try await log.append(3, term: 5)
        },
        Check("a purge overtakes appends that are not durable yet") { log in
            try await log.append(4, term: 1)
            _ = try log.store.append(log.makeEntries(4, term: 1))
            try await log.store.compact(through: 6, boundary: nil)
            try expectEqual(log.store.startIndex, 7, "start")
            try expectEqual(log.store.nextIndex, 9, "next")
            try await log.store.flush()
            try expectEqual(log.store.durableIndex, 8, "durable")
        },
        Check("purge beyond the end, several times over (HomeStore#446)") { log in
            for round in 1...5 as ClosedRange<UInt64> {
                try await log.append(7, term: Term(round))
                try await log.compact(through: RaftIndex(round * 100), term: Term(round))
            }
        },
        Check("append and purge for many rounds") { log in
            for round in 1...30 as ClosedRange<UInt64> {
                try await log.append(6, term: Term(round), payloadBytes: 700)
                try await log.compact(through: RaftIndex(round * 6 - 2))
            }
        },
    ]
}
