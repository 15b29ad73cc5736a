import CordwoodBase
import CordwoodEvents
import CordwoodMachine
import Testing

/// The event store's rules once more, in the plainest form: dictionaries and arrays, no indexes.
private struct Model {
    struct Stored: Equatable {
        let event: TestEvent
        let key: PartitionKey
        let version: UInt64
        let timestamp: Int64
        let first: Int
        let count: Int
        let deduplicates: Bool
    }

    var events: [Stored] = []
    var sequenceOfID: [EventID: Int] = [:]
    var streams: [StreamName: [Int]] = [:]

    struct StreamName: Hashable {
        let key: PartitionKey
        let id: String
    }

    mutating func append(_ command: [TestEvent], key: PartitionKey, entryTimestamp: Int64) -> AppendAnswer {
        for (position, event) in command.enumerated() where !event.id.belongs(to: key) {
            return .refused(.foreignEventID(event: position))
        }
        if let answer = decideByID(command, key: key) { return answer }
        var counts: [StreamName: Int] = [:]
        for (position, event) in command.enumerated() {
            let name = StreamName(key: key, id: event.stream)
            let count = counts[name] ?? streams[name]?.count ?? 0
            let holds =
                switch event.expected {
                case .any: true
                case .empty: count == 0
                case .exists: count > 0
                case .exactly(let version): count > 0 && UInt64(count) - 1 == version
                }
            guard holds else {
                let current = count == 0 ? nil : UInt64(count) - 1
                return .refused(.wrongVersion(event: position, currentVersion: current))
            }
            counts[name] = count + 1
        }
        let first = events.count
        for event in command {
            let name = StreamName(key: key, id: event.stream)
            sequenceOfID[event.id] = sequenceOfID[event.id] ?? events.count
            events.append(
                Stored(
                    event: event, key: key, version: UInt64(streams[name]?.count ?? 0),
                    timestamp: event.timestamp ?? entryTimestamp, first: first, count: command.count,
                    deduplicates: command.contains(where: \.isSupplied)))
            streams[name, default: []].append(events.count - 1)
        }
        return .duplicate(RepeatedAppend(firstSequence: UInt64(first), count: command.count))
    }

    private func decideByID(_ command: [TestEvent], key: PartitionKey) -> AppendAnswer? {
        guard command.contains(where: \.isSupplied) else { return nil }
        for position in command.indices where command[..<position].contains(where: { $0.id == command[position].id }) {
            return .refused(.eventIDUsed(event: position))
        }
        guard
            let known = command.firstIndex(where: { $0.isSupplied && sequenceOfID[$0.id] != nil }),
            let sequence = sequenceOfID[command[known].id]
        else { return nil }
        let used = AppendAnswer.refused(.eventIDUsed(event: known))
        let original = events[sequence]
        guard original.deduplicates, original.count == command.count, original.first + known == sequence else {
            return used
        }
        for (position, event) in command.enumerated() {
            let earlier = events[original.first + position]
            guard earlier.key == key, !event.isSupplied || sequenceOfID[event.id] == original.first + position,
                earlier.event.stream == event.stream, earlier.event.name == event.name,
                earlier.event.metadata == event.metadata, earlier.event.payload == event.payload,
                earlier.event.timestamp == event.timestamp
            else { return used }
        }
        return .duplicate(RepeatedAppend(firstSequence: UInt64(original.first), count: command.count))
    }
}

@Suite("Against a model")
struct ModelTests {
    private static let keys = (0..<3).map { PartitionKey(UUID(high: UInt64($0), low: TestEvent.key.uuid.low)) }

    private func randomEvent(_ dice: inout Dice) -> TestEvent {
        var event = TestEvent(
            UInt64.random(in: 0..<400, using: &dice), stream: "s\(UInt64.random(in: 0..<12, using: &dice))")
        event.isSupplied = Bool.random(using: &dice)
        // Ids that clients bring repeat; those that the server makes do not.
        if !event.isSupplied { event.id = freshID(&dice) }
        event.payload = [UInt8.random(in: 0..<2, using: &dice)]
        if Int.random(in: 0..<8, using: &dice) == 0 { event.timestamp = 5 }
        if Int.random(in: 0..<60, using: &dice) == 0 { event.id = EventID(UUID(high: 1, low: 1)) }
        event.expected =
            switch Int.random(in: 0..<10, using: &dice) {
            case 0: .empty
            case 1: .exists
            case 2, 3: .exactly(.random(in: 0..<6, using: &dice))
            default: .any
            }
        return event
    }

    private func freshID(_ dice: inout Dice) -> EventID {
        TestEvent.id(.random(in: 1_000_000..<(1 << 40), using: &dice))
    }

    @Test("random commands are decided as the model decides them, across restarts", arguments: 0..<12 as Range<UInt64>)
    func randomCommands(seed: UInt64) async throws {
        var dice = Dice(seed: seed)
        let bench = Workbench()
        var model = Model()
        var earlier: [[TestEvent]] = []
        for step in 0..<600 {
            let key = Self.keys.randomElement(using: &dice) ?? TestEvent.key
            var command: [TestEvent]
            if Int.random(in: 0..<4, using: &dice) == 0, let again = earlier.randomElement(using: &dice) {
                command = again
                for position in command.indices where !command[position].isSupplied {
                    command[position].id = freshID(&dice)
                }
            } else {
                let several = Int.random(in: 0..<3, using: &dice) == 0
                command = (0..<(several ? Int.random(in: 1...6, using: &dice) : 1)).map { _ in randomEvent(&dice) }
                earlier.append(command)
            }
            let eventCount = model.events.count
            let answer = try bench.append(command, key: key)
            let expected = model.append(command, key: key, entryTimestamp: bench.clock / 1000)
            if model.events.count > eventCount {
                let events = try stored(answer)
                #expect(events.map(\.sequence) == (eventCount..<model.events.count).map { UInt64($0) }, "step \(step)")
                #expect(events.map(\.version) == model.events[eventCount...].map(\.version), "step \(step)")
                #expect(events.map(\.id) == command.map(\.id), "step \(step)")
            } else {
                #expect(answer == expected, "seed \(seed) step \(step)")
            }
            if Int.random(in: 0..<50, using: &dice) == 0 { try bench.reopen() }
        }
        try await expectEqual(bench, model, seed: seed)

        let replayed = bench.freshStore()
        for command in bench.log.commands { _ = replayed.apply(command) }
        #expect(replayed.snapshot() == bench.store.snapshot(), "seed \(seed): replay and snapshots lead to one state")
    }

    private func expectEqual(_ bench: Workbench, _ model: Model, seed: UInt64) async throws {
        let limit = ReadLimit(count: 100_000, bytes: 1 << 30)
        let events = try await bench.store.events(limit: limit).events
        #expect(events.count == model.events.count, "seed \(seed)")
        for (found, expected) in zip(events, model.events) {
            #expect(found.id == expected.event.id)
            #expect(found.version == expected.version)
            #expect(found.timestampMilliseconds == expected.timestamp)
            #expect(found.partitionKey == expected.key)
            #expect(Array(found.streamID) == Array(expected.event.stream.utf8))
            #expect(Array(found.payload) == expected.event.payload)
            #expect(found.transactionID.isSingleEvent == (expected.count == 1))
        }
        for (name, sequences) in model.streams {
            let stream = try #require(bench.stream(name.id, key: name.key))
            let page = try await bench.store.events(of: stream, limit: limit)
            #expect(page.events.map(\.sequence) == sequences.map { UInt64($0) }, "seed \(seed) stream \(name)")
        }
        for (id, sequence) in model.sequenceOfID {
            #expect(try await bench.store.event(id)?.sequence == UInt64(sequence), "seed \(seed) id \(id)")
        }
    }
}

@Suite("Snapshots of the event store")
struct SnapshotTests {
    private func filled(_ count: UInt64) throws -> Workbench {
        let bench = Workbench()
        for number in 0..<count {
            var event = TestEvent(number, stream: "s\(number % 31)", supplied: number % 50 < 5)
            if number % 100 == 99 { event.expected = .empty }
            try bench.append(event)
        }
        return bench
    }

    @Test("a restored store has the same state and goes on in the same way")
    func roundTrip() throws {
        let bench = try filled(500)
        let restored = bench.freshStore()
        try restored.restore(bench.store.snapshot())
        #expect(restored.snapshot() == bench.store.snapshot())
        #expect(restored.lastAppliedIndex == bench.store.lastAppliedIndex)
        let command = bench.log.commands.count
        try bench.append(TestEvent(10_000, stream: "s3"))
        #expect(
            restored.apply(bench.log.commands[command]).answer == bench.freshlyReplayed().answerOfLast,
            "the next command is answered alike")
    }

    @Test("an empty store has a snapshot too")
    func emptyStore() throws {
        let bench = Workbench()
        try bench.reopen()
        #expect(bench.store.eventCount == 0)
        #expect(try stored(bench.append(TestEvent(1)))[0].sequence == 0)
    }

    @Test("damaged snapshots are refused and change nothing, at every length and every byte")
    func damaged() throws {
        let bench = try filled(60)
        let snapshot = bench.store.snapshot()
        let store = bench.freshStore()
        for length in 0..<snapshot.count {
            #expect(throws: DecodeError.self) { try store.restore(Array(snapshot[..<length])) }
        }
        #expect(throws: DecodeError.self) { try store.restore(snapshot + [0]) }
        #expect(store.eventCount == 0)
        for position in snapshot.indices {
            var changed = snapshot
            changed[position] ^= 0x41
            // Some bytes are plain values, such as a tag: then the restored state shows the change.
            guard (try? store.restore(changed)) != nil else { continue }
            #expect(store.snapshot() == changed, "byte \(position)")
        }
    }
}

extension Workbench {
    /// A fresh store that has applied the whole log, with its answer to the last command.
    fileprivate func freshlyReplayed() -> (store: EventStore, answerOfLast: [UInt8]) {
        let store = freshStore()
        var answer: [UInt8] = []
        for command in log.commands { answer = store.apply(command).answer }
        return (store, answer)
    }
}
