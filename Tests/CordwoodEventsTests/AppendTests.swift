import CordwoodBase
import CordwoodEvents
import CordwoodMachine
import Testing

@Suite("Appending events")
struct AppendTests {
    @Test("versions of each stream and sequences of the partition begin at 0 and have no gaps")
    func numbering() throws {
        let bench = Workbench()
        var versions: [String: [UInt64]] = [:]
        for number in 0..<20 as Range<UInt64> {
            let stream = number % 3 == 0 ? "a" : "b"
            let events = try stored(bench.append(TestEvent(number, stream: stream)))
            #expect(events.map(\.sequence) == [number])
            versions[stream, default: []] += events.map(\.version)
        }
        #expect(versions["a"] == Array(0..<7))
        #expect(versions["b"] == Array(0..<13))
        #expect(bench.store.eventCount == 20)
        #expect(bench.store.streamCount == 2)
    }

    @Test("the timestamp is the client's, else the entry's")
    func timestamps() throws {
        let bench = Workbench()
        bench.clock = 5_000_000
        #expect(try stored(bench.append(TestEvent(1)))[0].timestampMilliseconds == 5_001)
        var event = TestEvent(2)
        event.timestamp = 42
        #expect(try stored(bench.append(event))[0].timestampMilliseconds == 42)
    }

    @Test("a stream id under another partition key is another stream")
    func keysSeparateStreams() throws {
        let bench = Workbench()
        let other = PartitionKey(UUID(high: 1, low: TestEvent.key.uuid.low))
        try bench.append(TestEvent(1))
        #expect(try stored(bench.append(TestEvent(2), key: other))[0].version == 0)
        #expect(try stored(bench.append(TestEvent(3)))[0].version == 1)
    }

    @Test("a command takes an index and yields no event when its expectation fails")
    func wrongVersions() throws {
        let bench = Workbench()
        func refusal(_ expected: ExpectedVersion) throws -> AppendAnswer {
            try bench.append(TestEvent(99, expected: expected))
        }
        let onEmpty = AppendAnswer.refused(.wrongVersion(event: 0, currentVersion: nil))
        #expect(try refusal(.exactly(0)) == onEmpty)
        #expect(try refusal(.exists) == onEmpty)
        #expect(bench.store.streamCount == 0)

        try bench.append(TestEvent(1, expected: .empty))
        try bench.append(TestEvent(2, expected: .exists))
        try bench.append(TestEvent(3, expected: .exactly(1)))
        let onThree = AppendAnswer.refused(.wrongVersion(event: 0, currentVersion: 2))
        #expect(try refusal(.exactly(1)) == onThree)
        #expect(try refusal(.exactly(3)) == onThree)
        #expect(try refusal(.exactly(.max)) == onThree)
        #expect(try refusal(.empty) == onThree)
        #expect(bench.store.eventCount == 3)
        #expect(try stored(bench.append(TestEvent(4)))[0].sequence == 3)
    }

    @Test("an event id must carry the hash of its partition key")
    func foreignIDs() throws {
        let bench = Workbench()
        var event = TestEvent(1)
        event.id = TestEvent.id(1, key: PartitionKey(defaultFor: "user-123"))
        #expect(try bench.append(event) == .refused(.foreignEventID(event: 0)))
        #expect(try bench.append([TestEvent(2), event]) == .refused(.foreignEventID(event: 1)))
        #expect(bench.store.eventCount == 0)
    }

    @Test("the outcome tells the engine how many events were stored and whether the command was refused")
    func outcomes() {
        let bench = Workbench()
        let first = bench.apply(TestEvent.encode([TestEvent(1, supplied: true), TestEvent(2)]))
        #expect(first.eventCount == 2 && !first.refused)
        let repeated = bench.apply(TestEvent.encode([TestEvent(1, supplied: true), TestEvent(2)]))
        #expect(repeated.eventCount == 0 && !repeated.refused)
        let refused = bench.apply(TestEvent.encode([TestEvent(3, expected: .empty)]))
        #expect(refused.eventCount == 0 && refused.refused)
        let malformed = bench.apply([9, 9, 9])
        #expect(malformed.eventCount == 0 && malformed.refused)
    }
}

@Suite("Appending several events at once")
struct TransactionTests {
    @Test("the events take consecutive sequences, and versions as if appended one by one")
    func numbering() throws {
        let bench = Workbench()
        try bench.append(TestEvent(1, stream: "a"))
        let events = try stored(
            bench.append([
                TestEvent(2, stream: "a", expected: .exactly(0)), TestEvent(3, stream: "b", expected: .empty),
                TestEvent(4, stream: "a", expected: .exactly(1)), TestEvent(5, stream: "b", expected: .exists),
            ]))
        #expect(events.map(\.sequence) == [1, 2, 3, 4])
        #expect(events.map(\.version) == [1, 0, 2, 1])
        #expect(events.map(\.id) == [2, 3, 4, 5].map { TestEvent.id($0) })
    }

    @Test("one failed expectation refuses all, and no stream comes into being")
    func allOrNothing() throws {
        let bench = Workbench()
        let before = bench.store.snapshot()
        let answer = try bench.append([
            TestEvent(1, stream: "a"), TestEvent(2, stream: "b"), TestEvent(3, stream: "a", expected: .empty),
        ])
        #expect(answer == .refused(.wrongVersion(event: 2, currentVersion: 0)))
        #expect(bench.store.eventCount == 0)
        #expect(bench.store.streamCount == 0)
        #expect(bench.store.snapshot().dropFirst(16) == before.dropFirst(16))
    }

    @Test("an id used twice within one command refuses all")
    func idTwiceInOneCommand() throws {
        let bench = Workbench()
        let answer = try bench.append([
            TestEvent(1, supplied: true), TestEvent(2, supplied: true), TestEvent(1, supplied: true),
        ])
        #expect(answer == .refused(.eventIDUsed(event: 2)))
        #expect(bench.store.eventCount == 0)
    }

    @Test("a thousand events over a thousand new streams are one command")
    func manyStreams() throws {
        let bench = Workbench()
        let events = (0..<1000).map { TestEvent(UInt64($0), stream: "s\($0 % 997)") }
        let appended = try stored(bench.append(events))
        #expect(appended.map(\.sequence) == Array(0..<1000))
        #expect(appended.suffix(3).map(\.version) == [1, 1, 1])
        #expect(bench.store.streamCount == 997)
    }
}

@Suite("Deduplication by event id")
struct DeduplicationTests {
    @Test("a repeat of the same content stores nothing and gets the first reply")
    func sameContent() async throws {
        let bench = Workbench()
        try bench.append(TestEvent(1))
        let first = try stored(bench.append(TestEvent(2, supplied: true)))
        try bench.append(TestEvent(3))
        let earlier = RepeatedAppend(firstSequence: 1, count: 1)
        #expect(try bench.append(TestEvent(2, supplied: true)) == .duplicate(earlier))
        #expect(try await bench.store.firstAnswer(to: earlier) == first)
        // The leader may know of a repetition before this replica has applied what it repeats.
        for beyond in [RepeatedAppend(firstSequence: 1, count: 3), RepeatedAppend(firstSequence: .max, count: 1)] {
            #expect(!bench.store.shows(beyond))
            await #expect(throws: EventReadError.notApplied(sequence: beyond.firstSequence)) {
                try await bench.store.firstAnswer(to: beyond)
            }
        }
        #expect(bench.store.eventCount == 3)
        #expect(bench.store.duplicateCount == 1)
    }

    @Test("the id is looked at before the version: a repeat is recognised whatever it expects")
    func idBeforeVersion() throws {
        let bench = Workbench()
        try bench.append(TestEvent(1, supplied: true, expected: .empty))
        try bench.append(TestEvent(2))
        let repeated = AppendAnswer.duplicate(RepeatedAppend(firstSequence: 0, count: 1))
        #expect(try bench.append(TestEvent(1, supplied: true, expected: .empty)) == repeated)
        #expect(try bench.append(TestEvent(1, supplied: true, expected: .exactly(77))) == repeated)
    }

    @Test("other content under a used id is refused: every part of the content counts")
    func otherContent() throws {
        let bench = Workbench()
        try bench.append(TestEvent(1, supplied: true))
        func changed(_ change: (inout TestEvent) -> Void) throws -> AppendAnswer {
            var event = TestEvent(1, supplied: true)
            change(&event)
            return try bench.append(event)
        }
        let used = AppendAnswer.refused(.eventIDUsed(event: 0))
        #expect(try changed { $0.payload = [1, 2, 4] } == used)
        #expect(try changed { $0.payload = [1, 2] } == used)
        #expect(try changed { $0.metadata = [0] } == used)
        #expect(try changed { $0.name = "cancelled" } == used)
        #expect(try changed { $0.stream = "order" } == used)
        #expect(try changed { $0.timestamp = 0 } == used)
        #expect(try changed { ($0.stream, $0.name) = ("ordersp", "laced") } == used)
        #expect(try changed { ($0.metadata, $0.payload) = ([1], [2, 3]) } == used)
        #expect(bench.store.eventCount == 1)
    }

    @Test("only ids that a client brought deduplicate")
    func generatedIDs() throws {
        let bench = Workbench()
        try bench.append(TestEvent(1))
        #expect(try bench.append(TestEvent(1, supplied: true)) == .refused(.eventIDUsed(event: 0)))
    }

    @Test("a transaction is recognised as a whole")
    func transactions() async throws {
        let bench = Workbench()
        let command = [TestEvent(1, supplied: true), TestEvent(2, stream: "b"), TestEvent(3, supplied: true)]
        let first = try stored(bench.append(command))
        let earlier = RepeatedAppend(firstSequence: 0, count: 3)

        var again = command
        again[1].id = TestEvent.id(50)
        #expect(try bench.append(again) == .duplicate(earlier))
        #expect(try await bench.store.firstAnswer(to: earlier) == first)

        #expect(try bench.append([command[0]]) == .refused(.eventIDUsed(event: 0)))
        #expect(try bench.append(Array(command[1...])) == .refused(.eventIDUsed(event: 1)))
        #expect(try bench.append(Array(command.reversed())) == .refused(.eventIDUsed(event: 0)))
        var other = command
        other[1].payload = []
        #expect(try bench.append(other) == .refused(.eventIDUsed(event: 0)))
        other = command
        other[2].id = TestEvent.id(51)
        #expect(try bench.append(other) == .refused(.eventIDUsed(event: 0)))
        #expect(bench.store.eventCount == 3)
    }

    @Test("a repeat is recognised after a restart from a snapshot")
    func afterRestart() throws {
        let bench = Workbench()
        for number in 0..<700 as Range<UInt64> {
            try bench.append(TestEvent(number, stream: "s\(number % 9)", supplied: true))
        }
        try bench.reopen()
        for number in 0..<700 as Range<UInt64> {
            let answer = try bench.append(TestEvent(number, stream: "s\(number % 9)", supplied: true))
            #expect(answer == .duplicate(RepeatedAppend(firstSequence: number, count: 1)))
        }
    }
}

/// The events of an answer that must be a success.
func stored(_ answer: AppendAnswer) throws -> AppendedEvents {
    guard case .appended(let events) = answer else {
        throw UnexpectedAnswer(answer: answer)
    }
    return events
}

struct UnexpectedAnswer: Error { let answer: AppendAnswer }
