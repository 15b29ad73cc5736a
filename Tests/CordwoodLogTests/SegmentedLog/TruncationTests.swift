import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

@Suite("A suffix is dropped")
struct TruncationTests {
    @Test("replacing a suffix lowers the durable index at once and leaves the new entries")
    func replace() throws {
        let image = try LogWorld.run { (store, _) async throws in
            try await store.write(LogWorld.entries(1...10))
            let ticket = try store.replaceSuffix(from: 6, with: LogWorld.entries(6...7, term: 2))
            #expect(store.durableIndex == 5)
            #expect(store.nextIndex == 8)
            #expect(try store.term(at: 6) == 2)
            #expect(try store.term(at: 5) == 1)
            store.endBatch()
            try await store.waitUntilDurable(ticket)
            #expect(store.durableIndex == 7)
            try await store.write(LogWorld.entries(8...9, term: 2))
        }
        try LogWorld.run(on: image) { (store, _) async throws in
            let expected = LogWorld.entries(1...5) + LogWorld.entries(6...9, term: 2)
            #expect(try await store.all().asGiven == expected)
            #expect(store.state.epoch == 3)
        }
    }

    @Test("a truncation across segments leaves their files and reads back what took the place")
    func acrossSegments() throws {
        let image = try LogWorld.run { (store, _) async throws in
            try await store.write(LogWorld.entries(1...200, payloadBytes: 1000))
            let segments = store.segments.count
            _ = try store.replaceSuffix(from: 20, with: LogWorld.entries(20...120, term: 2, payloadBytes: 900))
            try await store.flush()
            #expect(store.segments.count >= segments)
            let expected =
                LogWorld.entries(1...19, payloadBytes: 1000) + LogWorld.entries(20...120, term: 2, payloadBytes: 900)
            #expect(try await store.all().asGiven == expected)
        }
        try LogWorld.run(on: image) { (store, _) async throws in
            let expected =
                LogWorld.entries(1...19, payloadBytes: 1000) + LogWorld.entries(20...120, term: 2, payloadBytes: 900)
            #expect(try await store.all().asGiven == expected)
        }
    }

    @Test("what a truncation dropped at the end of one life is not read in the next")
    func truncationBeforeRestart() throws {
        let image = try LogWorld.run { (store, _) async throws in
            try await store.write(LogWorld.entries(1...10))
            _ = try store.truncate(after: 4)
            try await store.flush()
        }
        try LogWorld.run(on: image) { (store, _) async throws in
            try await store.write(LogWorld.entries(5...60, payloadBytes: 200))
            #expect(try await store.entry(at: 5).asGiven == LogWorld.entry(5, payloadBytes: 200))
            #expect(
                try await store.all().asGiven == LogWorld.entries(1...4) + LogWorld.entries(5...60, payloadBytes: 200))
        }
    }

    @Test("a ticket whose entry was dropped is stale, one that the truncation left is not")
    func staleTickets() throws {
        try LogWorld.run { (store, _) async throws in
            let early = try store.append(LogWorld.entries(1...3))
            let late = try store.append(LogWorld.entries(4...6))
            let vote = try store.recordVote(Vote(term: 2, candidate: 5))
            _ = try store.truncate(after: 4)
            store.endBatch()
            try await store.waitUntilDurable(early)
            try await store.waitUntilDurable(vote)
            await #expect(throws: LogError.stale) { try await store.waitUntilDurable(late) }
            #expect(store.durableIndex == 4)
        }
    }

    @Test("a write that ends after the truncation of its entries does not raise the durable index", arguments: [1, 4])
    func lateCompletion(depth: Int) throws {
        var options = LogWorld.options
        options.depth = depth
        try LogWorld.run(options: options) { (store, seams) async throws in
            _ = try store.append(LogWorld.entries(1...10))
            store.endBatch()
            // The batch is in flight when its second half is dropped.
            await seams.clock.sleep(nanoseconds: 1_000)
            _ = try store.truncate(after: 5)
            let ticket = try store.append(LogWorld.entries(6...7, term: 2))
            #expect(store.durableIndex <= 5)
            store.onProgress = { progress in
                #expect(progress.durableIndex <= 5 || progress.sequence >= ticket.sequence)
            }
            store.endBatch()
            try await store.waitUntilDurable(ticket)
            #expect(store.durableIndex == 7)
        }
    }

    @Test("next partition indexes fall back with the entries that a truncation drops")
    func partitionTails() throws {
        func entry(_ index: RaftIndex, _ partition: PartitionID, _ number: PartitionLogIndex, after: RaftIndex) -> Entry
        {
            Entry(
                index: index, term: 1, type: .application, timestampMicroseconds: 1,
                slices: .one(
                    EntrySlice(
                        partition: partition, partitionIndex: number, previousRaftIndex: after, offset: 0, length: 1)),
                payload: [1])
        }
        let image = try LogWorld.run { (store, _) async throws in
            try await store.write([
                entry(1, 0, 1, after: 0), entry(2, 7, 1, after: 0), entry(3, 0, 2, after: 1), entry(4, 7, 2, after: 2),
            ])
            #expect(store.nextPartitionIndex(7) == 3)
            _ = try store.truncate(after: 2)
            #expect(store.nextPartitionIndex(0) == 2)
            #expect(store.lastRaftIndex(of: 0) == 1)
            #expect(store.nextPartitionIndex(7) == 2)
            #expect(store.nextPartitionIndex(8) == 1)
            #expect(throws: LogError.self) { try store.append([entry(3, 0, 3, after: 1)]) }
            #expect(throws: LogError.self) { try store.append([entry(3, 0, 2, after: 2)]) }
            #expect(throws: LogError.self) {
                try store.append([entry(3, 0, 2, after: 1), entry(4, 0, 2, after: 1)])
            }
            #expect(store.nextPartitionIndex(0) == 2)
            try await store.write([entry(3, 0, 2, after: 1)])
        }
        try LogWorld.run(on: image) { (store, _) async throws in
            #expect(store.nextPartitionIndex(0) == 3)
            #expect(store.lastRaftIndex(of: 7) == 2)
        }
    }
}
