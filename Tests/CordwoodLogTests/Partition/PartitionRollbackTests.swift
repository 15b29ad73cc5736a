import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

/// A log of twenty entries of one partition, the second half under the gate 'partition', of which the partition's file
/// holds a prefix.
@Suite("Rolling back to what the partitions hold")
struct PartitionRollbackTests {
    private static func entry(_ index: UInt64) -> Entry {
        Entry(
            index: RaftIndex(index), term: 1, type: .application, timestampMicroseconds: Int64(index),
            slices: .one(
                EntrySlice(
                    partition: 0, partitionIndex: PartitionLogIndex(index), previousRaftIndex: RaftIndex(index - 1),
                    offset: 0, length: 8)), payload: Array(repeating: UInt8(truncatingIfNeeded: index), count: 8))
    }

    /// Rolls back, and gives what was dropped or why nothing was; and where the log ends then.
    private static func rollBack(
        holding persisted: UInt64, committed: RaftIndex = 0, gate: AckGate? = .partition
    ) throws -> (dropped: Result<Range<RaftIndex>, PartitionRollback.Refusal>, end: RaftIndex) {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let store = try await LogWorld.open(seams)
            try await store.write((1...10).map(entry))
            if let gate {
                let ticket = try store.recordGate(gate)
                store.endBatch()
                try await store.waitUntilDurable(ticket)
            }
            try await store.write((11...19).map(entry))
            store.updateCommit(committed)
            try await store.write([entry(20)])
            try await store.close()
            let fixture = PartitionLogFixture(seams)
            for index in 1...persisted {
                fixture.pool.store(of: 0).append(
                    PartitionLogRecord(
                        position: PartitionRecordPosition(
                            partitionIndex: PartitionLogIndex(index), raftIndex: RaftIndex(index), term: 1,
                            timestampMicroseconds: Int64(index), type: .application), payload: entry(index).payload))
            }
            try await fixture.pool.persistAll()
            try await fixture.pool.close()
        }
        let next = VirtualWorld(seed: 2, disk: world.disk.image.flushed())
        return try next.run { seams in
            let store = try await LogWorld.open(seams)
            let rollback = PartitionRollback(store, logs: PartitionLogFixture(seams).pool)
            do throws(PartitionRollback.Refusal) {
                let dropped = try await rollback.run()
                return (.success(dropped), store.nextIndex)
            } catch { return (.failure(error), store.nextIndex) }
        }
    }

    private static func expectRefusal(
        _ found: (dropped: Result<Range<RaftIndex>, PartitionRollback.Refusal>, end: RaftIndex), at index: RaftIndex,
        _ words: String
    ) {
        guard case .failure(.outsideGate(index, let reason)) = found.dropped else {
            Issue.record("\(found)")
            return
        }
        #expect(reason.contains(words), "\(reason)")
        #expect(found.end == 21, "a refusal changes nothing")
    }

    @Test("drops what the partition lacks of what was written under its gate")
    func drops() throws {
        let found = try Self.rollBack(holding: 15)
        #expect(try found.dropped.get() == 16..<21)
        #expect(found.end == 16)
    }

    @Test("drops nothing that the partition holds")
    func dropsNothing() throws {
        let found = try Self.rollBack(holding: 20)
        #expect(try found.dropped.get().isEmpty)
        #expect(found.end == 21)
    }

    @Test("refuses to drop what was written before the gate")
    func beforeTheGate() throws {
        Self.expectRefusal(try Self.rollBack(holding: 7), at: 8, "the gate 'partition' is in force from 11 on")
    }

    @Test("refuses to drop what is known to be committed")
    func committed() throws {
        Self.expectRefusal(try Self.rollBack(holding: 15, committed: 17), at: 16, "known to be committed, up to 17")
    }

    @Test("refuses where the gate was never in force, or is not any more", arguments: [nil, AckGate.segmented])
    func otherGate(_ gate: AckGate?) throws {
        Self.expectRefusal(try Self.rollBack(holding: 15, gate: gate), at: 16, "under the gate 'segmented'")
    }
}
