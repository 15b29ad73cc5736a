// Apply: the order of checks is event id, then version, then room. A command is decided whole before anything of it is
// stored, so a refused one leaves no trace in the state.

internal import CordwoodBase
public import CordwoodMachine

extension EventStore {
    /// Decides an append command. Never throws: bytes that are no command are refused.
    public func apply(_ command: PartitionCommand) -> ApplyOutcome {
        invariant(
            command.partitionIndex > lastAppliedIndex,
            "index \(command.partitionIndex) applied after \(lastAppliedIndex)")
        lastAppliedIndex = command.partitionIndex
        let answer = command.payload.withUnsafeBytes { bytes in
            do throws(DecodeError) {
                return try indexes.decide(bytes, command)
            } catch {
                return AppendAnswer.refused(.malformed)
            }
        }
        switch answer {
        case .appended(let events):
            return events.withEncoded { ApplyOutcome(copying: $0, eventCount: UInt32(events.count)) }
        case .duplicate:
            duplicateCount += 1
            return ApplyOutcome(answer: answer.encoded)
        case .refused:
            return ApplyOutcome(answer: answer.encoded, refused: true)
        }
    }

    /// Looks at the command's first event, which is the only one of nearly all commands: the tables' places come first,
    /// then the stream's record, to which its table leads, then the place of the stream's next event.
    public func foresee(_ command: UnsafeRawBufferPointer) -> UInt64 {
        guard let event = AppendCommand.glance(at: command) else { return 0 }
        let hash = StreamTable.hash(event.streamID, under: event.key)
        indexes.streams.prefetch(hash)
        indexes.ids.prefetch(EventIDIndex.Name(event.id))
        return hash
    }

    public func approach(_ foreseen: UInt64) -> UInt64 {
        indexes.streams.prefetchRecord(foreseen).map { UInt64($0) } ?? .max
    }

    public func meet(_ approached: UInt64) {
        if let stream = UInt32(exactly: approached) { indexes.streams.prefetchEnd(of: stream) }
    }
}

extension EventIndexes {
    /// Decides the append command in `bytes`, which are the payload of `command`.
    fileprivate mutating func decide(
        _ bytes: UnsafeRawBufferPointer, _ command: PartitionCommand
    ) throws(DecodeError) -> AppendAnswer {
        var reader = try AppendReader(bytes)
        if reader.eventCount == 1 {
            let event = try reader.next()
            try reader.finish()
            return append(event, under: reader.key, command)
        }
        var events: [AppendEvent] = []
        events.reserveCapacity(min(reader.eventCount, bytes.count / AppendCommand.eventHeaderSize))
        for _ in 0..<reader.eventCount { events.append(try reader.next()) }
        try reader.finish()
        return append(events, under: reader.key, command)
    }

    /// Appends the event of a command that has one.
    private mutating func append(_ event: AppendEvent, under key: PartitionKey, _ command: PartitionCommand)
        -> AppendAnswer
    {
        guard event.id.belongs(to: key) else { return .refused(.foreignEventID(event: 0)) }
        let name = EventIDIndex.Name(event.id)
        var digest: UInt64 = 0
        if event.idIsSupplied {
            digest = event.contentDigest(under: key)
            if let earlier = ids.sequence(of: name) {
                let isRepeat = ids.digest(of: earlier) == digest && entries.place(of: earlier).eventCount == 1
                return isRepeat
                    ? .duplicate(RepeatedAppend(firstSequence: UInt64(earlier), count: 1))
                    : .refused(.eventIDUsed(event: 0))
            }
        }
        let streamHash = StreamTable.hash(event.streamID, under: key)
        let known = streams.place(of: event.streamID, under: key, hash: streamHash)
        let version = known.map { streams.eventCount(of: $0) } ?? 0
        guard event.expectedVersion.holds(forCount: UInt64(version)) else {
            return .refused(.wrongVersion(event: 0, currentVersion: version == 0 ? nil : UInt64(version) - 1))
        }
        guard hasRoom(forEvents: 1) else { return .refused(.partitionFull) }
        let stream = known ?? streams.add(event.streamID, under: key, hash: streamHash)
        let sequence = entries.nextSequence
        store(name, digest: digest, stream: stream, sequence: sequence)
        entries.append(index: command.partitionIndex, eventCount: 1)
        return .appended(
            AppendedEvents(
                AppendedEvent(
                    id: event.id, sequence: UInt64(sequence), version: UInt64(version),
                    timestampMilliseconds: event.timestamp(in: command))))
    }

    /// Appends the events of a command that has several, all or none.
    private mutating func append(_ events: [AppendEvent], under key: PartitionKey, _ command: PartitionCommand)
        -> AppendAnswer
    {
        let names = events.map { EventIDIndex.Name($0.id) }
        for (position, event) in events.enumerated() where !event.id.belongs(to: key) {
            return .refused(.foreignEventID(event: position))
        }
        // A command is recognised as a whole, so with one supplied id every event's content counts.
        var digests: [UInt64] = []
        if events.contains(where: \.idIsSupplied) {
            digests = events.map { $0.contentDigest(under: key) }
            if let answer = decideByID(events, names: names, digests: digests) { return answer }
        }
        var tally = StreamTally(capacity: events.count)
        var versions: [UInt32] = []
        versions.reserveCapacity(events.count)
        for (position, event) in events.enumerated() {
            let current = tally.advance(event, under: key, in: streams)
            guard event.expectedVersion.holds(forCount: UInt64(current)) else {
                let currentVersion = current == 0 ? nil : UInt64(current) - 1
                return .refused(.wrongVersion(event: position, currentVersion: currentVersion))
            }
            versions.append(current)
        }
        guard hasRoom(forEvents: events.count) else { return .refused(.partitionFull) }

        let first = entries.nextSequence
        var stored: [AppendedEvent] = []
        stored.reserveCapacity(events.count)
        for (position, event) in events.enumerated() {
            let sequence = first + UInt32(position)
            let stream = tally.place(ofEvent: position) { hash in
                streams.add(event.streamID, under: key, hash: hash)
            }
            store(names[position], digest: digests.isEmpty ? 0 : digests[position], stream: stream, sequence: sequence)
            stored.append(
                AppendedEvent(
                    id: event.id, sequence: UInt64(sequence), version: UInt64(versions[position]),
                    timestampMilliseconds: event.timestamp(in: command)))
        }
        entries.append(index: command.partitionIndex, eventCount: UInt32(events.count))
        return .appended(AppendedEvents(stored))
    }

    /// Decides a command of several events by the ids that the client brought: a repeat, a misuse, or `nil` when all of
    /// them are new.
    private func decideByID(_ events: [AppendEvent], names: [EventIDIndex.Name], digests: [UInt64]) -> AppendAnswer? {
        if let position = secondUse(in: names) { return .refused(.eventIDUsed(event: position)) }
        let earlier = events.indices.map { events[$0].idIsSupplied ? ids.sequence(of: names[$0]) : nil }
        guard let known = earlier.firstIndex(where: { $0 != nil }), let sequence = earlier[known] else { return nil }
        let place = entries.place(of: sequence)
        guard place.position == known, place.eventCount == events.count else {
            return .refused(.eventIDUsed(event: known))
        }
        let first = sequence - UInt32(known)
        for position in events.indices {
            let expected = first + UInt32(position)
            let hasItsID = !events[position].idIsSupplied || earlier[position] == expected
            guard hasItsID, ids.digest(of: expected) == digests[position] else {
                return .refused(.eventIDUsed(event: known))
            }
        }
        return .duplicate(RepeatedAppend(firstSequence: UInt64(first), count: events.count))
    }

    /// The position of the first event whose id an earlier event of the same command has.
    private func secondUse(in names: [EventIDIndex.Name]) -> Int? {
        let order = names.indices.sorted { left, right in
            (names[left].tag, names[left].fingerprint, left) < (names[right].tag, names[right].fingerprint, right)
        }
        return zip(order, order.dropFirst()).filter { names[$0] == names[$1] }.map(\.1).min()
    }

    private mutating func store(_ name: EventIDIndex.Name, digest: UInt64, stream: UInt32, sequence: UInt32) {
        ids.append(name, digest: digest)
        streams.append(sequence, to: stream)
    }
}

extension AppendEvent {
    /// The timestamp that the client gave, else the entry's.
    func timestamp(in command: PartitionCommand) -> Int64 {
        timestampMilliseconds ?? command.timestampMicroseconds / 1000
    }
}
