import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodVirtual
import Testing

/// Admission, counters, masters, floor and barriers of the dispatcher, without machines.
@Suite struct DispatcherTests {
    private static let second: UInt64 = 1_000_000_000

    /// A dispatcher and a log of which it is told entry by entry.
    private final class Subject {
        let dispatcher: PartitionDispatcher
        let clock = VirtualWorld(seed: 1).clock
        var raft: UInt64 = 0
        var now: UInt64 = 0

        init(_ configure: (inout PartitionDispatcherConfiguration) -> Void = { _ in }) {
            var configuration = PartitionDispatcherConfiguration(partitionCount: 4, members: [1, 2, 3])
            configure(&configuration)
            dispatcher = PartitionDispatcher(configuration: configuration, clock: clock)
        }

        @discardableResult
        func append(_ partition: PartitionID, bytes: Int = 10) throws -> PartitionLogIndex {
            let admission = try dispatcher.admit(partition, byteCount: bytes, nowNanoseconds: now)
            raft += 1
            let slice = EntrySlice(
                partition: partition, partitionIndex: admission.partitionIndex,
                previousRaftIndex: admission.previousRaftIndex, offset: 0, length: UInt32(bytes))
            try dispatcher.recordAppended(RaftIndex(raft), 1, .one(slice), nowNanoseconds: now)
            return admission.partitionIndex
        }

        func commit() {
            dispatcher.recordLogged(through: RaftIndex(raft))
            dispatcher.recordCommitted(through: RaftIndex(raft))
            dispatcher.recordDispatched(through: RaftIndex(raft))
        }

        func apply(_ partition: PartitionID, _ index: PartitionLogIndex, bytes: Int = 10, events: UInt32 = 1) throws {
            try dispatcher.recordApplied(
                partition, index, raftIndex: RaftIndex(raft), byteCount: bytes, eventCount: events)
        }

        func inflight(_ partition: PartitionID) -> Int? {
            dispatcher.status(of: partition, nowNanoseconds: now)?.inflightEntries
        }
    }

    @Test func admit_increments_inflight_and_index() throws {
        let subject = Subject()
        #expect(try subject.append(0) == 1)
        #expect(try subject.append(0) == 2)
        #expect(try subject.append(1) == 1)
        #expect(subject.inflight(0) == 2)
        #expect(subject.dispatcher.status(of: 0, nowNanoseconds: 0)?.inflightBytes == 20)
    }

    @Test func aRefusedProposalHasConsumedNothing() throws {
        let subject = Subject()
        for _ in 0..<3 {
            #expect(try subject.dispatcher.admit(0, byteCount: 1, nowNanoseconds: 0).partitionIndex == 1)
        }
        #expect(throws: AdmissionError.indexMismatch(0, expected: 1, given: 2)) {
            try subject.dispatcher.admit(0, byteCount: 1, nowNanoseconds: 0, expecting: 2)
        }
        #expect(throws: AdmissionError.partitionMissing(4)) {
            try subject.dispatcher.admit(4, byteCount: 1, nowNanoseconds: 0)
        }
    }

    @Test func backpressure_triggers_when_limit_hit() throws {
        let subject = Subject { $0.queue.maxInflightEntries = 2 }
        try subject.append(0)
        try subject.append(0)
        #expect(throws: AdmissionError.backpressure(0, inflight: 2, limit: 2)) { try subject.append(0) }
        try subject.append(1)
        subject.commit()
        try subject.apply(0, 1)
        try subject.append(0)
    }

    @Test func bytesAndAgeAreLimited() throws {
        let subject = Subject {
            $0.queue.maxInflightBytes = 100
            $0.queue.maxAgeNanoseconds = 5 * Self.second
        }
        try subject.append(0, bytes: 90)
        #expect(throws: AdmissionError.bytesExceeded(0, bytes: 110, limit: 100)) { try subject.append(0, bytes: 20) }
        try subject.append(1)
        subject.now = 6 * Self.second
        #expect(throws: AdmissionError.ageExceeded(1, ageNanoseconds: 6 * Self.second, limit: 5 * Self.second)) {
            try subject.append(1)
        }
        subject.commit()
        try subject.apply(1, 1)
        try subject.append(1)
    }

    @Test func per_partition_override_applies() throws {
        let subject = Subject()
        var descriptor = try #require(subject.dispatcher.descriptor(of: 1))
        let copy = descriptor
        descriptor.queue.maxInflightEntries = 1
        try subject.dispatcher.upsert(descriptor)
        try subject.append(1)
        #expect(throws: AdmissionError.backpressure(1, inflight: 1, limit: 1)) { try subject.append(1) }
        try subject.append(0)
        try subject.append(0)
        #expect(copy.queue.maxInflightEntries == 8192)
    }

    @Test func lag_guard_blocks_when_exceeded() throws {
        let subject = Subject { $0.queue.maxGlobalLag = 3 }
        try subject.append(0)
        for _ in 0..<4 {
            try subject.append(1, bytes: 1); subject.commit();
            try subject.apply(1, PartitionLogIndex(subject.raft - 1), bytes: 1)
        }
        #expect(throws: AdmissionError.lagExceeded(0, lag: 4, maximum: 3)) { try subject.append(0) }
        try subject.append(1)
    }

    @Test func noSpaceIsRefusedBeforeAnythingIsConsumedAndComesBackWhenPersisted() throws {
        let subject = Subject()
        subject.dispatcher.updateFreeBytes(2_000)
        try subject.append(0, bytes: 500)
        #expect(throws: AdmissionError.self) { try subject.append(0, bytes: 500) }
        try subject.dispatcher.recordPersisted(0, through: 1, entryCount: 1, byteCount: 500)
        try subject.append(0, bytes: 500)
    }

    @Test func record_progress_reduces_backlog() throws {
        let subject = Subject()
        for _ in 0..<5 { try subject.append(0) }
        #expect(throws: DispatchError.appliedBeyondLogged(0, applied: 1, logged: 0)) { try subject.apply(0, 1) }
        subject.dispatcher.recordLogged(through: 5)
        #expect(throws: DispatchError.appliedBeyondCommit(0, applied: 1, committed: 0)) { try subject.apply(0, 1) }
        subject.commit()
        for index in 1...5 as ClosedRange<UInt64> { try subject.apply(0, PartitionLogIndex(index)) }
        #expect(subject.inflight(0) == 0)
        #expect(subject.dispatcher.watermark(of: 0) == 5)
        #expect(
            subject.dispatcher.progress(of: 0) == PartitionProgress(logged: 5, confirmed: 5, applied: 5, persisted: 0))
    }

    @Test func truncationRestoresNextIndexesWithoutAScan() throws {
        let subject = Subject()
        for number in 0..<12 as Range<UInt64> { try subject.append(PartitionID(number % 3)) }
        subject.dispatcher.recordTruncated(after: 4)
        subject.raft = 4
        #expect(try subject.append(0) == 3)
        #expect(try subject.append(1) == 2)
        #expect(try subject.append(2) == 2)
        #expect(subject.inflight(0) == 3)
    }

    @Test func anEntryThatDoesNotFollowIsRefusedBeforeItIsWritten() throws {
        let subject = Subject()
        try subject.append(0)
        let gap = EntrySlice(partition: 0, partitionIndex: 3, previousRaftIndex: 1, offset: 0, length: 1)
        #expect(throws: DispatchError.indexMismatch(0, expected: 2, given: 3)) {
            try subject.dispatcher.recordAppended(2, 1, .one(gap), nowNanoseconds: 0)
        }
        let stranger = EntrySlice(partition: 0, partitionIndex: 2, previousRaftIndex: 0, offset: 0, length: 1)
        #expect(throws: DispatchError.predecessorMismatch(0, expected: 1, given: 0)) {
            try subject.dispatcher.recordAppended(2, 1, .one(stranger), nowNanoseconds: 0)
        }
    }

    @Test func auto_master_assignment_tracks_membership() {
        let subject = Subject()
        let before = (0..<4 as Range<UInt64>).map { subject.dispatcher.master(of: PartitionID($0)) }
        #expect(before.allSatisfy { [1, 2, 3].contains($0) })
        subject.dispatcher.updateMembership([3, 1, 2, 2])
        #expect((0..<4 as Range<UInt64>).map { subject.dispatcher.master(of: PartitionID($0)) } == before)
        subject.dispatcher.updateMembership([9])
        #expect((0..<4 as Range<UInt64>).allSatisfy { subject.dispatcher.master(of: PartitionID($0)) == 9 })
        subject.dispatcher.updateMembership([])
        #expect(subject.dispatcher.master(of: 0) == nil)
    }

    @Test func fixed_master_clears_when_member_missing() {
        let subject = Subject { $0.master = .fixed(2) }
        #expect(subject.dispatcher.master(of: 0) == 2)
        subject.dispatcher.updateMembership([1, 3])
        #expect(subject.dispatcher.master(of: 0) == nil)
        subject.dispatcher.updateMembership([1, 2, 3])
        #expect(subject.dispatcher.master(of: 0) == 2)
    }

    @Test func master_disabled_remains_none() {
        #expect(Subject { $0.master = .disabled }.dispatcher.master(of: 0) == nil)
    }

    @Test func aThresholdDelaysTheWatermarkAndNeverTheFloor() throws {
        let subject = Subject { $0.decision = .threshold(3) }
        try subject.append(0)
        try subject.append(0)
        subject.commit()
        try subject.apply(0, 1)
        try subject.apply(0, 2)
        #expect(subject.dispatcher.watermark(of: 0) == 0)
        try subject.dispatcher.recordPersisted(0, through: 2, entryCount: 2, byteCount: 20)
        #expect(subject.dispatcher.floor == 3)
        for replica in [1, 2, 3] as [ReplicaID] { subject.dispatcher.tracker.acknowledge(through: 1, 1, by: replica) }
        #expect(subject.dispatcher.watermark(of: 0) == 1)
        for replica in [1, 2, 3] as [ReplicaID] {
            _ = try subject.dispatcher.tracker.acknowledge(0, 2, 2, 1, by: replica)
        }
        #expect(subject.dispatcher.watermark(of: 0) == 2)
    }

    @Test func theWatermarkNeverFallsWhenAMachineStartsAgain() throws {
        let subject = Subject()
        for _ in 0..<6 { try subject.append(0) }
        subject.commit()
        for index in 1...6 as ClosedRange<UInt64> { try subject.apply(0, PartitionLogIndex(index), events: 2) }
        #expect(subject.dispatcher.watermark(of: 0) == 12)
        // The machine is made anew from a snapshot, and applies again what came behind it.
        try subject.dispatcher.restoreApplied(0, 2, raftIndex: 2, eventCount: 4)
        #expect(subject.dispatcher.watermark(of: 0) == 12)
        for index in 3...6 as ClosedRange<UInt64> {
            try subject.apply(0, PartitionLogIndex(index), events: 2)
            #expect(subject.dispatcher.watermark(of: 0) == 12)
        }
    }

    @Test func onlyThePartitionThatHoldsTheFloorIsPinnedAndIdleOnesHoldNothing() throws {
        let subject = Subject { $0.maxPinnedBytes = 8 << 20 }
        try subject.append(0, bytes: 1 << 20)
        for _ in 0..<12 { try subject.append(1, bytes: 1 << 20) }
        subject.commit()
        for index in 1...12 as ClosedRange<UInt64> { try subject.apply(1, PartitionLogIndex(index), bytes: 1 << 20) }
        try subject.dispatcher.recordPersisted(1, through: 12, entryCount: 12, byteCount: 12 << 20)
        #expect(subject.dispatcher.floor == 1)
        #expect(subject.dispatcher.floorHolder == 0)
        try subject.dispatcher.recordPersisted(0, through: 1, entryCount: 1, byteCount: 1 << 20)
        #expect(subject.dispatcher.floor == 14)
        #expect(throws: AdmissionError.self) { try subject.append(0) }
        try subject.append(1)
        subject.commit()
        try subject.apply(0, 1, bytes: 1 << 20)
        try subject.append(0)
    }

    @Test func aPartitionThatOnlyWaitsToBePersistedIsNotRefused() throws {
        let subject = Subject { $0.maxPinnedBytes = 8 << 20 }
        for _ in 0..<12 { try subject.append(1, bytes: 1 << 20) }
        subject.commit()
        for index in 1...12 as ClosedRange<UInt64> { try subject.apply(1, PartitionLogIndex(index), bytes: 1 << 20) }
        #expect(subject.dispatcher.floor == 1)
        try subject.append(1, bytes: 1 << 20)
    }

    @Test func remove_partition_returns_manifest() throws {
        let subject = Subject()
        try subject.append(0)
        subject.commit()
        try subject.apply(0, 1)
        let last = try subject.dispatcher.remove(0)
        #expect(last == PartitionProgress(logged: 1, confirmed: 1, applied: 1, persisted: 0))
        #expect(!subject.dispatcher.has(0))
        #expect(throws: AdmissionError.partitionMissing(0)) { try subject.append(0) }
        #expect(throws: DispatchError.partitionMissing(0)) { try subject.dispatcher.remove(0) }
    }

    @Test func mastersAreTheSameInEveryProcess() {
        let masters = (0..<8 as Range<UInt64>).map {
            PartitionMasterPolicy.automatic.master(of: PartitionID($0), among: [5, 1, 9])
        }
        #expect(masters == GoldenMasters.amongThree)
        #expect(Checksum.xxh64(of: 0) == 0x34C9_6ACD_CADB_1BBB)
    }

    @Test func tenThousandBarriersCostNoPolling() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let bench = Bench(seams)
            bench.commits = false
            for number in 0..<100 as Range<UInt64> { try bench.propose([PartitionID(number % 4): number]) }
            var passed = 0
            for number in 0..<10_000 as Range<UInt64> {
                seams.scheduler.spawn("barrier") {
                    let result = await bench.dispatcher.barrier(
                        on: [PartitionID(number % 4)], through: RaftIndex(number % 100 + 1),
                        timeoutNanoseconds: 60 * Self.second)
                    if result == .applied { passed += 1 }
                }
            }
            await seams.clock.sleep(nanoseconds: Self.second)
            #expect(passed == 0)
            bench.commit()
            let settled = await bench.settle()
            #expect(settled == .applied)
            await seams.clock.sleep(nanoseconds: Self.second)
            #expect(passed == 10_000)
        }
    }
}

/// Masters among the replicas 1, 5 and 9 of the partitions from 0 on.
private enum GoldenMasters {
    static let amongThree: [ReplicaID?] = [9, 5, 1, 1, 1, 5, 1, 9]
}
