import CordwoodBase

/// The naive tracker: one set of acknowledgers for each entry, everything else found by looking at all of them.
struct TrackerOracle {
    struct Tracked {
        var raft: UInt64
        var term: UInt64
        /// Bit n stands for replica n.
        var acknowledgers: UInt64 = 0
        var isReported = false
    }

    struct Partition {
        var rule: PartitionQuorumRule
        /// Entries by index, `first` being the index of the first of them.
        var first: UInt64 = 1
        var entries: [Tracked] = []
        var logged: UInt64 = 0
        var confirmed: UInt64 = 0
        var applied: UInt64 = 0
        var persisted: UInt64 = 0

        var appended: UInt64 { first + UInt64(entries.count) - 1 }

        subscript(index: UInt64) -> Tracked {
            get { entries[Int(index - first)] }
            set { entries[Int(index - first)] = newValue }
        }
    }

    var partitions: [Partition]
    var commit: UInt64 = 0
    var durable: UInt64 = 0

    func isSatisfied(_ partition: Partition, _ entry: Tracked) -> Bool {
        if partition.rule.followsCommit, entry.raft <= commit { return true }
        return partition.rule.isSatisfied(by: replicas(entry.acknowledgers))
    }

    func replicas(_ bits: UInt64) -> [ReplicaID] {
        (0..<64 as Range<UInt64>).filter { bits & (1 << $0) != 0 }.map { ReplicaID($0) }
    }

    mutating func append(_ p: Int, _ index: UInt64, _ raft: UInt64, _ term: UInt64) {
        if index <= partitions[p].appended {
            guard raft > partitions[p][index].raft else { return }
            partitions[p].entries.removeLast(Int(partitions[p].appended - index + 1))
            partitions[p].logged = min(partitions[p].logged, index - 1)
        }
        partitions[p].entries.append(Tracked(raft: raft, term: term))
        settle()
    }

    mutating func acknowledge(_ p: Int, _ index: UInt64, _ raft: UInt64, _ term: UInt64, _ replica: UInt64)
        -> (count: Int, satisfied: Bool, newly: Bool)?
    {
        let partition = partitions[p]
        guard index >= partition.first, index <= partition.appended,
            index > min(partition.applied, partition.confirmed)
        else { return nil }
        if partition[index].raft == raft, partition[index].term == term {
            for q in partitions.indices {
                for at in partitions[q].entries.indices where partitions[q].entries[at].raft <= raft {
                    partitions[q].entries[at].acknowledgers |= 1 << replica
                }
            }
        }
        let entry = partitions[p][index]
        let satisfied = isSatisfied(partitions[p], entry)
        let newly = satisfied && !entry.isReported
        if newly { partitions[p][index].isReported = true }
        let members = partition.rule.members.reduce(0 as UInt64) { $0 | 1 << $1.rawValue }
        settle()
        return ((entry.acknowledgers & members).nonzeroBitCount, satisfied, newly)
    }

    mutating func truncate(after raft: UInt64) {
        for p in partitions.indices {
            while let last = partitions[p].entries.last, last.raft > raft {
                partitions[p].entries.removeLast()
                partitions[p].logged = min(partitions[p].logged, partitions[p].appended)
            }
        }
        durable = min(durable, raft)
    }

    mutating func settle() {
        for p in partitions.indices {
            for (at, entry) in partitions[p].entries.enumerated() {
                let index = partitions[p].first + UInt64(at)
                if entry.raft <= durable { partitions[p].logged = max(partitions[p].logged, index) }
                if index == partitions[p].confirmed + 1, entry.raft <= commit, isSatisfied(partitions[p], entry) {
                    partitions[p].confirmed = index
                }
            }
        }
    }

    /// Index of the partition's last entry at or below commit.
    func committed(_ p: Int) -> UInt64 {
        var committed: UInt64 = 0
        for (at, entry) in partitions[p].entries.enumerated() where entry.raft <= commit {
            committed = partitions[p].first + UInt64(at)
        }
        return committed
    }

    var floor: UInt64 {
        var floor = commit + 1
        for partition in partitions {
            let done = min(partition.applied, partition.persisted)
            guard done < partition.appended else { continue }
            floor = min(floor, partition[done + 1].raft)
        }
        return floor
    }

    var appliedThrough: UInt64 {
        var through = commit
        for partition in partitions where partition.applied < partition.appended {
            through = min(through, partition[partition.applied + 1].raft - 1)
        }
        return through
    }
}
