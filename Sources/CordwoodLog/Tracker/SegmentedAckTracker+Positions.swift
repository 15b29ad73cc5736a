public import CordwoodBase

/// How far the log has come: durable, committed, cut; and the walks that bring it to the partitions. Each of them
/// passes every entry once.
extension SegmentedAckTracker {
    public var segmentedDurableIndex: RaftIndex { RaftIndex(durable) }

    public var commitIndex: RaftIndex { RaftIndex(commit) }

    /// The segmented log is durable up to an index; a lower one than known is ignored.
    public func updateSegmentedDurable(_ raft: RaftIndex) {
        guard raft.rawValue > durable else { return }
        durable = raft.rawValue
        walkLogged()
    }

    /// Raft has committed up to an index; a lower one than known is ignored.
    public func updateCommit(_ raft: RaftIndex) {
        guard raft.rawValue > commit else { return }
        commit = raft.rawValue
        walkCommitted()
        for at in classes.indices where !classes[at].followsCommit && classes[at].partitionCount > 0 { walk(at) }
    }

    /// Forgets every entry behind a Raft index and pulls durable index and cursors back to it. Tells partition and
    /// payload bytes of each that is dropped.
    public func truncate(after raft: RaftIndex, dropped: (PartitionID, Int) -> Void = { _, _ in }) {
        let keep = raft.rawValue
        invariant(keep >= commit, "truncation to \(keep) below commit \(commit)")
        while ring.count > 0, ring.end - 1 > keep {
            let last = ring.end - 1
            ring.forEach(at: last) { slice in
                let at = Int(slice.partition)
                let index = slice.index(near: partitions[at].appended)
                partitions[at].appended = index - 1
                partitions[at].lastRaftIndex = slice.previousRaftIndex
                partitions[at].logged = min(partitions[at].logged, index - 1)
                partitions[at].persisted = min(partitions[at].persisted, index - 1)
                dropped(PartitionID(UInt64(at)), Int(slice.byteCount))
            }
            ring.dropLast()
        }
        while let run = termRuns.last, run.first > keep { termRuns.removeLast() }
        for at in cursors.indices { cursors[at].raftIndex = min(cursors[at].raftIndex, keep) }
        for at in classes.indices { classes[at].frontier = min(classes[at].frontier, keep) }
        durable = min(durable, keep)
        loggedThrough = min(loggedThrough, keep)
        appliedWalk = min(appliedWalk, keep)
    }

    // MARK: Walks

    func walkLogged() {
        let end = min(durable, ring.end - 1)
        var raft = max(loggedThrough + 1, ring.first)
        while raft <= end {
            ring.forEach(at: raft) { slice in
                let at = Int(slice.partition)
                partitions[at].logged = slice.index(near: partitions[at].appended)
            }
            raft += 1
        }
        loggedThrough = max(loggedThrough, min(durable, ring.end - 1))
    }

    func walkCommitted() {
        let end = min(commit, ring.end - 1)
        var raft = max(committedThrough + 1, ring.first)
        while raft <= end {
            ring.forEach(at: raft) { slice in
                let at = Int(slice.partition)
                markCommitted(at, slice.index(near: partitions[at].appended))
            }
            raft += 1
        }
        committedThrough = max(committedThrough, end)
    }

    @inline(__always)
    func markCommitted(_ at: Int, _ index: UInt64) {
        partitions[at].committed = index
        if classes[Int(partitions[at].quorumClass)].followsCommit {
            partitions[at].confirmed = index
        } else if index <= partitions[at].announced {
            confirm(UInt16(at), index)
        }
    }

    /// Drops from the front what no partition needs any more.
    func dropDone() {
        while ring.count > 0, ring.first <= commit {
            let raft = ring.first
            let isDone = ring.allSatisfy(at: raft) { slice in
                let state = partitions[Int(slice.partition)]
                return slice.index(near: state.appended) <= state.done
            }
            guard isDone else { break }
            ring.forEach(at: raft) { keepIfUnconfirmed($0, raft) }
            ring.dropFirst()
        }
        while termRuns.count > 1, termRuns[1].first <= ring.first { termRuns.removeFirst() }
    }

    func keepIfUnconfirmed(_ slice: TrackedSlice, _ raft: UInt64) {
        let state = partitions[Int(slice.partition)]
        let index = slice.index(near: state.appended)
        guard index > state.confirmed else { return }
        classes[Int(state.quorumClass)].hold(
            .init(
                raftIndex: raft, term: term(at: raft), partition: slice.partition, index: index,
                reported: slice.flags.contains(.reported)))
    }

    func confirm(_ partition: UInt16, _ index: UInt64) {
        guard index > partitions[Int(partition)].confirmed else { return }
        partitions[Int(partition)].confirmed = index
        onConfirmed?(PartitionID(UInt64(partition)))
    }
}
