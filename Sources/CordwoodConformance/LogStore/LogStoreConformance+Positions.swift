import CordwoodBase
import CordwoodRaft

// Numbers such as "9.1/29" name the row of a published suite in the store's contract.

extension LogStoreConformance {
    static let positionChecks: [Check] = [
        Check("a fresh store: next 1, start 1, no last entry, term 0 at index 0 (9.1/28, 9.1/10)") { log in
            try expectEqual(log.store.nextIndex, 1, "next")
            try expectEqual(log.store.startIndex, 1, "start")
            try expectEqual(log.store.lastEntry, nil, "last entry")
            try expectEqual(log.store.durableIndex, 0, "durable")
            try expectEqual(try log.store.term(at: 0), 0, "term at 0")
            try expectEqual(log.store.state.boundary, .zero, "boundary")
            try expectEqual(log.store.state.vote, .none, "vote")
            try expectEqual(log.store.state.commitHint, 0, "commit hint")
            try await log.verify()
        },
        Check("the state of a log with entries only (9.1/29, 9.1/15)") { log in
            try await log.append(1, term: 1)
            try await log.append(2, term: 2)
            try expectEqual(log.store.lastEntry, LogPosition(index: 3, term: 2), "last entry")
        },
        Check("the state after the first entry is purged (9.1/29)") { log in
            try await log.append(3, term: 2)
            try await log.compact(through: 1)
            try expectEqual(log.store.startIndex, 2, "start")
            try expectEqual(log.store.lastEntry, LogPosition(index: 3, term: 2), "last entry")
        },
        Check("the state after all entries are purged: last is the boundary, with its term (9.1/29, 9.1/31)") { log in
            try await log.append(2, term: 1)
            try await log.append(1, term: 3)
            try await log.compact(through: 3)
            try expectEqual(log.store.nextIndex, 4, "next")
            try expectEqual(log.store.startIndex, 4, "start")
            try expectEqual(log.store.lastEntry, LogPosition(index: 3, term: 3), "last entry")
        },
        Check("the state after a purge beyond the last entry (9.1/29, 9.1/35)") { log in
            try await log.append(2, term: 1)
            try await log.compact(through: 5, term: 2)
            try expectEqual(log.store.nextIndex, 6, "next")
            try expectEqual(log.store.startIndex, 6, "start")
            try expectEqual(log.store.lastEntry, LogPosition(index: 5, term: 2), "last entry")
            try expectEqual(try log.store.term(at: 5), 2, "term at the boundary")
        },
        Check("terms: of the boundary, of entries, none from next on, purged below (9.1/30)") { log in
            try await log.append(4, term: 1)
            try await log.append(6, term: 4)
            try await log.compact(through: 4)
            for index in 0..<4 as Range<UInt64> {
                try await expectError(.purged(RaftIndex(index)), "term at \(index)") {
                    _ = try log.store.term(at: RaftIndex(index))
                }
            }
            try expectEqual(try log.store.term(at: 4), 1, "term at 4")
            try expectEqual(try log.store.term(at: 10), 4, "term at 10")
            try expectEqual(try log.store.term(at: 11), nil, "term at 11")
            try expectEqual(try log.store.term(at: 1_000_000_000_000), nil, "term far beyond the end")
        },
        Check("terms equal a linear scan through appends, truncations and purges at the borders of terms (9.1/19)") {
            log in
            try await log.append(3, term: 1)
            try await log.append(1, term: 2)
            try await log.append(4, term: 5)
            try await log.compact(through: 2)
            try await log.compact(through: 3)
            try await log.compact(through: 4)
            try await log.truncate(after: 7)
            try await log.append(2, term: 6)
            try await log.truncate(after: 7)
            try await log.append(3, term: 7)
            try await log.truncate(after: 6)
            try await log.compact(through: 6)
            try await log.append(40, term: 9)
            try await log.compact(through: 30)
            try await log.compact(through: 46)
        },
        Check("last position and vote are restored (9.1/14)") { log in
            try await log.append(1, term: 1)
            try await log.append(1, term: 3)
            try await log.vote(Vote(term: 4, candidate: 2))
            try await log.reopen()
            try await log.verify()
            try expectEqual(log.store.lastEntry, LogPosition(index: 2, term: 3), "last entry")
            try expectEqual(log.store.state.vote, Vote(term: 4, candidate: 2), "vote")
        },
        Check("the epoch never falls, and rises when a store is opened again") { log in
            var epoch = log.store.state.epoch
            for round in 1...4 as ClosedRange<UInt64> {
                try await log.append(4, term: Term(round))
                try await log.truncate(after: RaftIndex(2 * round))
                try expect(log.store.state.epoch >= epoch, "epoch \(log.store.state.epoch) after \(epoch)")
                epoch = log.store.state.epoch
                try await log.reopen()
                try expect(log.store.state.epoch > epoch, "epoch \(log.store.state.epoch) after reopening at \(epoch)")
                epoch = log.store.state.epoch
            }
        },
    ]
}
