// Reads: which events is decided in one synchronous step from the indexes and W, before the first await; what they hold
// is then read from the partition log. Commands applied meanwhile change nothing of an answer.

internal import CordwoodBase
internal import CordwoodMachine

extension EventStore {
    /// Entries between two wanted ones that are read along rather than skipped.
    private static let readThroughGap: UInt64 = 8

    /// The sequence of the partition's last visible event.
    public var lastVisibleSequence: UInt64? { visibleSequences.last }

    /// The stream of this id under this key, if it has an event, visible or not. The bytes are not kept.
    public func stream(_ streamID: UnsafeRawBufferPointer, under key: PartitionKey) -> StreamNumber? {
        let hash = StreamTable.hash(streamID, under: key)
        return indexes.streams.place(of: streamID, under: key, hash: hash).map(StreamNumber.init)
    }

    /// The version of the stream's last visible event.
    public func lastVisibleVersion(of stream: StreamNumber) -> UInt64? {
        let count = visibleEventCount(of: stream)
        return count == 0 ? nil : count - 1
    }

    /// The visible event with this id.
    public func event(_ id: EventID) async throws -> StoredEvent? {
        guard let sequence = indexes.ids.sequence(of: EventIDIndex.Name(id)),
            visibleSequences.contains(UInt64(sequence))
        else { return nil }
        let event = try await load([sequence], maxBytes: 1).first
        return event?.id == id ? event : nil
    }

    /// The visible events of a stream with versions `first` to `last`, in order.
    public func events(
        of stream: StreamNumber, from first: UInt64 = 0, through last: UInt64 = .max, limit: ReadLimit
    ) async throws -> EventPage {
        let visible = visibleEventCount(of: stream)
        let end = last < visible ? last + 1 : visible
        guard first < end else { return .empty }
        let count = min(UInt64(max(1, limit.count)), end - first)
        var sequences: [UInt32] = []
        sequences.reserveCapacity(Int(count))
        indexes.streams.forEachSequence(of: stream.rawValue, versions: UInt32(first)..<UInt32(first + count)) {
            sequences.append($0)
        }
        let events = try await load(sequences, maxBytes: limit.bytes)
        return EventPage(events: events, hasMore: first + UInt64(events.count) < end)
    }

    /// The visible events of the partition with sequences `first` to `last`, in order.
    public func events(from first: UInt64 = 0, through last: UInt64 = .max, limit: ReadLimit) async throws -> EventPage
    {
        let visible = visibleSequences.upperBound
        let end = last < visible ? last + 1 : visible
        guard first < end else { return .empty }
        let count = min(UInt64(max(1, limit.count)), end - first)
        let events = try await load((first..<first + count).map { UInt32($0) }, maxBytes: limit.bytes)
        return EventPage(events: events, hasMore: first + UInt64(events.count) < end)
    }

    /// Whether what a repeated command did when it was first applied is visible here: the replica that says what it
    /// repeats may be ahead of this one.
    public func shows(_ earlier: RepeatedAppend) -> Bool {
        earlier.firstSequence <= visibleSequences.upperBound
            && UInt64(earlier.count) <= visibleSequences.upperBound - earlier.firstSequence
    }

    /// The reply that a repeated command got when it was first applied, read from the log.
    public func firstAnswer(to earlier: RepeatedAppend) async throws -> AppendedEvents {
        guard shows(earlier) else { throw EventReadError.notApplied(sequence: earlier.firstSequence) }
        let sequences = (earlier.firstSequence..<earlier.firstSequence + UInt64(earlier.count)).map { UInt32($0) }
        let events = try await load(sequences, maxBytes: .max)
        return AppendedEvents(
            events.map {
                AppendedEvent(
                    id: $0.id, sequence: $0.sequence, version: $0.version,
                    timestampMilliseconds: $0.timestampMilliseconds)
            })
    }

    private func visibleEventCount(of stream: StreamNumber) -> UInt64 {
        UInt64(indexes.streams.eventCount(of: stream.rawValue, below: visibleSequences.upperBound))
    }

    /// Reads the events with these ascending sequences from the log: the longest prefix that fits `maxBytes`, at least
    /// one event.
    private func load(_ sequences: [UInt32], maxBytes: Int) async throws -> [StoredEvent] {
        let places = sequences.map { indexes.entries.place(of: $0) }
        var events: [StoredEvent] = []
        events.reserveCapacity(sequences.count)
        var bytes = 0
        while events.count < sequences.count {
            let next = places[events.count].index
            var last = next
            for place in places[events.count...] {
                guard place.index - last <= Self.readThroughGap else { break }
                last = place.index
            }
            let commands = try await context.log.commands(
                from: next, maxCount: Int(last - next) + 1, maxBytes: max(1, maxBytes - bytes))
            guard commands.first?.partitionIndex == next else { throw EventReadError.missing(next) }
            for command in commands where places[events.count].index == command.partitionIndex {
                for event in try decode(command, sequences[events.count...], places[events.count...]) {
                    guard events.isEmpty || bytes + event.size <= maxBytes else { return events }
                    bytes += event.size
                    events.append(event)
                }
                if events.count == sequences.count { break }
            }
        }
        return events
    }

    /// The events of one entry that are wanted: those at the head of `places` that name it.
    private func decode(
        _ command: PartitionCommand, _ sequences: ArraySlice<UInt32>, _ places: ArraySlice<EventPlace>
    ) throws(EventReadError) -> [StoredEvent] {
        let result = command.payload.withUnsafeBytes { bytes -> [StoredEvent]? in
            guard var reader = try? AppendReader(bytes), let base = bytes.baseAddress else { return nil }
            var wanted = zip(sequences, places).prefix { $0.1.index == command.partitionIndex }[...]
            guard let eventCount = wanted.first?.1.eventCount, eventCount == reader.eventCount else { return nil }
            var events: [StoredEvent] = []
            var firstID: EventID?
            for position in 0..<eventCount {
                guard let event = try? reader.next(), let content = event.content.baseAddress else { return nil }
                let transaction = TransactionID(firstEvent: firstID ?? event.id, eventCount: eventCount)
                firstID = firstID ?? event.id
                guard let (sequence, place) = wanted.first else { break }
                guard place.position == position else { continue }
                wanted.removeFirst()
                guard let version = version(of: event, under: reader.key, sequence: sequence) else { return nil }
                let start = command.payload.startIndex + (content - base)
                func part(_ range: Range<Int>) -> ArraySlice<UInt8> {
                    command.payload[start + range.lowerBound..<start + range.upperBound]
                }
                events.append(
                    StoredEvent(
                        id: event.id, partitionKey: reader.key, partition: command.partition,
                        transactionID: transaction, sequence: UInt64(sequence), version: version,
                        timestampMilliseconds: event.timestamp(in: command), streamID: part(0..<event.streamIDLength),
                        name: part(event.name), metadata: part(event.metadata), payload: part(event.payload)))
            }
            return events
        }
        guard let result else { throw .unexpectedCommand(command.partitionIndex) }
        return result
    }

    /// The version that the event with this sequence has in its stream.
    private func version(of event: AppendEvent, under key: PartitionKey, sequence: UInt32) -> UInt64? {
        guard let stream = stream(event.streamID, under: key) else { return nil }
        let count = indexes.streams.eventCount(of: stream.rawValue, below: UInt64(sequence) + 1)
        return count == 0 ? nil : UInt64(count) - 1
    }
}
