internal import CordwoodBase

/// All that an event store keeps in memory: what leads from ids, sequences and versions to the partition log.
struct EventIndexes: ~Copyable {
    var ids = EventIDIndex()
    var streams = StreamTable()
    var entries = EntryRuns()

    var allocatedBytes: Int { ids.allocatedBytes + streams.allocatedBytes + entries.allocatedBytes }

    /// True when this many events can still be numbered.
    func hasRoom(forEvents count: Int) -> Bool {
        UInt64(entries.nextSequence) + UInt64(count) <= EventStore.maxEvents && streams.hasRoom(forEvents: count)
    }
}
