import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodVirtual
import Testing

/// The tracker against the naive one, on random sequences of everything that can happen to it.
@Suite struct TrackerDifferentialTests {
    private static let sequences = 100_000
    private static let replicas: UInt64 = 5

    @Test(arguments: 0..<8)
    func agreesWithTheNaiveTrackerOnRandomSequences(worker: Int) throws {
        for sequence in 0..<Self.sequences / 8 {
            let seed = UInt64(sequence * 8 + worker)
            var run = DifferentialRun(seed: seed)
            try run.go(steps: 12)
        }
    }

    @Test func agreesOnLongSequences() throws {
        for seed in 0..<10 as Range<UInt64> {
            var run = DifferentialRun(seed: 1_000_000 + seed)
            try run.go(steps: 300)
        }
    }
}

private struct DifferentialRun {
    let seed: UInt64
    let random: VirtualRandom
    let tracker: SegmentedAckTracker
    var oracle: TrackerOracle
    var lastRaft: UInt64 = 0
    var term: UInt64 = 1
    /// Term of each Raft index from 1 on.
    var terms: [UInt64] = []

    init(seed: UInt64) {
        self.seed = seed
        random = VirtualRandom(seed: seed, concern: "tracker")
        let count = 1 + Int(random.next(below: 3))
        tracker = SegmentedAckTracker(partitionCount: count)
        oracle = TrackerOracle(partitions: [])
        for p in 0..<count {
            let rule = randomRule()
            oracle.partitions.append(.init(rule: rule))
            try? tracker.upsertPartition(PartitionDescriptor(partition: PartitionID(UInt64(p)), quorum: rule))
        }
    }

    func below(_ bound: UInt64) -> UInt64 { bound == 0 ? 0 : random.next(below: bound) }

    func randomRule() -> PartitionQuorumRule {
        let members = (0..<below(5)).map { _ in ReplicaID(1 + below(4)) }
        switch below(4) {
        case 0: return PartitionQuorumRule(members: members, decision: .threshold(Int(below(4))))
        case 1:
            return PartitionQuorumRule(
                members: members,
                decision: .custom(CustomQuorum(name: "first member") { members, who in who.contains(members[0]) }))
        default: return PartitionQuorumRule(members: members)
        }
    }

    mutating func go(steps: Int) throws {
        for _ in 0..<steps { try step() }
    }

    private mutating func step() throws {
        let p = Int(below(UInt64(oracle.partitions.count)))
        let id = PartitionID(UInt64(p))
        let partition = oracle.partitions[p]
        switch below(20) {
        case 0..<7:
            lastRaft += 1 + (below(8) == 0 ? 1 : 0)
            if below(10) == 0 { term += 1 }
            while terms.count < Int(lastRaft) { terms.append(term) }
            try tracker.recordAppend(id, PartitionLogIndex(partition.appended + 1), RaftIndex(lastRaft), Term(term))
            oracle.append(p, partition.appended + 1, lastRaft, term)
        case 7..<11:
            guard partition.appended > 0 else { return }
            let index = 1 + below(partition.appended)
            var raft = partition[index].raft
            var ackTerm = partition[index].term
            if below(10) == 0 { raft += 1 }
            if below(10) == 0 { ackTerm += 1 }
            let replica = 1 + below(5)
            let expected = oracle.acknowledge(p, index, raft, ackTerm, replica)
            do {
                let outcome = try tracker.acknowledge(
                    id, PartitionLogIndex(index), RaftIndex(raft), Term(ackTerm), by: ReplicaID(replica))
                #expect(outcome.acknowledgementCount == expected?.count, "seed \(seed)")
                #expect(outcome.quorumSatisfied == expected?.satisfied, "seed \(seed)")
                #expect(outcome.newlySatisfied == expected?.newly, "seed \(seed)")
                #expect(outcome.raftIndex.rawValue == oracle.partitions[p][index].raft, "seed \(seed)")
            } catch {
                #expect(expected == nil, "seed \(seed): \(error)")
            }
        case 11..<13:
            let to = min(lastRaft, oracle.commit + below(4))
            tracker.updateCommit(RaftIndex(to))
            oracle.commit = max(oracle.commit, to)
            oracle.settle()
        case 13..<15:
            let to = below(lastRaft + 1)
            tracker.updateSegmentedDurable(RaftIndex(to))
            oracle.durable = max(oracle.durable, to)
            oracle.settle()
        case 15:
            let limit = min(partition.logged, oracle.committed(p))
            guard limit > partition.applied else { return }
            let index = partition.applied + 1 + below(limit - partition.applied)
            try tracker.releaseEntry(id, PartitionLogIndex(index))
            oracle.partitions[p].applied = index
        case 16:
            let limit = oracle.committed(p)
            guard limit > partition.persisted else { return }
            let index = partition.persisted + 1 + below(limit - partition.persisted)
            try tracker.recordPersisted(id, through: PartitionLogIndex(index))
            oracle.partitions[p].persisted = index
        case 17:
            let keep = oracle.commit + below(lastRaft - oracle.commit + 1)
            tracker.truncate(after: RaftIndex(keep))
            oracle.truncate(after: keep)
            lastRaft = keep
            terms.removeLast(terms.count - Int(keep))
            term += 1
        case 18:
            guard partition.appended > 0, partition[partition.appended].raft > oracle.commit else { return }
            let index = partition.appended
            if below(3) == 0 {
                try tracker.recordAppend(id, PartitionLogIndex(index), RaftIndex(partition[index].raft), Term(term))
                oracle.append(p, index, partition[index].raft, term)
            } else {
                lastRaft += 1
                while terms.count < Int(lastRaft) { terms.append(term) }
                try tracker.recordAppend(id, PartitionLogIndex(index), RaftIndex(lastRaft), Term(term))
                oracle.append(p, index, lastRaft, term)
            }
        default:
            let rule = randomRule()
            try tracker.upsertPartition(PartitionDescriptor(partition: id, quorum: rule))
            oracle.partitions[p].rule = rule
            oracle.settle()
        }
        try compare()
    }

    private func compare() throws {
        for (p, partition) in oracle.partitions.enumerated() {
            let progress = try tracker.progress(of: PartitionID(UInt64(p)))
            let expected = PartitionProgress(
                logged: PartitionLogIndex(partition.logged), confirmed: PartitionLogIndex(partition.confirmed),
                applied: PartitionLogIndex(partition.applied), persisted: PartitionLogIndex(partition.persisted))
            if progress != expected { Issue.record("seed \(seed): partition \(p) \(progress), expected \(expected)") }
        }
        if below(3) == 0 {
            let floor = tracker.floor.rawValue
            if floor != oracle.floor { Issue.record("seed \(seed): floor \(floor), expected \(oracle.floor)") }
        }
        let through = tracker.appliedThrough.rawValue
        if through > oracle.appliedThrough {
            Issue.record("seed \(seed): applied through \(through), expected \(oracle.appliedThrough)")
        }
    }
}
