public import CordwoodBase

/// Replica cursors and the frontiers that follow from them.
extension SegmentedAckTracker {
    /// Replicas that hold the entry at a Raft index, as bits over the table of cursors.
    func acknowledgerBits(of raft: UInt64) -> UInt64 {
        var bits: UInt64 = 0
        for at in cursors.indices where cursors[at].raftIndex >= raft { bits |= 1 << UInt64(at) }
        return bits
    }

    func isSatisfied(_ quorumClass: QuorumClass, _ raft: UInt64) -> Bool {
        if quorumClass.rule.members.isEmpty { return true }
        if quorumClass.followsCommit, raft <= commitIndex.rawValue { return true }
        if !quorumClass.followsCommit, raft <= quorumClass.frontier { return true }
        return isSatisfied(quorumClass.rule, bits: acknowledgerBits(of: raft) & quorumClass.memberBits)
    }

    private func isSatisfied(_ rule: PartitionQuorumRule, bits: UInt64) -> Bool {
        if let required = rule.requiredCount { return bits.nonzeroBitCount >= required }
        return rule.isSatisfied(
            by: cursors.indices.filter { bits & (1 << UInt64($0)) != 0 }.map { cursors[$0].replica })
    }

    func moveCursor(of replica: ReplicaID, to raft: UInt64) {
        guard let at = place(of: replica) else { return }
        guard raft > cursors[at].raftIndex else { return }
        cursors[at].raftIndex = raft
        for number in classes.indices where classes[number].memberBits & (1 << UInt64(at)) != 0 {
            guard !classes[number].followsCommit, classes[number].partitionCount > 0 else { continue }
            advanceFrontier(number)
            walk(number)
        }
    }

    /// Forgets the position of a replica that is no member any more.
    public func removeReplica(_ replica: ReplicaID) {
        guard let at = cursors.firstIndex(where: { $0.replica == replica }) else { return }
        cursors.remove(at: at)
        for number in classes.indices { classes[number].memberBits = bits(of: classes[number].rule) }
    }

    private func place(of replica: ReplicaID) -> Int? {
        if let at = cursors.firstIndex(where: { $0.replica == replica }) { return at }
        guard cursors.count < Self.maxReplicas else { return nil }
        cursors.append(Cursor(replica: replica, raftIndex: 0))
        for number in classes.indices where classes[number].rule.members.contains(replica) {
            classes[number].memberBits |= 1 << UInt64(cursors.count - 1)
        }
        return cursors.count - 1
    }

    private func bits(of rule: PartitionQuorumRule) -> UInt64 {
        var bits: UInt64 = 0
        for at in cursors.indices where rule.members.contains(cursors[at].replica) { bits |= 1 << UInt64(at) }
        return bits
    }

    /// The acknowledgers of an entry change only at a cursor, so the frontier lies at one: the farthest up to which
    /// every stretch is satisfied.
    private func advanceFrontier(_ number: Int) {
        let rule = classes[number].rule
        let mask = classes[number].memberBits
        var positions: [UInt64] = []
        for at in cursors.indices where mask & (1 << UInt64(at)) != 0 { positions.append(cursors[at].raftIndex) }
        if let required = rule.requiredCount {
            let reached = positions.withUnsafeMutableBufferPointer { Quorum.reached(by: required, of: $0) }
            classes[number].frontier = max(classes[number].frontier, reached)
            return
        }
        positions.sort()
        for position in positions where position > classes[number].frontier {
            guard isSatisfied(rule, bits: acknowledgerBits(of: position) & mask) else { break }
            classes[number].frontier = position
        }
    }

    /// Carries a frontier into the partitions of its class, as far as commit has come.
    func walk(_ number: Int) {
        let end = min(classes[number].frontier, commitIndex.rawValue)
        while let oldest = classes[number].unconfirmed.first {
            guard oldest.raftIndex <= end || oldest.index <= partitions[Int(oldest.partition)].confirmed else { break }
            classes[number].unconfirmed.removeFirst()
            confirm(oldest.partition, oldest.index)
        }
        var raft = max(classes[number].walked + 1, ring.first)
        while raft <= min(end, ring.end - 1) {
            ring.forEach(at: raft) { slice in
                guard Int(partitions[Int(slice.partition)].quorumClass) == number else { return }
                confirm(slice.partition, slice.index(near: partitions[Int(slice.partition)].appended))
            }
            raft += 1
        }
        classes[number].walked = max(classes[number].walked, end)
    }

    func findOrAddClass(_ rule: PartitionQuorumRule) -> Int {
        if let known = classes.firstIndex(where: { $0.partitionCount > 0 && $0.rule == rule }) { return known }
        var new = QuorumClass(rule: rule, memberBits: bits(of: rule))
        new.walked = ring.first - 1
        let number: Int
        if let free = classes.firstIndex(where: { $0.partitionCount == 0 }) {
            classes[free] = new
            number = free
        } else {
            classes.append(new)
            number = classes.count - 1
        }
        if !new.followsCommit { advanceFrontier(number) }
        return number
    }

    func leave(_ number: Int) { classes[number].partitionCount -= 1 }

    /// Judges the pending entries of a partition under its new rule. What was confirmed stays so.
    func move(_ partition: UInt16, from old: Int, to new: Int) {
        let moved = classes[old].unconfirmed.filter { $0.partition == partition }
        classes[old].unconfirmed.removeAll { $0.partition == partition }
        let state = partitions[Int(partition)]
        if classes[new].followsCommit {
            confirm(partition, state.committed)
            return
        }
        let end = min(classes[new].frontier, commitIndex.rawValue)
        for entry in moved { classes[new].hold(entry) }
        var raft = state.lastRaftIndex
        while raft >= ring.first, let slice = ring.slice(of: partition, at: raft) {
            if raft <= end {
                confirm(partition, slice.index(near: state.appended))
                break
            }
            raft = slice.previousRaftIndex
        }
        walk(new)
    }

    /// Whether an outcome has shown a tracked entry satisfied.
    func isReported(_ partition: UInt16, _ raft: UInt64, _ number: Int) -> Bool {
        if let slice = ring.slice(of: partition, at: raft) { return slice.flags.contains(.reported) }
        return place(of: partition, raft, in: number).map { classes[number].unconfirmed[$0].reported } ?? false
    }

    /// Remembers that an outcome has, unless the acknowledgement has just made the entry leave the tracker.
    func markReported(_ partition: UInt16, _ raft: UInt64, _ number: Int) {
        ring.markReported(partition, at: raft)
        if let at = place(of: partition, raft, in: number) { classes[number].unconfirmed[at].reported = true }
    }

    private func place(of partition: UInt16, _ raft: UInt64, in number: Int) -> Int? {
        classes[number].unconfirmed.firstIndex { $0.partition == partition && $0.raftIndex == raft }
    }
}
