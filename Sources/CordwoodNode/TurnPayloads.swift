import CordwoodBase

/// The payloads proposed in a turn, one behind the other in one array, which the turn's entries share once it ends: a
/// turn costs one allocation, however many proposals it takes, and whoever reads the entries in order reads memory in
/// order.
struct TurnPayloads {
    private struct Place {
        var entry: Int
        var bytes: Range<Int>
    }

    private var bytes: [UInt8] = []
    private var places: [Place] = []
    /// What the turn before took: so much is made ready for the next one.
    private var expectedBytes = 0

    /// Copies the payload of the entry that stands at a position among the turn's entries.
    mutating func append(_ payload: UnsafeRawBufferPointer, forEntry position: Int) {
        if places.isEmpty { bytes.reserveCapacity(max(expectedBytes, payload.count)) }
        let start = bytes.count
        bytes.append(contentsOf: payload)
        places.append(Place(entry: position, bytes: start..<bytes.count))
    }

    /// Gives the turn's entries their payloads.
    mutating func attach(to entries: inout [Entry]) {
        guard !places.isEmpty else { return }
        for place in places { entries[place.entry].payload = bytes[place.bytes] }
        places.removeAll(keepingCapacity: true)
        expectedBytes = bytes.count
        bytes = []
    }
}
