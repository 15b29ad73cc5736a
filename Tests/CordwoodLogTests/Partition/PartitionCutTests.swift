import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

/// A partition log that is ahead of the segmented log: rows 16 and 17 of the recovery policy.
@Suite struct PartitionCutTests {
    /// Records of another term than those that the fixture makes.
    private func replacements(_ indexes: ClosedRange<UInt64>, bytes: Int = 40) -> [PartitionLogRecord] {
        indexes.map { PartitionLogFixture.record($0, bytes: bytes, term: 4) }
    }

    private func dropped(_ indexes: ClosedRange<UInt64>) -> [DroppedRecord] {
        indexes.map {
            DroppedRecord(
                partition: 0, partitionIndex: PartitionLogIndex($0),
                position: LogPosition(index: RaftIndex($0 * 10), term: 3))
        }
    }

    private func expectRecords(
        _ fixture: PartitionLogFixture, _ expected: [PartitionLogRecord],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let read = try await fixture.readAll()
        #expect(read == expected, sourceLocation: sourceLocation)
    }

    /// A log of 60 records of which the last ones were never committed; segments of some ten records.
    private func write(_ seams: Seams) async throws {
        let fixture = fixture(seams)
        for last in stride(from: 6 as UInt64, through: 60, by: 6) {
            fixture.fill(0, last - 5...last, bytes: 4000)
            try await fixture.pool.persist(0)
        }
        try await fixture.pool.close()
    }

    private func fixture(_ seams: Seams) -> PartitionLogFixture {
        PartitionLogFixture(seams) {
            $0.segmentBytes = 64 << 10
            $0.batchBytes = 16 << 10
        }
    }

    @Test(arguments: [59, 57, 54, 40, 12, 11, 1, 0] as [UInt64])
    func row16_whatATruncationRecordCoversIsCutAndGoesOnBehindTheCut(kept: UInt64) throws {
        let world = VirtualWorld(seed: 1)
        try world.run(write)
        let expected =
            (kept == 0 ? [] : PartitionLogFixture.records(0, 1...kept, bytes: 4000))
            + replacements(kept + 1...kept + 30, bytes: 4000)
        try world.run { seams in
            let fixture = fixture(seams)
            fixture.pool.noteDropped(dropped(kept + 1...60))
            let store = fixture.pool.store(of: 0)
            try await store.open()
            #expect(store.writtenIndex.rawValue == kept)
            #expect(store.persistedLine?.persisted.rawValue ?? 0 == kept)
            for record in replacements(kept + 1...kept + 30, bytes: 4000) { store.append(record) }
            try await fixture.pool.persist(0)
            try await expectRecords(fixture, expected)
            try await fixture.pool.close()
        }
        // The cut is part of the log: who opens it later need not know of it.
        try world.run { seams in
            let fixture = fixture(seams)
            fixture.pool.tailInLog = { _ in (PartitionLogIndex(kept + 30), RaftIndex((kept + 30) * 10)) }
            try await expectRecords(fixture, expected)
            #expect(fixture.pool.lines.map(\.persisted.rawValue) == [kept + 30])
        }
    }

    @Test func row16_aCutOfAnOpenLogTakesBackWhatIsBufferedToo() throws {
        try VirtualWorld(seed: 2).run { seams in
            let fixture = fixture(seams)
            fixture.fill(0, 1...20)
            try await fixture.pool.persist(0)
            fixture.fill(0, 21...30)
            try await fixture.pool.giveUp(dropped(26...30))
            try await expectRecords(fixture, PartitionLogFixture.records(0, 1...25))
            try await fixture.pool.giveUp(dropped(15...25))
            try await expectRecords(fixture, PartitionLogFixture.records(0, 1...14))
            for record in replacements(15...18) { fixture.pool.store(of: 0).append(record) }
            try await fixture.pool.persist(0)
            try await expectRecords(fixture, PartitionLogFixture.records(0, 1...14) + replacements(15...18))
        }
    }

    @Test func row16_whatTookThePlaceOfDroppedRecordsBeforeTheFilesWereOpenIsNotForwardedAgain() throws {
        let world = VirtualWorld(seed: 6)
        try world.run(write)
        try world.run { seams in
            let fixture = fixture(seams)
            fixture.pool.noteDropped(dropped(41...60))
            let store = fixture.pool.store(of: 0)
            for record in replacements(41...45) { store.forward(record) }
            try await store.open()
            #expect(store.forwardedIndex == 45)
            try await fixture.pool.giveUp(dropped(41...60))
            #expect(store.forwardedIndex == 45)
            try await fixture.pool.persist(0)
            try await fixture.pool.giveUp(dropped(41...60))
            #expect(store.forwardedIndex == 45)
            // Dropped in their turn, they are to be forwarded anew.
            let again = replacements(44...45).map {
                DroppedRecord(
                    partition: 0, partitionIndex: $0.partitionIndex,
                    position: LogPosition(index: $0.position.raftIndex, term: 4))
            }
            try await fixture.pool.giveUp(again)
            #expect(store.forwardedIndex == 43)
            try await expectRecords(
                fixture, PartitionLogFixture.records(0, 1...40, bytes: 4000) + replacements(41...43))
        }
    }

    @Test func row16_aCrashAnywhereInACutGivesTheSameLogWhenItIsDoneAgain() throws {
        let written = VirtualWorld(seed: 3)
        try written.run(write)
        for kept in [57, 11] as [UInt64] {
            let world = VirtualWorld(seed: 4 + kept, disk: written.disk.image)
            var moments: [DiskImage] = []
            world.disk.onCrashPoint = { moments.append($0.image) }
            try world.run { seams in
                let fixture = fixture(seams)
                fixture.pool.noteDropped(dropped(kept + 1...60))
                for record in replacements(kept + 1...kept + 8) { fixture.pool.store(of: 0).append(record) }
                try await fixture.pool.persist(0)
            }
            world.disk.onCrashPoint = nil
            var states = 0
            for (number, image) in moments.enumerated() {
                for state in image.crashStates(
                    limit: 6, exhaustiveUnits: 2, sectorBytes: 512, seed: UInt64(number)
                ).prefix(6) {
                    states += 1
                    try VirtualWorld(seed: 9, disk: state).run { seams in
                        let fixture = fixture(seams)
                        fixture.pool.noteDropped(dropped(kept + 1...60))
                        for record in replacements(kept + 1...kept + 8) { fixture.pool.store(of: 0).append(record) }
                        try await fixture.pool.persist(0)
                        try await expectRecords(
                            fixture,
                            PartitionLogFixture.records(0, 1...kept, bytes: 4000) + replacements(kept + 1...kept + 8))
                    }
                }
            }
            #expect(states > 20)
        }
    }

    @Test func row17_recordsThatNoTruncationCoversRefuseThePartitionAndStay() throws {
        let world = VirtualWorld(seed: 5)
        try world.run(write)
        let before = world.disk.image.paths.map { world.disk.image.contents($0) }
        try world.run { seams in
            let fixture = fixture(seams)
            // Dropped were entries of another term than those that the file holds.
            fixture.pool.noteDropped(
                (41...60 as ClosedRange<UInt64>).map {
                    DroppedRecord(
                        partition: 0, partitionIndex: PartitionLogIndex($0),
                        position: LogPosition(index: RaftIndex($0 * 10), term: 2))
                })
            fixture.pool.tailInLog = { _ in (40, 400) }
            await #expect(throws: LogError.self) { try await fixture.pool.store(of: 0).open() }
            guard case .failed(.corrupt(let damage)) = fixture.pool.store(of: 0).openState else {
                Issue.record("\(fixture.pool.store(of: 0).openState)")
                return
            }
            #expect(damage.kind == .missing)
            #expect(damage.detail.contains("records up to 60, the segmented log knows 40"))
        }
        #expect(world.disk.image.paths.map { world.disk.image.contents($0) } == before)
    }
}
