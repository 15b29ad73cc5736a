import CordwoodBase

/// What one replica applies, all apply: at a partition log index there is one entry for ever, whoever looks and after
/// however many restarts; it stands at one Raft index, and a command is applied at one place only.
final class AgreementChecker {
    struct Applied: Hashable {
        var raftIndex: RaftIndex
        var term: Term
        var serial: UInt64
    }

    private let judge: Judge
    /// Per partition, the entries from index 1 on.
    private(set) var canonical: [PartitionID: [Applied]] = [:]
    private var places: [UInt64: (partition: PartitionID, index: PartitionLogIndex)] = [:]

    init(_ judge: Judge) { self.judge = judge }

    func applied(_ partition: PartitionID, _ index: PartitionLogIndex, _ entry: Applied, on host: String) {
        let known = canonical[partition, default: []]
        if index.rawValue <= UInt64(known.count) {
            let before = known[Int(index.rawValue) - 1]
            judge.require(
                before == entry, "replicas apply the same entries",
                "\(host) applies \(entry) at \(partition)/\(index), where \(before) was applied")
            return
        }
        judge.require(
            index.rawValue == UInt64(known.count) + 1, "partitions are gapless",
            "\(host) applies \(partition)/\(index), and \(known.count) entries were ever applied")
        if let last = known.last {
            judge.require(
                entry.raftIndex > last.raftIndex, "partitions keep the log's order",
                "\(host) applies \(entry) at \(partition)/\(index) behind \(last)")
        }
        if let place = places[entry.serial] {
            judge.report(
                "a command is applied once",
                "serial \(entry.serial) at \(place.partition)/\(place.index) and at \(partition)/\(index)")
        }
        places[entry.serial] = (partition, index)
        canonical[partition, default: []].append(entry)
    }

    func place(of serial: UInt64) -> (partition: PartitionID, index: PartitionLogIndex)? { places[serial] }

    func count(_ partition: PartitionID) -> Int { canonical[partition]?.count ?? 0 }
}
