import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

/// What opening does with bytes that are not what was written, by the rows of the recovery policy.
@Suite("Damage is told apart")
struct DamageTests {
    /// A store of a few segments, closed cleanly.
    static func closedStore(entries: UInt64 = 150) throws -> DiskImage {
        try LogWorld.run { (store, _) async throws in
            for first in stride(from: 1, through: entries, by: 10) {
                try await store.write(LogWorld.entries(first...(first + 9), payloadBytes: 1000))
            }
            try await store.saveVote(Vote(term: 4, candidate: 5))
        }
    }

    static func segments(_ image: DiskImage) -> [String] { image.paths.filter { $0.hasSuffix(".seg") } }

    static func damage(_ image: DiskImage) throws -> Damage? {
        do {
            try LogWorld.run(on: image) { _, _ in }
            return nil
        } catch LogError.corrupt(let damage) {
            return damage
        }
    }

    @Test("a flipped bit below the promise is refused with file, offset and indexes")
    func rotBelowPromise() throws {
        let image = try Self.closedStore()
        for path in Self.segments(image) {
            var rotten = image
            rotten.flip(path, at: 9000, mask: 4)
            let damage = try #require(try Self.damage(rotten))
            #expect(damage.kind == .corrupt)
            #expect(damage.file == path)
            #expect(damage.offsets.contains(9000))
            #expect(damage.indexes?.isEmpty == false)
        }
    }

    @Test("the intact prefix can be opened for reading, and nothing is written")
    func readOnlyPrefix() throws {
        var image = try Self.closedStore()
        let second = Self.segments(image)[1]
        image.flip(second, at: 40_000, mask: 1)
        var options = LogWorld.options
        options.opensDamagedReadOnly = true
        let before = image
        let after = try LogWorld.run(on: image, options: options) { (store, _) async throws in
            #expect(store.state.health == .readOnly)
            #expect(store.nextIndex > 50)
            #expect(store.nextIndex < 150)
            let expected = LogWorld.entries(1...store.nextIndex.previous.rawValue, payloadBytes: 1000)
            #expect(try await store.all().asGiven == expected)
            #expect(throws: LogError.self) { try store.append([LogWorld.entry(store.nextIndex)]) }
        }
        for path in Self.segments(before) { #expect(after.contents(path) == before.contents(path)) }
    }

    @Test("a missing middle, first or newest segment is refused and named")
    func missingSegments() throws {
        let image = try Self.closedStore()
        for path in Self.segments(image) {
            var holed = image
            holed.remove(path)
            let damage = try #require(try Self.damage(holed), "\(path)")
            #expect(damage.kind == .missing, "\(path): \(damage)")
        }
    }

    @Test("a segment shorter than its header says is refused")
    func shortSegments() throws {
        let image = try Self.closedStore()
        for path in Self.segments(image) {
            var cut = image
            cut.truncate(path, to: 65_536 - 30)
            #expect(try Self.damage(cut)?.kind == .corrupt)
            cut.truncate(path, to: 30)
            let damage = try #require(try Self.damage(cut))
            #expect([.corrupt, .missing].contains(damage.kind))
            cut.truncate(path, to: 0)
            #expect(try Self.damage(cut) != nil)
        }
    }

    @Test("a segment of another store in the directory is foreign")
    func foreignSegments() throws {
        var image = try Self.closedStore()
        let other = try LogWorld.run(seed: 99) { (store, _) async throws in
            try await store.write(LogWorld.entries(1...3))
        }
        let path = Self.segments(other)[0]
        image.put("/log/0000000000000009-00000000000000ff.seg", try #require(other.contents(path)))
        #expect(try Self.damage(image)?.kind == .foreign)
    }

    @Test("a batch copied over another place is refused as broken there")
    func misdirected() throws {
        var image = try Self.closedStore()
        let path = Self.segments(image)[0]
        let bytes = try #require(image.contents(path))
        image.damage(path) { $0.replaceSubrange(20_480..<24_576, with: bytes[8192..<12_288]) }
        let damage = try #require(try Self.damage(image))
        #expect(damage.offsets.contains(20_480) || damage.offsets.lowerBound < 20_480)
    }

    @Test("the wrong owner is refused")
    func wrongIdentity() throws {
        let image = try Self.closedStore(entries: 10)
        let world = VirtualWorld(seed: 1, disk: image)
        #expect(throws: LogError.self) {
            try world.run { (seams) async throws in
                _ = try await SegmentedLogStore.open(
                    directory: "/log",
                    identity: StoreIdentity(
                        cluster: UniqueID(high: 9, low: 9), node: UniqueID(high: 3, low: 4), replica: 5),
                    options: LogWorld.options, seams: seams)
            }
        }
    }

    @Test("unknown files are left and reported")
    func unknownFiles() throws {
        var image = try Self.closedStore(entries: 10)
        image.put("/log/notes.txt", [1, 2, 3])
        let after = try LogWorld.run(on: image) { (store, _) async throws in
            #expect(store.recovery.unknownFiles == ["notes.txt"])
        }
        #expect(after.contents("/log/notes.txt") == [1, 2, 3])
    }

    @Test("a torn batch above the promise is discarded, kept in a copy, and never comes back")
    func tornTail() throws {
        let world = VirtualWorld(seed: 3)
        var store: SegmentedLogStore?
        var end: UInt64 = 0
        try world.run { (seams) async throws in
            let opened = try await LogWorld.open(seams)
            try await opened.write(LogWorld.entries(1...5, payloadBytes: 1000))
            end = opened.segments[0].endOffset
            try await opened.write(LogWorld.entries(6...10, payloadBytes: 1000))
            store = opened
        }
        var image = world.disk.image.flushed()
        withExtendedLifetime(store) {}
        let path = Self.segments(image)[0]
        // The batch of entries 6 to 10 was acknowledged, but nothing says so: it cannot be told from a torn one.
        image.flip(path, at: end + 2000, mask: 1)
        let after = try LogWorld.run(on: image) { (store, _) async throws in
            #expect(store.recovery.outcome == .torn)
            #expect(store.recovery.discardedBatches == 1)
            #expect(store.nextIndex == 6)
            try await store.write(LogWorld.entries(6...7, term: 2, payloadBytes: 1000))
        }
        #expect(after.paths.contains { $0.hasSuffix(".broken") })
        try LogWorld.run(on: after) { (store, _) async throws in
            #expect(store.recovery.outcome == .clean)
            #expect(store.recovery.unknownFiles.isEmpty)
            #expect(store.nextIndex == 8)
        }
    }

    @Test("flips over a whole small store are refused, harmless, or drop nothing that was promised", arguments: 0..<8)
    func sweep(part: Int) throws {
        let image = try LogWorld.run { (store, _) async throws in
            try await store.write(LogWorld.entries(1...8, payloadBytes: 700))
            try await store.write(LogWorld.entries(9...12, payloadBytes: 300))
            _ = try store.replaceSuffix(from: 11, with: LogWorld.entries(11...14, term: 2))
            try await store.flush()
            try await store.saveVote(Vote(term: 3, candidate: 5))
        }
        let expected =
            LogWorld.entries(1...8, payloadBytes: 700) + LogWorld.entries(9...10, payloadBytes: 300)
            + LogWorld.entries(11...14, term: 2)
        let path = Self.segments(image)[0]
        for offset in stride(from: UInt64(part) * 8 + 3, to: 36_864, by: 512) {
            var rotten = image
            rotten.flip(path, at: offset, mask: UInt8(1 << (offset % 8)))
            do {
                try LogWorld.run(on: rotten) { (store, _) async throws in
                    let isIntact = try await store.all().asGiven == expected && store.state.vote.term == 3
                    #expect(isIntact, "offset \(offset): \(store.recovery)")
                }
            } catch LogError.corrupt(let damage) {
                #expect(damage.file == path)
            } catch LogError.unsupportedVersion {
            }
        }
    }
}
