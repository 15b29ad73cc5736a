import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

/// A partition log whose files are not as it has left them: what is wrong is named, and nothing is made up.
@Suite("Damaged partition log")
struct PartitionDamageTests {
    private static let segmentBytes: UInt64 = 32 << 10
    private static let count: UInt64 = 120

    private static func path(_ segment: UInt64) -> String {
        "partitions/00/" + PartitionFileName(partition: 0, segment: SegmentID(segment)).description
    }

    private static func fixture(
        _ seams: Seams, registry: [SystemCheckpoint.Line] = [],
        _ change: (inout PartitionLogPool.Configuration) -> Void = { _ in }
    ) -> PartitionLogFixture {
        PartitionLogFixture(seams, registry: registry) {
            $0.segmentBytes = segmentBytes
            change(&$0)
        }
    }

    /// A closed log of several segments, and what the system checkpoint says of it.
    private static func whole() throws -> (image: DiskImage, lines: [SystemCheckpoint.Line]) {
        let world = VirtualWorld(seed: 1)
        let lines = try world.run { seams in
            let fixture = fixture(seams)
            for first in stride(from: 1, through: count, by: 10) {
                fixture.fill(0, first...first + 9, bytes: 900)
                try await fixture.pool.persist(0)
            }
            let lines = fixture.pool.lines
            try await fixture.pool.close()
            return lines
        }
        #expect(world.disk.image.contents(path(4)) != nil)
        return (world.disk.image.flushed(), lines)
    }

    /// What opening, and reading everything, finds wrong after `harm`.
    private static func damage(
        registry: [SystemCheckpoint.Line]? = nil, _ harm: (inout DiskImage) -> Void
    ) throws -> Damage? {
        let (sound, lines) = try whole()
        var image = sound
        harm(&image)
        return try VirtualWorld(seed: 2, disk: image).run { seams in
            let fixture = fixture(seams, registry: registry ?? lines)
            do {
                let found = try await fixture.readAll()
                #expect(found == PartitionLogFixture.records(0, 1...count, bytes: 900))
                return nil
            } catch LogError.corrupt(let damage) { return damage }
        }
    }

    @Test("is whole when nothing was done to it")
    func untouched() throws { #expect(try Self.damage { _ in } == nil) }

    @Test("names a segment that is gone, whichever it is", arguments: 2...3 as ClosedRange<UInt64>)
    func missingSegment(_ segment: UInt64) throws {
        let damage = try #require(try Self.damage { $0.remove(Self.path(segment)) })
        #expect(damage.kind == .missing)
        #expect(damage.detail.contains("segment \(segment) is missing"), "\(damage)")
    }

    @Test("misses its newest segment by the seal before it")
    func missingNewest() throws {
        let newest = UInt64(try Self.whole().image.paths.filter { $0.contains("partitions/00/") }.count)
        let damage = try #require(try Self.damage { $0.remove(Self.path(newest)) })
        #expect(damage.kind == .missing)
        #expect(damage.detail.contains("a seal names segment \(newest)"), "\(damage)")
    }

    @Test("misses all of its files by the system checkpoint")
    func missingFiles() throws {
        let damage = try #require(
            try Self.damage { image in
                for path in image.paths where path.contains("partitions/00/") { image.remove(path) }
            })
        #expect(damage.kind == .missing)
        #expect(damage.detail.contains("the system checkpoint knows records up to \(Self.count)"), "\(damage)")
    }

    @Test("sees that a file was cut short")
    func shortFile() throws {
        let damage = try #require(try Self.damage { $0.truncate(Self.path(2), to: 16 << 10) })
        #expect(damage.kind == .corrupt)
        #expect(damage.detail.contains("shorter than its header says"), "\(damage)")
    }

    @Test("does not do without a header in its middle")
    func brokenHeader() throws {
        let damage = try #require(try Self.damage { $0.flip(Self.path(2), at: 20, mask: 1) })
        #expect(damage.kind == .corrupt)
        #expect(damage.file == Self.path(2))
    }

    @Test("blames its own files, not the segmented log, when a sealed segment lacks a record that comes again")
    func brokenBatchInSealedSegment() throws {
        let (sound, _) = try Self.whole()
        var image = sound
        image.flip(Self.path(2), at: 20_000, mask: 1)
        try VirtualWorld(seed: 4, disk: image).run { seams in
            let fixture = Self.fixture(seams)
            fixture.fill(0, 1...Self.count, bytes: 900)
            let store = fixture.pool.store(of: 0)
            let error = await #expect(throws: LogError.self) { try await store.open() }
            guard case .corrupt(let damage)? = error else { return }
            #expect(damage.kind == .corrupt)
            #expect(damage.file == Self.path(2))
            #expect(!store.contradictsLog)
        }
    }

    @Test("does not take a file of another partition's name for its own")
    func foreignFile() throws {
        let (sound, lines) = try Self.whole()
        var image = sound
        image.put(Self.path(2), sound.contents(Self.path(3)) ?? [])
        try VirtualWorld(seed: 3, disk: image).run { seams in
            do {
                _ = try await Self.fixture(seams, registry: lines).readAll()
                Issue.record("segment 3 passes for segment 2")
            } catch LogError.wrongIdentity(let reason) { #expect(reason.contains(Self.path(2))) }
        }
    }

    @Test("refuses what is not the record that the system checkpoint knows")
    func otherHistory() throws {
        var line = try #require(try Self.whole().lines.first)
        line.chain = ChainValue(high: 7, low: 7)
        let damage = try #require(try Self.damage(registry: [line]) { _ in })
        #expect(damage.kind == .missing)
        #expect(damage.detail.contains("is not the one that the system checkpoint knows"), "\(damage)")
    }

    @Test("refuses to be longer than the segmented log knows, without a truncation that says why")
    func aheadOfTheLog() throws {
        let (image, lines) = try Self.whole()
        try VirtualWorld(seed: 4, disk: image).run { seams in
            let fixture = Self.fixture(seams, registry: lines)
            fixture.pool.tailInLog = { _ in (partitionIndex: 100, raftIndex: 1000) }
            do {
                _ = try await fixture.readAll()
                Issue.record("records 101 to 120 are in one log alone, and are shown")
            } catch LogError.corrupt(let damage) {
                #expect(damage.kind == .missing)
                #expect(damage.detail.contains("records up to 120, the segmented log knows 100"), "\(damage)")
            }
        }
    }

    @Test("is examined to its end: damage in one segment does not hide that in another")
    func verification() throws {
        let (sound, lines) = try Self.whole()
        var image = sound
        for segment in [1, 3] as [UInt64] { image.flip(Self.path(segment), at: 20_000, mask: 4) }
        try VirtualWorld(seed: 5, disk: image).run { seams in
            let fixture = Self.fixture(seams, registry: lines)
            var told: [String] = []
            fixture.pool.onDamage = { _, damage in told.append(damage.file) }
            let found = try await fixture.pool.store(of: 0).verify()
            #expect(found.map(\.file) == [Self.path(1), Self.path(3)])
            #expect(Set(told).isSubset(of: Set(found.map(\.file))))
        }
    }

    @Test("is not damaged because there are no descriptors just now")
    func noDescriptors() throws {
        let (image, lines) = try Self.whole()
        let world = VirtualWorld(seed: 6, disk: image)
        try world.run { seams in
            let fixture = Self.fixture(seams, registry: lines) { $0.maxOpenFiles = 1 }
            let store = fixture.pool.store(of: 0)
            _ = try await store.records(from: 120, maxCount: 1, maxBytes: 1)
            let allowed = world.disk.options.maxOpenFiles
            world.disk.options.maxOpenFiles = 0
            do {
                _ = try await store.records(from: 1, maxCount: 1, maxBytes: 1)
                Issue.record("a file was read without being opened")
            } catch LogError.unavailable {}
            world.disk.options.maxOpenFiles = allowed
            let found = try await fixture.readAll()
            #expect(found == PartitionLogFixture.records(0, 1...Self.count, bytes: 900))
        }
    }

    @Test("is set aside when the segmented log holds everything, and taken again from there")
    func setAside() throws {
        let (sound, lines) = try Self.whole()
        var image = sound
        image.flip(Self.path(4), at: 5000, mask: 1)
        try VirtualWorld(seed: 7, disk: image).run { seams in
            let fixture = Self.fixture(seams, registry: lines)
            let store = fixture.pool.store(of: 0)
            await #expect(throws: LogError.self) { try await store.open() }
            let other = PartitionLogFixture(seams) { $0.directory = "empty" }
            try await fixture.pool.restore(0, from: other.pool, endingAt: nil)
            #expect(store.isToRetake)
            store.append(PartitionLogFixture.record(1, bytes: 900))
            #expect(store.nextIndex == 1, "it takes what comes before it has what it missed")
            do throws(LogError) {
                try store.retake(PartitionLogFixture.record(2, bytes: 900))
                Issue.record("a gap is taken")
            } catch {
                guard case .corrupt(let damage) = error else { throw error }
                #expect(damage.detail.contains("records 1 to 1 are in neither log"), "\(damage)")
            }
            for index in 1...Self.count { try store.retake(PartitionLogFixture.record(index, bytes: 900)) }
            store.endRetaking()
            try await fixture.pool.persist(0)
            #expect(
                try await fixture.readAll() == PartitionLogFixture.records(0, 1...Self.count, bytes: 900))
            let kept = try await seams.files.list("partitions/00").map(\.name).filter { $0.hasSuffix(".broken") }
            #expect(kept.count >= 4)
        }
    }

    @Test("gives way to another, also when the move of its files fails at any of them", arguments: 0..<5)
    func interruptedAdoption(_ moved: Int) throws {
        let (sound, lines) = try Self.whole()
        let world = VirtualWorld(seed: 8, disk: sound)
        try world.run { seams in
            // The new one is shorter: of the old one's files some have no successor.
            let shorter = Self.fixture(seams) { $0.directory = "shorter" }
            for first in stride(from: 1, through: 60 as UInt64, by: 10) {
                shorter.fill(0, first...first + 9, bytes: 900)
                try await shorter.pool.persist(0)
            }
            let line = shorter.pool.lines.first
            let fixture = Self.fixture(seams, registry: lines)
            world.disk.inject(.inputOutputError(.rename, skip: moved))
            world.disk.inject(.inputOutputError(.remove, skip: moved))
            for _ in 1...3 {
                do throws(LogError) {
                    try await fixture.pool.adopt(0, from: shorter.pool, endingAt: line)
                    break
                } catch {
                    guard case .unavailable = error else { throw error }
                }
            }
            world.disk.clearFaults()
            let again = Self.fixture(seams, registry: line.map { [$0] } ?? [])
            if try await !again.pool.interruptedAdoptions().isEmpty {
                try await again.pool.finishAdoption(0, from: shorter.pool)
            }
            #expect(try await again.readAll() == PartitionLogFixture.records(0, 1...60, bytes: 900))
        }
    }
}
