import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

@Suite struct PartitionLogTests {
    private func expectRecords(
        _ fixture: PartitionLogFixture, _ expected: [PartitionLogRecord], of partition: PartitionID = 0,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let read = try await fixture.readAll(partition)
        #expect(read == expected, sourceLocation: sourceLocation)
    }

    @Test func whatIsTakenCanBeReadBeforeItIsWritten() throws {
        try VirtualWorld(seed: 1).run { seams in
            let fixture = PartitionLogFixture(seams)
            fixture.fill(0, 1...5)
            let store = fixture.pool.store(of: 0)
            #expect(store.persistedIndex == 0)
            #expect(store.nextIndex == 6)
            try await expectRecords(fixture, PartitionLogFixture.records(0, 1...5))
        }
    }

    @Test(arguments: 0..<8 as Range<UInt64>)
    func recordsOfEverySizeComeBackAsTheyWereTakenAcrossWrites(seed: UInt64) throws {
        // Nothing, little, around what the memory of unwritten records is cut into, and more than that.
        let sizes = [0, 0, 1, 40, 300, 255, 256, 257, 4000, 65_535, 65_536, 70_000]
        try VirtualWorld(seed: seed).run { seams in
            let fixture = PartitionLogFixture(seams)
            var taken: [PartitionLogRecord] = []
            for index in 1...400 as ClosedRange<UInt64> {
                let size = sizes[Int(seams.random.next() % (index % 50 == 0 ? 12 : 6))]
                let record = PartitionLogFixture.record(index, bytes: size)
                fixture.pool.store(of: 0).append(record)
                taken.append(record)
                if seams.random.next() % 100 == 0 { try await fixture.pool.persist(0) }
                if index % 100 == 0 { try await expectRecords(fixture, taken) }
            }
            try await fixture.pool.persist(0)
            try await expectRecords(fixture, taken)
            #expect(fixture.pool.statistics.bufferedBytes == 0)
        }
    }

    @Test func whatIsPersistedSurvivesAPowerCutAndWhatIsNotIsTakenAgain() throws {
        for seed in 0..<20 as Range<UInt64> {
            let world = VirtualWorld(seed: seed)
            let line = try world.run { seams in
                let fixture = PartitionLogFixture(seams)
                fixture.fill(0, 1...20)
                try await fixture.pool.persist(0)
                #expect(fixture.pool.store(of: 0).persistedIndex == 20)
                let line = fixture.pool.lines
                fixture.fill(0, 21...30)
                return line
            }
            #expect(line.map(\.persisted) == [20])
            let next = VirtualWorld(seed: seed + 1000, disk: world.crash())
            try next.run { seams in
                let fixture = PartitionLogFixture(seams, registry: line)
                try await expectRecords(fixture, PartitionLogFixture.records(0, 1...20))
                fixture.fill(0, 21...40)
                try await fixture.pool.persist(0)
                try await expectRecords(fixture, PartitionLogFixture.records(0, 1...40))
                #expect(fixture.pool.lines.map(\.persisted) == [40])
            }
        }
    }

    @Test(arguments: 0..<4 as Range<UInt64>)
    func aCrashAtAnyMomentLeavesAPrefixThatHoldsEverythingPersisted(part: UInt64) throws {
        struct Moment {
            var image: DiskImage
            var promised: [SystemCheckpoint.Line]
            var operation: String
        }
        let world = VirtualWorld(seed: part)
        var moments: [Moment] = []
        var promised: [SystemCheckpoint.Line] = []
        world.disk.onCrashPoint = { point in
            guard UInt64(moments.count) % 4 == part else {
                moments.append(Moment(image: DiskImage(), promised: [], operation: ""))
                return
            }
            moments.append(
                Moment(image: point.image, promised: promised, operation: "\(point.side) \(point.operation)"))
        }
        try world.run { seams in
            let fixture = PartitionLogFixture(seams) {
                $0.segmentBytes = 64 << 10
                $0.batchBytes = 8 << 10
            }
            fixture.pool.onPersisted = { _ in promised = fixture.pool.lines }
            var next: UInt64 = 1
            for round in 0..<8 as Range<UInt64> {
                fixture.fill(0, next...next + 20 + round, bytes: 500)
                next += 21 + round
                try await fixture.pool.persist(0)
            }
        }
        for (number, moment) in moments.enumerated() where !moment.operation.isEmpty {
            let states = moment.image.crashStates(limit: 8, seed: UInt64(number))
            let drawn = world.random("states of moment \(number)")
            for _ in 0..<min(states.count, 4) {
                let state = states.state(Int(drawn.next(below: UInt64(states.count))))
                let told: Comment = "part \(part) moment \(number): \(moment.operation)"
                try VirtualWorld(seed: UInt64(number), disk: state).run { seams in
                    let fixture = PartitionLogFixture(seams, registry: moment.promised) {
                        $0.segmentBytes = 64 << 10
                    }
                    do {
                        let read = try await fixture.readAll()
                        let last = moment.promised.first?.persisted.rawValue ?? 0
                        #expect(read.count >= Int(last), told)
                        let count = UInt64(read.count)
                        if count > 0 {
                            #expect(read == PartitionLogFixture.records(0, 1...count, bytes: 500), told)
                        }
                        fixture.fill(0, count + 1...count + 10, bytes: 500)
                        try await fixture.pool.persist(0)
                        #expect(
                            try await fixture.readAll()
                                == PartitionLogFixture.records(0, 1...count + 10, bytes: 500), told)
                    } catch { Issue.record("\(told): \(error)") }
                }
            }
        }
    }

    @Test func recordsThatTheFilesHoldAreComparedAndNotTakenTwice() throws {
        let world = VirtualWorld(seed: 7)
        try world.run { seams in
            let fixture = PartitionLogFixture(seams)
            fixture.fill(0, 1...20)
            try await fixture.pool.close()
        }
        try world.run { seams in
            let fixture = PartitionLogFixture(seams)
            fixture.fill(0, 5...30)
            try await fixture.pool.persist(0)
            try await expectRecords(fixture, PartitionLogFixture.records(0, 1...30))
        }
    }

    @Test func aRecordThatDiffersFromTheSegmentedLogRefusesThePartitionAndLeavesTheBytes() throws {
        let world = VirtualWorld(seed: 8)
        try world.run { seams in
            let fixture = PartitionLogFixture(seams)
            fixture.fill(0, 1...20)
            try await fixture.pool.close()
        }
        let before = world.disk.image.contents("partitions/00/00000-0000000001.log")
        try world.run { seams in
            let fixture = PartitionLogFixture(seams)
            fixture.pool.store(of: 0).append(PartitionLogFixture.record(20, term: 4))
            await #expect(throws: LogError.self) { try await fixture.pool.persist(0) }
            guard case .failed(.corrupt(let damage)) = fixture.pool.store(of: 0).openState else {
                Issue.record("\(fixture.pool.store(of: 0).openState)")
                return
            }
            #expect(damage.kind == .missing)
        }
        #expect(world.disk.image.contents("partitions/00/00000-0000000001.log") == before)
    }

    @Test func aLogShorterThanItsCheckpointIsRewrittenFromTheSegmentedLogOrRefused() throws {
        let world = VirtualWorld(seed: 9)
        let lines = try world.run { seams in
            let fixture = PartitionLogFixture(seams)
            fixture.fill(0, 1...20)
            try await fixture.pool.close()
            return [
                SystemCheckpoint.Line(partition: 0, persisted: 25, raftIndex: 250, chain: ChainValue(high: 1, low: 1))
            ]
        }
        try world.run { seams in
            let fixture = PartitionLogFixture(seams, registry: lines)
            await #expect(throws: LogError.self) { _ = try await fixture.readAll() }
        }
        try world.run { seams in
            let fixture = PartitionLogFixture(seams, registry: lines)
            fixture.fill(0, 18...26)
            try await fixture.pool.persist(0)
            try await expectRecords(fixture, PartitionLogFixture.records(0, 1...26))
        }
    }

    @Test func everySingleByteFlippedIsHarmlessOrRefusedAndNeverSilent() throws {
        let world = VirtualWorld(seed: 10)
        let lines = try world.run { seams in
            let fixture = PartitionLogFixture(seams)
            for round in 0..<3 as Range<UInt64> {
                fixture.fill(0, round * 3 + 1...round * 3 + 3)
                try await fixture.pool.persist(0)
            }
            let lines = fixture.pool.lines
            try await fixture.pool.close()
            return lines
        }
        let path = "partitions/00/00000-0000000001.log"
        let whole = try #require(world.disk.image.contents(path))
        let used = whole.lastIndex { $0 != 0 } ?? 0
        let expected = PartitionLogFixture.records(0, 1...9)
        var identical = 0
        var refused = 0
        for offset in stride(from: 0, through: used, by: 7) {
            var image = world.disk.image
            image.flip(path, at: UInt64(offset), mask: 1 << UInt8(offset % 8))
            try VirtualWorld(seed: 1, disk: image).run { seams in
                let fixture = PartitionLogFixture(seams, registry: lines)
                do {
                    let read = try await fixture.readAll()
                    #expect(read == expected, "offset \(offset)")
                    identical += 1
                } catch { refused += 1 }
            }
        }
        #expect(refused > 100)
        #expect(identical + refused == (used / 7) + 1)
    }

    @Test func aLogRollsOverManySegmentsAndGivesThemBackByWholeSegments() throws {
        let world = VirtualWorld(seed: 11)
        try world.run { seams in
            let fixture = PartitionLogFixture(seams) { $0.segmentBytes = 32 << 10 }
            for round in 0..<20 as Range<UInt64> {
                fixture.fill(0, round * 10 + 1...round * 10 + 10, bytes: 900)
                try await fixture.pool.persist(0)
            }
            let before = try await seams.files.list("partitions/00").count
            #expect(before > 5)
            try await fixture.pool.store(of: 0).compact(through: 150)
            let store = fixture.pool.store(of: 0)
            #expect(store.startIndex > 100)
            #expect(store.startIndex <= 151)
            #expect(try await seams.files.list("partitions/00").count < before)
            await #expect(throws: LogError.purged(1)) { _ = try await store.records(from: 1, maxCount: 1, maxBytes: 1) }
            try await fixture.pool.close()
        }
        try world.run { seams in
            let fixture = PartitionLogFixture(seams) { $0.segmentBytes = 32 << 10 }
            let read = try await fixture.readAll()
            let start = fixture.pool.store(of: 0).startIndex.rawValue
            #expect(start > 100)
            #expect(read == PartitionLogFixture.records(0, start...200, bytes: 900))
        }
    }

    @Test func droppingAPartitionIsIdempotentAndLeavesNothing() throws {
        let world = VirtualWorld(seed: 12)
        try world.run { seams in
            let fixture = PartitionLogFixture(seams)
            fixture.fill(0, 1...20)
            fixture.fill(256, 1...20)
            try await fixture.pool.persistAll()
            try await fixture.pool.drop(0)
            try await fixture.pool.drop(0)
            #expect(try await seams.files.list("partitions/00").map(\.name) == ["00256-0000000001.log"])
            fixture.fill(0, 1...3)
            try await fixture.pool.persist(0)
            try await expectRecords(fixture, PartitionLogFixture.records(0, 1...3))
            try await expectRecords(fixture, PartitionLogFixture.records(256, 1...20), of: 256)
        }
    }

    @Test func aFailedSyncEndsTheLogAndWhatWasPersistedStaysReadable() throws {
        let world = VirtualWorld(seed: 13)
        try world.run { seams in
            let fixture = PartitionLogFixture(seams)
            fixture.fill(0, 1...20)
            try await fixture.pool.persist(0)
            world.disk.inject(.inputOutputError(.sync))
            fixture.fill(0, 21...30)
            await #expect(throws: LogError.self) { try await fixture.pool.persist(0) }
            #expect(fixture.pool.store(of: 0).persistedIndex == 20)
            let read = try await fixture.pool.store(of: 0).records(from: 20, maxCount: 1, maxBytes: 1)
            #expect(read.count == 1)
        }
    }

    @Test func aPartitionOpensAndIsReadWhereTheDiskHasNoRoomForItsDirectory() throws {
        let world = VirtualWorld(seed: 15)
        try world.run { seams in
            let fixture = PartitionLogFixture(seams)
            world.disk.inject(.noSpace(.makeDirectory, pathContains: "/00", times: 3))
            try await fixture.pool.store(of: 0).open()
            fixture.fill(0, 1...20)
            #expect(try await fixture.pool.store(of: 0).records(from: 1, maxCount: 30, maxBytes: 1 << 20).count == 20)
            await #expect(throws: LogError.self) { try await fixture.pool.persist(0) }
            #expect(fixture.pool.store(of: 0).openState == .open)
            fixture.pool.start()
            await seams.clock.sleep(nanoseconds: 20_000_000_000)
            #expect(fixture.pool.store(of: 0).persistedIndex == 20)
            try await expectRecords(fixture, PartitionLogFixture.records(0, 1...20))
        }
    }

    @Test func aFullDiskIsWaitedFor() throws {
        let world = VirtualWorld(seed: 14)
        try world.run { seams in
            let fixture = PartitionLogFixture(seams)
            fixture.fill(0, 1...20)
            try await fixture.pool.persist(0)
            world.disk.inject(.noSpace(.write, times: 2))
            fixture.fill(0, 21...30)
            await #expect(throws: LogError.self) { try await fixture.pool.persist(0) }
            #expect(fixture.pool.store(of: 0).persistedIndex == 20)
            fixture.pool.start()
            await seams.clock.sleep(nanoseconds: 20_000_000_000)
            #expect(fixture.pool.store(of: 0).persistedIndex == 30)
            try await expectRecords(fixture, PartitionLogFixture.records(0, 1...30))
        }
    }

    /// Trapped once: the batch on its way was settled in the log that had taken the place of its own.
    @Test func aLogIsReplacedWhileItIsWritten() throws {
        let world = VirtualWorld(seed: 16)
        try world.run { seams in
            let other = PartitionLogFixture(seams) { $0.directory = "other" }
            other.fill(0, 1...20)
            try await other.pool.persist(0)
            let fixture = PartitionLogFixture(seams)
            fixture.fill(0, 1...20)
            try await fixture.pool.persist(0)
            fixture.fill(0, 21...60)
            for kind in [DiskOperationKind.write, .sync] {
                world.disk.inject(DiskFault(kind, pathContains: "partitions/", .stall(nanoseconds: 50_000_000)))
            }
            var isPersisted = false
            seams.scheduler.spawn("persist") {
                do { try await fixture.pool.persist(0) } catch { Issue.record("\(error)") }
                isPersisted = true
            }
            await seams.clock.sleep(nanoseconds: 10_000_000)
            try await fixture.pool.restore(0, from: other.pool, endingAt: fixture.pool.lines.first)
            while !isPersisted { await seams.clock.sleep(nanoseconds: 1_000_000) }
            try await expectRecords(fixture, PartitionLogFixture.records(0, 1...60))
            try await fixture.pool.persist(0)
            try await fixture.pool.close()
        }
        try world.run { seams in
            try await expectRecords(PartitionLogFixture(seams), PartitionLogFixture.records(0, 1...60))
        }
    }
}
