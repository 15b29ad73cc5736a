import CordwoodBase
import CordwoodLog
import Testing

@Suite struct TrackerTests {
    private func tracker(_ decision: QuorumDecision = .majority, members: [ReplicaID] = [1, 2, 3]) throws
        -> SegmentedAckTracker
    {
        let tracker = SegmentedAckTracker(partitionCount: 2)
        for partition in [0, 1] as [PartitionID] {
            try tracker.upsertPartition(
                PartitionDescriptor(
                    partition: partition, quorum: PartitionQuorumRule(members: members, decision: decision)))
        }
        return tracker
    }

    @Test func quorum_satisfaction_updates_watermarks() throws {
        let tracker = try tracker(.threshold(2))
        try tracker.recordAppend(0, 1, 1, 1)
        tracker.updateSegmentedDurable(1)
        _ = try tracker.acknowledge(0, 1, 1, 1, by: 1)
        _ = try tracker.acknowledge(0, 1, 1, 1, by: 2)
        #expect(try tracker.partitionWatermark(0).confirmed == 0)
        tracker.updateCommit(1)
        #expect(try tracker.partitionWatermark(0).confirmed == 1)
    }

    @Test func release_entry_advances_partition_floor() throws {
        let tracker = try tracker()
        try tracker.recordAppend(0, 1, 1, 1)
        try tracker.recordAppend(1, 1, 2, 1)
        tracker.updateSegmentedDurable(2)
        tracker.updateCommit(2)
        #expect(tracker.floor == 1)
        try tracker.releaseEntry(0, 1)
        #expect(tracker.floor == 1)
        try tracker.recordPersisted(0, through: 1)
        #expect(tracker.floor == 2)
        #expect(try tracker.partitionWatermark(0).oldestNeeded == nil)
        #expect(try tracker.partitionWatermark(1).oldestNeeded == 2)
    }

    @Test func quorum_majority_evaluates_and_detects_first_satisfaction() throws {
        let tracker = try tracker()
        try tracker.recordAppend(0, 1, 1, 1)
        let outcomes = try [1, 2, 3].map { try tracker.acknowledge(0, 1, 1, 1, by: ReplicaID(UInt64($0))) }
        #expect(outcomes.map(\.acknowledgementCount) == [1, 2, 3])
        #expect(outcomes.map(\.quorumSatisfied) == [false, true, true])
        #expect(outcomes.map(\.newlySatisfied) == [false, true, false])
    }

    @Test func quorum_duplicate_ack_does_not_change_state() throws {
        let tracker = try tracker()
        try tracker.recordAppend(0, 1, 1, 1)
        let first = try tracker.acknowledge(0, 1, 1, 1, by: 1)
        #expect(try tracker.acknowledge(0, 1, 1, 1, by: 1) == first)
    }

    @Test func quorum_ignores_non_member_acknowledgements() throws {
        let tracker = try tracker()
        try tracker.recordAppend(0, 1, 1, 1)
        #expect(try tracker.acknowledge(0, 1, 1, 1, by: 9).acknowledgementCount == 0)
    }

    @Test func quorum_threshold_rule_respects_requirement() throws {
        #expect(PartitionQuorumRule(members: [1, 2, 3], decision: .threshold(9)).requiredCount == 3)
        #expect(PartitionQuorumRule(members: [3, 1, 1], decision: .threshold(0)).requiredCount == 1)
        let tracker = try tracker(.threshold(3))
        try tracker.recordAppend(0, 1, 1, 1)
        let outcomes = try [1, 2, 3].map { try tracker.acknowledge(0, 1, 1, 1, by: ReplicaID(UInt64($0))) }
        #expect(outcomes.map(\.newlySatisfied) == [false, false, true])
    }

    @Test func quorum_resets_when_raft_index_advances() throws {
        let tracker = try tracker()
        try tracker.recordAppend(0, 1, 1, 1)
        _ = try tracker.acknowledge(0, 1, 1, 1, by: 1)
        try tracker.recordAppend(0, 1, 5, 2)
        #expect(try tracker.acknowledge(0, 1, 1, 1, by: 2).acknowledgementCount == 0)
        #expect(try tracker.acknowledge(0, 1, 5, 2, by: 2).acknowledgementCount == 1)
        #expect(try tracker.acknowledge(0, 1, 5, 1, by: 3).acknowledgementCount == 1)
    }

    @Test func whoHoldsAnEntryOfAnotherTermOrBehindTheLogHoldsNothing() throws {
        let tracker = try tracker(.threshold(2))
        try tracker.recordAppend(0, 1, 1, 1)
        try tracker.recordAppend(0, 2, 2, 3)
        tracker.updateSegmentedDurable(2)
        tracker.updateCommit(2)
        for replica in [1, 2] as [ReplicaID] {
            tracker.acknowledge(through: 2, 2, by: replica)
            tracker.acknowledge(through: 3, 3, by: replica)
        }
        #expect(try tracker.partitionWatermark(0).confirmed == 0)
        for replica in [1, 2] as [ReplicaID] { tracker.acknowledge(through: 1, 1, by: replica) }
        #expect(try tracker.partitionWatermark(0).confirmed == 1)
        for replica in [1, 2] as [ReplicaID] { tracker.acknowledge(through: 2, 3, by: replica) }
        #expect(try tracker.partitionWatermark(0).confirmed == 2)
    }

    @Test func quorum_state_cleared_after_apply() throws {
        let tracker = try tracker()
        try tracker.recordAppend(0, 1, 1, 1)
        tracker.updateSegmentedDurable(1)
        tracker.updateCommit(1)
        try tracker.releaseEntry(0, 1)
        #expect(throws: AckError.entryMissing(0, 1)) { try tracker.acknowledge(0, 1, 1, 1, by: 1) }
        #expect(throws: AckError.partitionMissing(2)) { try tracker.recordAppend(2, 1, 2, 1) }
        #expect("\(AckError.entryMissing(0, 1))" == "partition 0 entry 1 not tracked")
    }

    @Test func emptyMembersAreSatisfiedAtOnceAndALaterAcknowledgementCountsForWhatIsBeforeIt() throws {
        let none = try tracker(members: [])
        try none.recordAppend(0, 1, 1, 1)
        #expect(try none.acknowledge(0, 1, 1, 1, by: 1).newlySatisfied)
        let tracker = try tracker()
        try tracker.recordAppend(0, 1, 1, 1)
        try tracker.recordAppend(1, 1, 2, 1)
        _ = try tracker.acknowledge(1, 1, 2, 1, by: 1)
        #expect(try tracker.status(of: 0, 1).acknowledgers == [1])
    }

    @Test func segmented_watermarks_say_what_the_log_may_reclaim() throws {
        let tracker = try tracker()
        for raft in 1...4 as ClosedRange<UInt64> {
            try tracker.recordAppend(0, PartitionLogIndex(raft), RaftIndex(raft), 1)
        }
        tracker.updateSegmentedDurable(4)
        tracker.updateCommit(4)
        try tracker.releaseEntry(0, 3)
        try tracker.recordPersisted(0, through: 3)
        let watermarks = tracker.segmentedWatermarks { floor in floor > 2 ? 2 : nil }
        #expect(watermarks == SegmentedWatermarks(durableIndex: 4, floor: 4, reclaimableThrough: 2))
        #expect(tracker.floorHolder == 0)
    }

    /// Everything restored is committed; a rule that asks for more has still to be met.
    @Test func aRestoredPartitionIsConfirmedOnceItsRuleIsMetAnew() throws {
        for (decision, isConfirmed) in [(QuorumDecision.majority, true), (.threshold(3), false)] {
            let tracker = try tracker(decision)
            tracker.restart(after: 9)
            let found = PartitionProgress(logged: 7, confirmed: 4, applied: 4, persisted: 5)
            try tracker.restore(0, found, lastRaftIndex: 9)
            #expect(try tracker.progress(of: 0).confirmed == (isConfirmed ? 7 : 4))
            var moved: [PartitionID] = []
            tracker.onConfirmed = { moved.append($0) }
            for replica in [1, 2, 3] as [ReplicaID] { tracker.acknowledge(through: 9, 1, by: replica) }
            #expect(try tracker.progress(of: 0).confirmed == 7)
            #expect(moved == (isConfirmed ? [] : [0]))
        }
    }

    /// A follower hears of the positions of others from its leader alone.
    @Test func theLeadersWordConfirmsAsFarAsCommitHasCome() throws {
        let tracker = try tracker(.threshold(3))
        for raft in 1...3 as ClosedRange<UInt64> {
            try tracker.recordAppend(0, PartitionLogIndex(raft), RaftIndex(raft), 1)
        }
        tracker.updateSegmentedDurable(3)
        tracker.updateCommit(1)
        var moved = 0
        tracker.onConfirmed = { _ in moved += 1 }
        try tracker.recordConfirmed(0, through: 2)
        #expect(try tracker.progress(of: 0).confirmed == 1)
        tracker.updateCommit(3)
        #expect(try tracker.progress(of: 0).confirmed == 2)
        try tracker.recordConfirmed(0, through: 1)
        #expect(try tracker.progress(of: 0).confirmed == 2)
        #expect(moved == 2)
    }

    @Test func whatIsNoPartitionOfTheTrackerIsRefused() throws {
        let tracker = try tracker()
        let rule = PartitionQuorumRule(members: [1], decision: .majority)
        #expect(throws: AckError.partitionMissing(2)) {
            try tracker.upsertPartition(PartitionDescriptor(partition: 2, quorum: rule))
        }
        #expect(throws: AckError.partitionMissing(2)) { try tracker.recordPersisted(2, through: 1) }
        #expect(throws: AckError.partitionMissing(2)) { try tracker.releaseEntry(2, 1) }
        #expect(throws: AckError.partitionMissing(2)) { try tracker.setFloorReleased(2, true) }
        #expect(tracker.admissionState(of: 2) == nil)
        guard case .partitionMissing = tracker.release(2, 1) else {
            Issue.record("partition 2 is released")
            return
        }
    }
}
