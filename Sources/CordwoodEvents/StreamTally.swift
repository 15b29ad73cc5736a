internal import CordwoodBase

/// The streams that a command of several events touches, with the versions that it would give them: what lets the whole
/// command be decided before anything is stored.
struct StreamTally {
    private struct Stream {
        let hash: UInt64
        /// Place in the stream table; `nil` until a new stream is added.
        var place: UInt32?
        /// An event of the command that names the stream.
        let example: AppendEvent
        var eventCount: UInt32
    }

    private var streams: [Stream] = []
    /// For each event the number of its stream in `streams`.
    private var streamOfEvent: [Int32] = []
    /// Open addressing over `streams`, a power of two in size, -1 for empty.
    private var slots: [Int32]

    init(capacity: Int) {
        var size = 4
        while size < capacity * 2 { size *= 2 }
        slots = [Int32](repeating: -1, count: size)
        streamOfEvent.reserveCapacity(capacity)
    }

    /// Takes the next event of the command and returns the event count of its stream before it.
    mutating func advance(_ event: AppendEvent, under key: PartitionKey, in table: borrowing StreamTable) -> UInt32 {
        let hash = StreamTable.hash(event.streamID, under: key)
        var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[slot] >= 0 {
            let number = Int(slots[slot])
            if streams[number].hash == hash, streams[number].example.streamID.hasSameBytes(as: event.streamID) {
                streamOfEvent.append(slots[slot])
                let before = streams[number].eventCount
                streams[number].eventCount += 1
                return before
            }
            slot = (slot + 1) & (slots.count - 1)
        }
        let place = table.place(of: event.streamID, under: key, hash: hash)
        let before = place.map { table.eventCount(of: $0) } ?? 0
        slots[slot] = Int32(streams.count)
        streamOfEvent.append(Int32(streams.count))
        streams.append(Stream(hash: hash, place: place, example: event, eventCount: before + 1))
        return before
    }

    /// The place of an event's stream; a stream without one is added by `add`.
    mutating func place(ofEvent position: Int, add: (_ hash: UInt64) -> UInt32) -> UInt32 {
        let number = Int(streamOfEvent[position])
        if let place = streams[number].place { return place }
        let place = add(streams[number].hash)
        streams[number].place = place
        return place
    }
}
