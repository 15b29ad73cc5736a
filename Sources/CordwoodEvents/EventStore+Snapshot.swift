internal import CordwoodBase
internal import CordwoodMachine

/// A snapshot is the indexes in a form that does not depend on how they lie in memory: equal states have equal
/// snapshots. Little-endian:
///
/// | size | field |
/// |---|---|
/// | 4, 4 | magic "CWES", format 1 |
/// | 8 | last applied partition log index |
/// | 4, 4, 4, 4 | events, streams, runs of entries, digests |
/// | | streams by number: key (8, 8), length (1), stream id |
/// | 16 an event | by sequence: stream number (4), fingerprint (4) and tag (8) of its id |
/// | 16 a run | events an entry (4), entries (4), index of the first entry (8) |
/// | 12 a digest | sequence (4), content digest (8), ascending |
extension EventStore {
    private static let snapshotMagic: UInt32 = 0x5345_5743
    private static let snapshotFormat: UInt32 = 1

    public func snapshot() -> [UInt8] {
        let count = Int(indexes.entries.nextSequence)
        let places = indexes.streams.places()
        let runs = indexes.entries.runList()
        let digests = (0..<UInt32(count)).filter { indexes.ids.digest(of: $0) != 0 }
        let streamBytes = places.reduce(0) { $0 + 17 + indexes.streams.identity(of: $1).streamID.count }
        let size = 32 + streamBytes + count * 16 + runs.count * 16 + digests.count * 12
        return [UInt8](unsafeUninitializedCapacity: size) { buffer, initializedCount in
            var writer = ByteWriter(
                UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<size]))
            writer.integer(Self.snapshotMagic)
            writer.integer(Self.snapshotFormat)
            writer.ordinal(lastAppliedIndex)
            for number in [count, places.count, runs.count, digests.count] { writer.integer(UInt32(number)) }
            let streamOfEvent = writeStreams(places, eventCount: count, to: &writer)
            for (name, stream) in zip(indexes.ids.names(), streamOfEvent) {
                writer.integer(stream)
                writer.integer(name.fingerprint)
                writer.integer(name.tag)
            }
            for run in runs {
                writer.integer(run.eventsPerEntry)
                writer.integer(run.entryCount)
                writer.ordinal(run.firstIndex)
            }
            for sequence in digests {
                writer.integer(sequence)
                writer.integer(indexes.ids.digest(of: sequence))
            }
            invariant(writer.offset == size, "a snapshot of \(writer.offset) bytes where \(size) were due")
            initializedCount = size
        }
    }

    /// Writes the streams and returns each event's stream, by sequence.
    private func writeStreams(_ places: [UInt32], eventCount: Int, to writer: inout ByteWriter) -> [UInt32] {
        var streamOfEvent = [UInt32](repeating: 0, count: eventCount)
        for (number, place) in places.enumerated() {
            let identity = indexes.streams.identity(of: place)
            writer.integer(identity.key.uuid.high)
            writer.integer(identity.key.uuid.low)
            writer.integer(UInt8(identity.streamID.count))
            writer.raw(identity.streamID)
            let versions = 0..<indexes.streams.eventCount(of: place)
            indexes.streams.forEachSequence(of: place, versions: versions) {
                streamOfEvent[Int($0)] = UInt32(number)
            }
        }
        return streamOfEvent
    }

    /// Replaces the state. On an error (`DecodeError`) the state is unchanged.
    public func restore(_ snapshot: [UInt8]) throws {
        let restored = EventStore(context: context)
        try snapshot.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            try restored.load(&reader)
        }
        swap(&indexes, &restored.indexes)
        lastAppliedIndex = restored.lastAppliedIndex
    }

    private func load(_ reader: inout ByteReader) throws(DecodeError) {
        try reader.expect(Self.snapshotMagic, "snapshot magic")
        try reader.expect(Self.snapshotFormat, "snapshot format")
        lastAppliedIndex = try reader.position()
        let eventCount: UInt32 = try reader.integer()
        let streamCount: UInt32 = try reader.integer()
        let runCount: UInt32 = try reader.integer()
        let digestCount: UInt32 = try reader.integer()
        guard UInt64(eventCount) <= Self.maxEvents, streamCount <= eventCount else {
            throw .invalid(field: "snapshot event count", value: UInt64(eventCount))
        }
        var places: [UInt32] = []
        places.reserveCapacity(min(Int(streamCount), reader.remaining))
        for _ in 0..<streamCount { places.append(try loadStream(&reader)) }

        var names = reader
        _ = try reader.take(Int(eventCount) * 16)
        var runs = reader
        _ = try reader.take(Int(runCount) * 16)
        var digests = reader
        var nextDigest: (sequence: UInt32, digest: UInt64)? = nil
        var digestsLeft = digestCount
        func readDigest() throws(DecodeError) {
            let before = nextDigest?.sequence
            nextDigest = nil
            guard digestsLeft > 0 else { return }
            digestsLeft -= 1
            let digest = (sequence: try digests.integer(UInt32.self), digest: try digests.integer(UInt64.self))
            guard digest.digest != 0, digest.sequence < eventCount, before.map({ $0 < digest.sequence }) ?? true else {
                throw .invalid(field: "snapshot digest of event", value: UInt64(digest.sequence))
            }
            nextDigest = digest
        }
        try readDigest()

        var streamsSeen: UInt32 = 0
        for sequence in 0..<eventCount {
            let stream: UInt32 = try names.integer()
            guard stream < streamCount, stream <= streamsSeen else {
                throw .invalid(field: "snapshot stream number", value: UInt64(stream))
            }
            if stream == streamsSeen { streamsSeen += 1 }
            let name = EventIDIndex.Name(fingerprint: try names.integer(), tag: try names.integer())
            let digest = nextDigest.flatMap { $0.sequence == sequence ? $0.digest : nil } ?? 0
            indexes.ids.append(name, digest: digest)
            indexes.streams.append(sequence, to: places[Int(stream)])
            if digest != 0 { try readDigest() }
        }
        guard streamsSeen == streamCount else {
            throw .invalid(field: "snapshot stream count", value: UInt64(streamCount))
        }
        try loadRuns(&runs, count: runCount, eventCount: eventCount)
        guard digests.remaining == 0 else {
            throw .invalid(field: "trailing bytes", value: UInt64(digests.remaining))
        }
    }

    private func loadStream(_ reader: inout ByteReader) throws(DecodeError) -> UInt32 {
        let key = PartitionKey(UUID(high: try reader.integer(), low: try reader.integer()))
        let length = Int(try reader.integer(UInt8.self))
        guard length >= 1, length <= AppendCommand.maxStreamIDLength else {
            throw .invalid(field: "stream id length", value: UInt64(length))
        }
        let streamID = try reader.take(length)
        let hash = StreamTable.hash(streamID, under: key)
        guard indexes.streams.place(of: streamID, under: key, hash: hash) == nil else {
            throw .invalid(field: "snapshot stream named twice", value: UInt64(indexes.streams.count))
        }
        return indexes.streams.add(streamID, under: key, hash: hash)
    }

    private func loadRuns(_ reader: inout ByteReader, count: UInt32, eventCount: UInt32) throws(DecodeError) {
        var next: UInt64 = 1
        var eventsLeft = eventCount
        for _ in 0..<count {
            let eventsPerEntry: UInt32 = try reader.integer()
            let entryCount: UInt32 = try reader.integer()
            let firstIndex: UInt64 = try reader.integer()
            let (events, overflow) = eventsPerEntry.multipliedReportingOverflow(by: entryCount)
            guard events > 0, !overflow, events <= eventsLeft, firstIndex >= next,
                firstIndex <= lastAppliedIndex.rawValue,
                lastAppliedIndex.rawValue - firstIndex >= UInt64(entryCount) - 1
            else { throw .invalid(field: "snapshot run at index", value: firstIndex) }
            for entry in 0..<UInt64(entryCount) {
                indexes.entries.append(index: PartitionLogIndex(firstIndex + entry), eventCount: eventsPerEntry)
            }
            eventsLeft -= events
            next = firstIndex + UInt64(entryCount)
        }
        guard eventsLeft == 0 else { throw .invalid(field: "snapshot events without a run", value: UInt64(eventsLeft)) }
    }
}

extension ByteReader {
    fileprivate mutating func expect(_ value: UInt32, _ field: String) throws(DecodeError) {
        let found: UInt32 = try integer()
        guard found == value else { throw .invalid(field: field, value: UInt64(found)) }
    }
}
