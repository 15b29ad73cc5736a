import CordwoodBase

/// What one replica applies, all apply, with the same result: at a partition log index there is one entry for ever,
/// whoever looks and after however many restarts, gapless, in the order of the Raft log.
final class AgreementChecker {
    struct Applied: Hashable {
        var raftIndex: RaftIndex
        var term: Term
        /// Of the command's bytes, its timestamp and what it was answered.
        var digest: UInt64
        /// Events of the partition with this entry.
        var eventCount: UInt64
    }

    private let judge: Judge
    /// Per partition, the entries from index 1 on.
    private(set) var canonical: [PartitionID: [Applied]] = [:]

    init(_ judge: Judge) { self.judge = judge }

    /// Returns whether the entry was never applied anywhere before. `events`: how many the entry stored.
    @discardableResult
    func applied(
        _ partition: PartitionID, _ index: PartitionLogIndex, raftIndex: RaftIndex, term: Term, digest: UInt64,
        events: UInt32, on host: String
    ) -> Bool {
        let count = UInt64(canonical[partition]?.count ?? 0)
        if index.rawValue <= count, let known = canonical[partition]?[Int(index.rawValue) - 1] {
            judge.require(
                known.raftIndex == raftIndex && known.term == term && known.digest == digest,
                "replicas apply the same entries",
                "\(host) applies \(raftIndex)@\(term) with digest \(digest) at \(partition)/\(index), "
                    + "where \(known) was applied")
            return false
        }
        judge.require(
            index.rawValue == count + 1, "partitions are gapless",
            "\(host) applies \(partition)/\(index), and \(count) entries were ever applied")
        let last = canonical[partition]?.last
        if let last {
            judge.require(
                raftIndex > last.raftIndex && term >= last.term, "partitions keep the log's order",
                "\(host) applies \(raftIndex)@\(term) at \(partition)/\(index) behind \(last)")
        }
        canonical[partition, default: []].append(
            Applied(
                raftIndex: raftIndex, term: term, digest: digest,
                eventCount: (last?.eventCount ?? 0) + UInt64(events)))
        return true
    }

    /// Entries of a partition that were ever applied, and the events that they stored.
    func entryCount(_ partition: PartitionID) -> Int { canonical[partition]?.count ?? 0 }

    func eventCount(_ partition: PartitionID) -> UInt64 { canonical[partition]?.last?.eventCount ?? 0 }

    /// Where an entry of a partition stands in the Raft log, once it was applied anywhere.
    func raftIndex(_ partition: PartitionID, _ index: PartitionLogIndex) -> RaftIndex? {
        guard let entries = canonical[partition], index >= 1, index.rawValue <= UInt64(entries.count) else {
            return nil
        }
        return entries[Int(index.rawValue) - 1].raftIndex
    }
}
