/// Who is published as a partition's master. Mastership orders nothing that Raft decides.
public enum PartitionMasterPolicy: Sendable, Hashable {
    /// The member at XXH64(partition id as 8 little-endian bytes, seed 0) modulo the number of members, members in
    /// ascending order: the same on every node and in every process.
    case automatic
    /// This replica while it is a member.
    case fixed(ReplicaID)
    case disabled

    /// The master among these members, in whatever order and however often each is named.
    public func master(of partition: PartitionID, among members: some Sequence<ReplicaID>) -> ReplicaID? {
        switch self {
        case .automatic:
            let candidates = sortedUnique(members)
            guard !candidates.isEmpty else { return nil }
            return candidates[Int(Checksum.xxh64(of: partition.rawValue) % UInt64(candidates.count))]
        case .fixed(let replica): return members.contains(replica) ? replica : nil
        case .disabled: return nil
        }
    }
}
