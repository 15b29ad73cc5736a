import CordwoodBase

/// An event is stored once, however often its command was sent and whatever became of the answers; it takes the next
/// sequence of its partition and the next version of its stream, and the events of one command stand together.
final class ExactlyOnceChecker {
    /// Where an event is.
    struct Place: Hashable {
        var stream: SimulatedStream
        var sequence: UInt64
        var version: UInt64
    }

    private let judge: Judge
    private(set) var places: [UInt64: Place] = [:]
    /// Serials in the order in which they are stored: those of a partition, and those of a stream.
    private(set) var partitions: [PartitionID: [UInt64]] = [:]
    private(set) var streams: [SimulatedStream: [UInt64]] = [:]

    init(_ judge: Judge) { self.judge = judge }

    /// An entry that was never applied before has stored an event.
    func stored(_ serial: UInt64, at place: Place) {
        if let before = places[serial] {
            judge.report("an event is stored once", "serial \(serial) at \(before) and at \(place)")
        }
        let sequence = UInt64(partitions[place.stream.partition]?.count ?? 0)
        let version = UInt64(streams[place.stream]?.count ?? 0)
        judge.require(
            place.sequence == sequence && place.version == version, "sequences and versions are gapless",
            "serial \(serial) is stored at \(place), and due were sequence \(sequence) and version \(version)")
        places[serial] = place
        partitions[place.stream.partition, default: []].append(serial)
        streams[place.stream, default: []].append(serial)
    }

    /// All events of a command are there, together, or none is.
    func isStored(_ serials: Range<UInt64>) -> Bool {
        let found = serials.compactMap { places[$0] }
        if found.isEmpty { return false }
        let together = zip(found, found.dropFirst()).allSatisfy {
            $1.sequence == $0.sequence + 1 && $1.version == $0.version + 1 && $1.stream == $0.stream
        }
        judge.require(
            found.count == serials.count && together, "a command is executed whole",
            "of serials \(serials) there are \(found)")
        return true
    }
}
