import CordwoodBase
import CordwoodRaft

extension LogStoreConformance {
    static let durabilityChecks: [Check] = [
        Check("a ticket names the last index that it covers, and tickets are handed out in order") { log in
            try await log.append(3, term: 1)
            let first = try log.store.append(log.makeEntries(2, term: 1))
            let second = try log.store.recordVote(Vote(term: 1, candidate: 1))
            try expectEqual(first.index, 5, "index of the append's ticket")
            try expect(second.sequence > first.sequence, "sequence \(second.sequence) after \(first.sequence)")
            log.store.endBatch()
            try await log.store.waitUntilDurable(second)
            try await log.store.waitUntilDurable(first)
            try await log.store.waitUntilDurable(first)
            try expectEqual(log.store.durableIndex, 5, "durable")
        },
        Check("progress is told after it can be seen, and in order") { log in
            var failure: String?
            var told: [LogProgress] = []
            let store = log.store
            store.onProgress = { [unowned store] progress in
                if store.durableIndex < progress.durableIndex {
                    failure = "told \(progress.durableIndex), visible \(store.durableIndex)"
                }
                if let last = told.last, progress.sequence < last.sequence { failure = "\(progress) after \(last)" }
                told.append(progress)
            }
            for _ in 0..<5 {
                let entries = log.makeEntries(1, term: 1, from: nil)
                _ = try log.store.append(
                    entries.map { entry in
                        var next = entry
                        next.index = store.nextIndex
                        next.slices = .none
                        return next
                    })
                log.store.endBatch()
            }
            try await log.store.flush()
            store.onProgress = nil
            if let failure { throw ConformanceFailure(failure) }
            try expectEqual(told.last?.durableIndex, 5, "last durable index told")
        },
        Check("durable never runs ahead of the log and reaches it by a flush") { log in
            for round in 1...6 as ClosedRange<UInt64> {
                let ticket = try log.store.append(log.makeEntries(3, term: Term(round)))
                try expect(log.store.durableIndex < log.store.nextIndex, "durable \(log.store.durableIndex)")
                try await log.store.flush()
                try expectEqual(log.store.durableIndex, ticket.index, "durable")
                try await log.truncate(after: 0)
            }
        },
        Check("a flush in the middle of a batch makes all of it durable") { log in
            _ = try log.store.append(log.makeEntries(3, term: 1))
            _ = try log.store.recordVote(Vote(term: 9, candidate: 4))
            try await log.store.flush()
            try expectEqual(log.store.durableIndex, 3, "durable")
            try await log.reopen()
            try expectEqual(log.store.nextIndex, 4, "next")
            try expectEqual(log.store.state.vote, Vote(term: 9, candidate: 4), "vote")
        },
        Check("what was dropped while its batch was under way never becomes durable") { log in
            try await log.append(4, term: 1)
            let dropped = try log.store.append(log.makeEntries(4, term: 1))
            log.store.endBatch()
            let settledAtOnce = log.store.durableIndex >= dropped.index
            let ticket = try log.store.replaceSuffix(from: 5, with: log.makeEntries(1, term: 2))
            try expect(log.store.durableIndex <= 4, "durable \(log.store.durableIndex)")
            log.store.endBatch()
            try await log.store.waitUntilDurable(ticket)
            try expectEqual(log.store.durableIndex, 5, "durable")
            if !settledAtOnce {
                try await expectError(.stale, "the ticket of what was dropped") {
                    try await log.store.waitUntilDurable(dropped)
                }
            }
            try await log.replaceSuffix(from: 5, count: 2, term: 3)
        },
        Check("what was durable survives a crash, whatever was begun after it") { log in
            guard log.factory.canCrash else { return }
            try await log.append(6, term: 1)
            try await log.vote(Vote(term: 2, candidate: 3))
            _ = try log.store.append(log.makeEntries(5, term: 2))
            log.store.endBatch()
            try await log.crash()
            try expect((7...12).contains(log.store.nextIndex), "next \(log.store.nextIndex)")
            try expectEqual(log.store.state.vote, Vote(term: 2, candidate: 3), "vote")
            try await log.truncate(after: 6)
        },
        Check("a truncation that was durable is not undone by a crash") { log in
            guard log.factory.canCrash else { return }
            try await log.append(8, term: 1)
            try await log.truncate(after: 3)
            try await log.crash()
            try await log.verify()
            try await log.append(2, term: 2)
            try await log.crash()
            try await log.verify()
        },
        Check("the commit hint may be behind, never ahead of what it was told or of what is durable") { log in
            try await log.append(5, term: 1)
            log.store.updateCommit(3)
            try await log.append(1, term: 1)
            log.store.updateCommit(2)
            log.store.updateCommit(100)
            try expect(log.store.state.commitHint <= 6, "commit hint \(log.store.state.commitHint)")
            try await log.reopen()
            try expect(log.store.state.commitHint <= 6, "commit hint \(log.store.state.commitHint)")
            try await log.verify()
        },
        Check("the commit hint is there again after reopening (9.1/20)") { log in
            guard log.interruption == .none else { return }
            try await log.append(5, term: 1)
            log.store.updateCommit(3)
            try await log.append(1, term: 1)
            try await log.reopen()
            try expectEqual(log.store.state.commitHint, 3, "commit hint")
        },
        Check("a failed write poisons: nothing more is taken, reads go on, opening clears it (7/1, 7/2)") { log in
            try await log.append(6, term: 1)
            guard log.factory.failNextWrite() else { return }
            let ticket = try log.store.append(log.makeEntries(2, term: 1))
            log.store.endBatch()
            try await expectError("the ticket of a failed write", "poisoned", \.isPoisoned) {
                try await log.store.waitUntilDurable(ticket)
            }
            try expectEqual(log.store.state.health, .poisoned, "health")
            try expectEqual(log.store.durableIndex, 6, "durable")
            let more = log.makeEntries(1, term: 2, from: 7, withSlices: false)
            try await expectError("an append", "poisoned", \.isPoisoned) { _ = try log.store.append(more) }
            try await expectError("a vote", "poisoned", \.isPoisoned) {
                try await log.store.saveVote(Vote(term: 2, candidate: 1))
            }
            try await expectError("a truncation", "poisoned", \.isPoisoned) { _ = try log.store.truncate(after: 3) }
            try await expectError("a flush", "poisoned", \.isPoisoned) { try await log.store.flush() }
            try expectEqual(try await log.store.entries(in: 1..<7, maxBytes: nil), log.model.entries, "entries")
            try await log.reopen()
            try expect((7...9).contains(log.store.nextIndex), "next \(log.store.nextIndex)")
            try await log.truncate(after: 6)
            try await log.append(2, term: 3)
        },
    ]

    static let voteChecks: [Check] = [
        Check("a vote is read back (9.1/21)") { log in
            try await log.vote(Vote(term: 3, candidate: 7))
            try await log.reopen()
            try expectEqual(log.store.state.vote, Vote(term: 3, candidate: 7), "vote")
        },
        Check("the last of several votes is in force") { log in
            for term in 1...9 as ClosedRange<UInt64> {
                try await log.vote(Vote(term: Term(term), candidate: ReplicaID(term % 3)))
            }
        },
        Check("a term without a vote is a promise too") { log in
            try await log.vote(Vote(term: 5, candidate: 2))
            try await log.vote(Vote(term: 6, candidate: .none))
        },
        Check("votes stand in one order with entries, truncations and purges") { log in
            try await log.append(4, term: 1)
            try await log.vote(Vote(term: 2, candidate: 1))
            try await log.truncate(after: 2)
            try await log.append(6, term: 2)
            try await log.vote(Vote(term: 3, candidate: 2))
            try await log.compact(through: 5)
            try await log.compact(through: 20, term: 3)
            try await log.truncate(after: 20)
        },
        Check("a vote survives the purge of every entry that was there with it") { log in
            try await log.vote(Vote(term: 2, candidate: 3))
            for round in 1...20 as ClosedRange<UInt64> {
                try await log.append(8, term: 2, payloadBytes: 900)
                try await log.compact(through: RaftIndex(round * 8))
            }
            try expectEqual(log.store.state.vote, Vote(term: 2, candidate: 3), "vote")
        },
    ]
}
