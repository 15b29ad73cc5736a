internal import CordwoodBase

/// Where each event lies in the partition log: sequence to (partition log index, position in the entry).
///
/// Kept as runs of neighbouring entries with equally many events each. A log without refused commands whose commands
/// append one event each is a single run.
struct EntryRuns: ~Copyable {
    struct Run {
        /// Sequence of the first event of the run's first entry.
        var firstSequence: UInt32
        var eventsPerEntry: UInt32
        var firstIndex: UInt64
    }

    private var runs = ChunkedBuffer<Run>(chunkShift: 10)
    private var last = Run(firstSequence: 0, eventsPerEntry: 0, firstIndex: 0)
    /// Sequence of the next event.
    private(set) var nextSequence: UInt32 = 0

    var allocatedBytes: Int { runs.allocatedBytes }

    /// Adds an entry with `eventCount` events, at least one. Indexes ascend.
    @inline(__always)
    mutating func append(index: PartitionLogIndex, eventCount: UInt32) {
        let continues =
            last.eventsPerEntry == eventCount
            && index.rawValue - last.firstIndex == UInt64((nextSequence - last.firstSequence) / eventCount)
        if !continues {
            last = Run(firstSequence: nextSequence, eventsPerEntry: eventCount, firstIndex: index.rawValue)
            runs.append(last)
        }
        nextSequence += eventCount
    }

    /// The entry that stored the event with this sequence.
    func place(of sequence: UInt32) -> EventPlace {
        invariant(sequence < nextSequence, "event \(sequence) of \(nextSequence)")
        var low = 0
        var high = runs.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if runs[middle].firstSequence <= sequence { low = middle } else { high = middle }
        }
        let run = runs[low]
        let (entry, position) = (sequence - run.firstSequence).quotientAndRemainder(dividingBy: run.eventsPerEntry)
        return EventPlace(
            index: PartitionLogIndex(run.firstIndex + UInt64(entry)), position: Int(position),
            eventCount: Int(run.eventsPerEntry))
    }
}

extension EntryRuns {
    /// The runs in order, as a snapshot has them.
    func runList() -> [(eventsPerEntry: UInt32, entryCount: UInt32, firstIndex: PartitionLogIndex)] {
        (0..<runs.count).map { number in
            let run = runs[number]
            let end = number + 1 < runs.count ? runs[number + 1].firstSequence : nextSequence
            let entryCount = (end - run.firstSequence) / run.eventsPerEntry
            return (run.eventsPerEntry, entryCount, PartitionLogIndex(run.firstIndex))
        }
    }
}

/// An event's place in the partition log.
struct EventPlace: Equatable {
    let index: PartitionLogIndex
    /// Number of the event in its entry, from 0.
    let position: Int
    /// Events of the entry.
    let eventCount: Int
}
