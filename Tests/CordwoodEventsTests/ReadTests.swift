import CordwoodBase
import CordwoodEvents
import CordwoodMachine
import Testing

@Suite("Reading events")
struct ReadTests {
    private let ample = ReadLimit(count: 1000, bytes: 1 << 30)

    /// 30 events over three streams, singly and three at a time, with refused commands between them.
    private func filled() throws -> Workbench {
        let bench = Workbench()
        for round in 0..<6 as Range<UInt64> {
            try bench.append(TestEvent(round * 5, stream: "a"))
            try bench.append(TestEvent(900, stream: "a", expected: .empty))
            try bench.append([
                TestEvent(round * 5 + 1, stream: "b"), TestEvent(round * 5 + 2, stream: "c"),
                TestEvent(round * 5 + 3, stream: "b"),
            ])
            try bench.append(TestEvent(round * 5 + 4, stream: "c"))
        }
        return bench
    }

    @Test("every event is found by its id, with all its parts")
    func byID() async throws {
        let bench = Workbench()
        var event = TestEvent(8, stream: "é", expected: .empty)
        event.name = ""
        event.metadata = [0, 10, 13]
        event.payload = Array(repeating: 7, count: 5000)
        event.timestamp = 99
        try bench.append(TestEvent(1))
        try bench.append([TestEvent(2), event])
        let found = try #require(try await bench.store.event(event.id))
        #expect(found.id == event.id)
        #expect(found.partitionKey == TestEvent.key)
        #expect(found.partition == 7)
        #expect(found.transactionID == TransactionID(firstEvent: TestEvent.id(2), eventCount: 2))
        #expect(found.sequence == 2)
        #expect(found.version == 0)
        #expect(found.timestampMilliseconds == 99)
        #expect(Array(found.streamID) == Array("é".utf8))
        #expect(found.name.isEmpty)
        #expect(Array(found.metadata) == event.metadata)
        #expect(Array(found.payload) == event.payload)
        #expect(try await bench.store.event(TestEvent.id(77)) == nil)
        let single = try #require(try await bench.store.event(TestEvent.id(1)))
        #expect(single.transactionID.isSingleEvent)
    }

    @Test("a partition is read by sequence, bounds inclusive")
    func bySequence() async throws {
        let bench = try filled()
        let all = try await bench.store.events(limit: ample)
        #expect(all.events.map(\.sequence) == Array(0..<30))
        #expect(all.events.map(\.id) == (0..<30).map { TestEvent.id($0) })
        #expect(!all.hasMore)
        let some = try await bench.store.events(from: 7, through: 12, limit: ample)
        #expect(some.events.map(\.sequence) == Array(7...12))
        #expect(!some.hasMore)
        #expect(try await bench.store.events(from: 30, limit: ample) == EventPage(events: [], hasMore: false))
        #expect(try await bench.store.events(from: 9, through: 8, limit: ample).events.isEmpty)
    }

    @Test("a stream is read by version, bounds inclusive")
    func byVersion() async throws {
        let bench = try filled()
        let stream = try #require(bench.stream("b"))
        let all = try await bench.store.events(of: stream, limit: ample)
        #expect(all.events.map(\.version) == Array(0..<12))
        #expect(all.events.allSatisfy { $0.streamID.elementsEqual("b".utf8) })
        let some = try await bench.store.events(of: stream, from: 3, through: 5, limit: ample)
        #expect(some.events == Array(all.events[3...5]))
        #expect(try await bench.store.events(of: stream, from: 12, limit: ample).events.isEmpty)
        #expect(bench.stream("d") == nil)
    }

    @Test("has more is true only when a visible event follows within the bounds")
    func hasMore() async throws {
        let bench = try filled()
        let stream = try #require(bench.stream("a"))
        func page(_ count: Int, through last: UInt64 = .max) async throws -> Bool {
            try await bench.store.events(of: stream, through: last, limit: ReadLimit(count: count, bytes: 1 << 20))
                .hasMore
        }
        #expect(try await page(6) == false)
        #expect(try await page(5) == true)
        #expect(try await page(5, through: 4) == false)
        #expect(try await page(4, through: 4) == true)
        func partitionPage(_ count: Int, through last: UInt64 = .max) async throws -> Bool {
            try await bench.store.events(through: last, limit: ReadLimit(count: count, bytes: 1 << 20)).hasMore
        }
        #expect(try await partitionPage(30) == false)
        #expect(try await partitionPage(29) == true)
        #expect(try await partitionPage(10, through: 9) == false)
        bench.watermark = 10
        #expect(try await partitionPage(10) == false)
        #expect(try await partitionPage(9) == true)
    }

    @Test("with W = k event k is invisible on every path")
    func visibility() async throws {
        let bench = try filled()
        let everything = try await bench.store.events(limit: ample).events
        for watermark in 0...30 as ClosedRange<UInt64> {
            bench.watermark = watermark
            let visible = everything.prefix(Int(watermark))
            #expect(bench.store.watermark == watermark)
            #expect(bench.store.lastVisibleSequence == visible.last?.sequence)
            #expect(try await bench.store.events(limit: ample).events == Array(visible))
            for event in everything {
                let found = try await bench.store.event(event.id)
                #expect(found == (event.sequence < watermark ? event : nil))
            }
            for name in ["a", "b", "c"] {
                let stream = try #require(bench.stream(name))
                let ofStream = visible.filter { $0.streamID.elementsEqual(name.utf8) }
                #expect(bench.store.lastVisibleVersion(of: stream) == ofStream.last?.version)
                #expect(try await bench.store.events(of: stream, limit: ample).events == ofStream)
            }
        }
    }

    @Test("a watermark beyond what is applied shows what is applied")
    func watermarkBeyondApplied() throws {
        let bench = try filled()
        bench.watermark = 1000
        #expect(bench.store.watermark == 30)
        #expect(bench.store.lastVisibleSequence == 29)
    }

    @Test("a byte limit cuts a page, which then has more, and never below one event")
    func byteLimit() async throws {
        let bench = Workbench()
        for number in 0..<10 as Range<UInt64> {
            var event = TestEvent(number)
            event.payload = Array(repeating: 1, count: 1000)
            try bench.append(event)
        }
        var from: UInt64 = 0
        var pages: [Int] = []
        while true {
            let page = try await bench.store.events(from: from, limit: ReadLimit(count: 100, bytes: 3500))
            pages.append(page.events.count)
            #expect(page.events.first?.sequence == from)
            from += UInt64(page.events.count)
            if !page.hasMore { break }
        }
        #expect(pages == [3, 3, 3, 1])
        let least = try await bench.store.events(limit: ReadLimit(count: 100, bytes: 0))
        #expect(least.events.count == 1 && least.hasMore)
    }

    @Test("neighbouring entries are read together")
    func readsAreGrouped() async throws {
        let bench = try filled()
        bench.log.readCount = 0
        _ = try await bench.store.events(limit: ample)
        #expect(bench.log.readCount == 1)
    }

    @Test("a log that lost or changed what was applied is an error, not an answer")
    func damagedLog() async throws {
        let bench = try filled()
        let snapshot = bench.store.snapshot()
        let replaced = bench.log.commands[4]
        bench.log.commands[4].payload = [1, 2, 3]
        await #expect(throws: EventReadError.unexpectedCommand(5)) { try await bench.store.events(limit: ample) }
        bench.log.commands[4] = replaced
        bench.log.commands.removeLast(3)
        let store = bench.freshStore()
        try store.restore(snapshot)
        await #expect(throws: EventReadError.missing(24)) { try await store.events(from: 29, limit: ample) }
    }
}
