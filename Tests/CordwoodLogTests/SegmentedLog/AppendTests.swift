import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import Testing

@testable import CordwoodVirtual

@Suite("A segmented log takes entries")
struct AppendTests {
    /// Found by the simulation: nothing was admitted any more once the first segment was full.
    @Test func aStoreWithoutSpareSegmentsIsRefused() throws {
        var options = LogWorld.options
        options.spareSegments = 0
        #expect(throws: LogError.invalidArgument("without a spare segment nothing is admitted behind the first one")) {
            try LogWorld.run(options: options) { _, _ in }
        }
    }

    @Test("a new log is empty and starts at 1")
    func virgin() throws {
        try LogWorld.run { (store, _) async throws in
            #expect(store.nextIndex == 1)
            #expect(store.startIndex == 1)
            #expect(store.lastEntry == nil)
            #expect(store.durableIndex == 0)
            #expect(try store.term(at: 0) == 0)
            #expect(try store.term(at: 1) == nil)
            #expect(try await store.entries(in: 1..<1, maxBytes: nil).isEmpty)
            await #expect(throws: LogError.notFound(1)) { try await store.entry(at: 1) }
            #expect(store.recovery.isNew)
        }
    }

    @Test("entries are readable at once, durable with their ticket and there after reopening")
    func writeAndReopen() throws {
        let image = try LogWorld.run { (store, _) async throws in
            let ticket = try store.append(LogWorld.entries(1...10))
            #expect(store.nextIndex == 11)
            #expect(store.durableIndex == 0)
            #expect(try await store.all().asGiven == LogWorld.entries(1...10))
            store.endBatch()
            try await store.waitUntilDurable(ticket)
            #expect(store.durableIndex == 10)
        }
        try LogWorld.run(on: image) { (store, _) async throws in
            #expect(store.recovery.outcome == .clean)
            #expect(store.nextIndex == 11)
            #expect(store.durableIndex == 10)
            #expect(store.lastEntry == LogPosition(index: 10, term: 1))
            #expect(try await store.all().asGiven == LogWorld.entries(1...10))
        }
    }

    @Test("the next batch is on its way when anyone hears of the last one")
    func deviceIsKeptAtWork() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let store = try await LogWorld.open(seams)
            var heard: [(durable: RaftIndex, isWriting: Bool)] = []
            store.onProgress = { progress in
                let isWriting = world.disk.operationsUnderWay.contains { $0.contains("write") && $0.contains(".seg") }
                heard.append((progress.durableIndex, isWriting))
            }
            _ = try store.append(LogWorld.entries(1...2))
            store.endBatch()
            // The first batch is in flight when the second one fills.
            await seams.clock.sleep(nanoseconds: 1_000)
            let ticket = try store.append(LogWorld.entries(3...4))
            store.endBatch()
            try await store.waitUntilDurable(ticket)
            #expect(heard.map(\.durable) == [2, 4])
            #expect(heard.map(\.isWriting) == [true, false])
            store.onProgress = nil
            try await store.close()
        }
    }

    @Test("the log crosses segments and reads back what left the memory", arguments: [1, 2, 4])
    func manySegments(depth: Int) throws {
        var options = LogWorld.options
        options.depth = depth
        let image = try LogWorld.run(options: options) { (store, _) async throws in
            var last: LogTicket?
            for index in 1...400 {
                last = try store.append([LogWorld.entry(RaftIndex(UInt64(index)), payloadBytes: 1000)])
                if index % 3 == 0 { store.endBatch() }
                if index % 50 == 0, let last { try await store.waitUntilDurable(last) }
            }
            try await store.flush()
            #expect(store.segments.count > 5)
            #expect(try await store.all().asGiven == LogWorld.entries(1...400, payloadBytes: 1000))
            #expect(try await store.entry(at: 17).asGiven == LogWorld.entry(17, payloadBytes: 1000))
        }
        try LogWorld.run(on: image, options: options) { (store, _) async throws in
            #expect(store.recovery.outcome == .clean)
            #expect(try await store.all().asGiven == LogWorld.entries(1...400, payloadBytes: 1000))
        }
    }

    @Test("gaps, repeated indexes and oversized entries are refused and change nothing")
    func refusals() throws {
        try LogWorld.run { (store, _) async throws in
            try await store.write(LogWorld.entries(1...3))
            for entries in [[LogWorld.entry(5)], [LogWorld.entry(3)], [LogWorld.entry(4), LogWorld.entry(6)]] {
                #expect(throws: LogError.self) { try store.append(entries) }
            }
            #expect(throws: LogError.self) { try store.append([LogWorld.entry(4, payloadBytes: 17 << 10)]) }
            #expect(store.nextIndex == 4)
            try await store.write(LogWorld.entries(4...4))
        }
    }

    @Test("the longest prefix that fits is returned, at least one entry")
    func prefixByBytes() throws {
        try LogWorld.run { (store, _) async throws in
            try await store.write(LogWorld.entries(1...300))
            for first: RaftIndex in [1, 100, 290] {
                #expect(try await store.entries(in: first..<301, maxBytes: 0).count == 1)
                #expect(try await store.entries(in: first..<301, maxBytes: 250).count == 2)
                #expect(try await store.entries(in: first..<301, maxBytes: 300).count == 3)
            }
            #expect(try await store.entries(in: 5..<7, maxBytes: nil).map(\.index) == [5, 6])
            await #expect(throws: LogError.notFound(301)) { try await store.entries(in: 300..<302, maxBytes: nil) }
        }
    }

    @Test("term and vote are durable before the call returns and there after reopening")
    func votes() throws {
        let image = try LogWorld.run { (store, _) async throws in
            try await store.saveVote(Vote(term: 3, candidate: 5))
            #expect(store.state.vote == Vote(term: 3, candidate: 5))
        }
        try LogWorld.run(on: image) { (store, _) async throws in
            #expect(store.state.vote == Vote(term: 3, candidate: 5))
        }
    }
}

extension Entry {
    var asGiven: Entry {
        var entry = self
        entry.chain = .zero
        return entry
    }
}
