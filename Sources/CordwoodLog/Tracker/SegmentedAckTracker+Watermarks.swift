public import CordwoodBase

/// What follows from the positions: what the log must keep and for whom, how far all have applied, and who has
/// acknowledged an entry.
extension SegmentedAckTracker {
    /// Lowest Raft index that the segmented log must keep for the partitions: at most commit + 1.
    public var floor: RaftIndex {
        dropDone()
        return RaftIndex(ring.count == 0 ? commit + 1 : min(ring.first, commit + 1))
    }

    /// A partition that holds the floor where it is, if one does.
    public var floorHolder: PartitionID? {
        let floor = floor.rawValue
        var holder: PartitionID?
        ring.forEach(at: floor) { slice in
            let state = partitions[Int(slice.partition)]
            if slice.index(near: state.appended) > state.done { holder = PartitionID(UInt64(slice.partition)) }
        }
        return floor > commit ? nil : holder
    }

    /// Raft index up to which every partition has applied what it was given.
    public var appliedThrough: RaftIndex {
        if appliedWalk < ring.first - 1 { appliedWalk = min(ring.first - 1, committedThrough) }
        while appliedWalk < committedThrough {
            let raft = appliedWalk + 1
            if raft < ring.end {
                let applied = ring.allSatisfy(at: raft) { slice in
                    let state = partitions[Int(slice.partition)]
                    return slice.index(near: state.appended) <= state.applied
                }
                if !applied { break }
            }
            appliedWalk = raft
        }
        return RaftIndex(appliedWalk)
    }

    /// How far the log is durable and what must stay of it. `lastFinished` gives the last index of the newest sealed
    /// segment that lies wholly below an index, which the log knows.
    public func segmentedWatermarks(lastFinished: (RaftIndex) -> RaftIndex?) -> SegmentedWatermarks {
        let floor = floor
        return SegmentedWatermarks(
            durableIndex: segmentedDurableIndex, floor: floor, reclaimableThrough: lastFinished(floor))
    }

    public func partitionWatermark(_ partition: PartitionID) throws(AckError) -> PartitionWatermark {
        let state = try state(partition)
        let oldest = state.done < state.appended ? raftIndex(of: UInt16(partition.rawValue), state.done + 1) : nil
        return PartitionWatermark(
            partition: partition, oldestNeeded: oldest.map { RaftIndex($0) },
            confirmed: PartitionLogIndex(state.confirmed))
    }

    /// Who has acknowledged an entry that is not yet both confirmed and applied.
    public func status(of partition: PartitionID, _ index: PartitionLogIndex) throws(AckError) -> PartitionAckStatus {
        let state = try state(partition)
        guard index.rawValue > min(state.applied, state.confirmed),
            let raft = raftIndex(of: UInt16(partition.rawValue), index.rawValue)
        else { throw .entryMissing(partition, index) }
        let quorumClass = classes[Int(state.quorumClass)]
        return PartitionAckStatus(
            key: PartitionAckKey(partition: partition, partitionIndex: index), raftIndex: RaftIndex(raft),
            term: Term(term(of: UInt16(partition.rawValue), at: raft) ?? 0),
            acknowledgers: quorumClass.rule.members.filter { member in
                cursors.contains { $0.replica == member && $0.raftIndex >= raft }
            },
            isQuorumSatisfied: isSatisfied(quorumClass, raft), requiredForQuorum: quorumClass.rule.requiredCount)
    }
}
