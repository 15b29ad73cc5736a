import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

/// What a log is worth whose batches are written and not synced.
@Suite("Relaxed durability")
struct RelaxedDurabilityTests {
    private static let options: LogStoreOptions = {
        var options = LogWorld.options
        options.syncsBatches = false
        return options
    }()

    /// Appends entries one batch each and waits until they count as durable, which says nothing about a power cut.
    private static func settle(
        _ range: ClosedRange<UInt64>, in store: SegmentedLogStore, _ seams: Seams, payloadBytes: Int = 100
    ) async throws {
        for entry in LogWorld.entries(range, payloadBytes: payloadBytes) {
            _ = try store.append([entry])
            store.endBatch()
            while store.durableIndex < entry.index { await seams.clock.sleep(nanoseconds: 20_000) }
        }
    }

    @Test("a power cut takes the end of what no sync has covered, and nothing before it", arguments: 0..<16)
    func losesOnlyATail(seed: UInt64) throws {
        var image = DiskImage()
        var held: [Entry] = []
        for life in 0..<3 as Range<UInt64> {
            let world = VirtualWorld(seed: 100 * seed + life, disk: image)
            let random = world.random("work")
            var kept: SegmentedLogStore?
            var written = held
            var synced = held.count
            try world.run { (seams) async throws in
                let store = try await LogWorld.open(seams, Self.options)
                kept = store
                #expect(try await store.all().asGiven == held)
                for _ in 0..<4 {
                    let first = UInt64(written.count) + 1
                    let range = first...first + random.next(in: 1...40)
                    let payloadBytes = Int(random.next(in: 10...2000))
                    try await Self.settle(range, in: store, seams, payloadBytes: payloadBytes)
                    written += LogWorld.entries(range, payloadBytes: payloadBytes)
                    if random.chance(1, in: 3) {
                        try await store.harden(through: store.durableIndex)
                        synced = written.count
                    }
                    #expect(store.hardenedIndex.rawValue >= UInt64(synced))
                }
            }
            withExtendedLifetime(kept) {}
            image = world.crash()
            image = try LogWorld.run(on: image, seed: seed) { (store, _) async throws in
                held = try await store.all().asGiven
                #expect(held.count >= synced)
                #expect(held == Array(written.prefix(held.count)))
            }
        }
    }

    @Test("a killed process takes nothing with it")
    func losesNothingByAKill() throws {
        let world = VirtualWorld(seed: 1)
        var kept: SegmentedLogStore?
        try world.run { (seams) async throws in
            let store = try await LogWorld.open(seams, Self.options)
            kept = store
            try await Self.settle(1...200, in: store, seams, payloadBytes: 1000)
        }
        withExtendedLifetime(kept) {}
        try LogWorld.run(on: world.disk.image.flushed()) { (store, _) async throws in
            #expect(try await store.all().asGiven == LogWorld.entries(1...200, payloadBytes: 1000))
        }
    }

    @Test("what was written and not synced is never promised, however long the log rests")
    func promisesNothing() throws {
        let world = VirtualWorld(seed: 1)
        var kept: SegmentedLogStore?
        try world.run { (seams) async throws in
            let store = try await LogWorld.open(seams, Self.options)
            kept = store
            try await Self.settle(1...3, in: store, seams)
            let end = store.segments[0].endOffset
            await seams.clock.sleep(nanoseconds: 10_000_000_000)
            #expect(store.segments[0].endOffset == end)
            #expect(store.durableIndex == 3)
            #expect(store.hardenedIndex == 0)
            #expect(store.state.durableIndex == 0)
            #expect(store.durability.durableBytes < store.durability.requestedBytes)
        }
        withExtendedLifetime(kept) {}
        try LogWorld.run(on: world.disk.image.flushed()) { (store, _) async throws in
            #expect(store.nextIndex == 4)
            #expect(store.recovery.promise.offset < store.recovery.acceptedEnd.offset)
            #expect(store.recovery.hardenedBytes > 0)
        }
    }

    @Test("one sync serves all who wait for it, and the log goes on behind it")
    func syncsOnceForMany() throws {
        let world = VirtualWorld(seed: 1)
        var kept: SegmentedLogStore?
        try world.run { (seams) async throws in
            let store = try await LogWorld.open(seams, Self.options)
            kept = store
            try await Self.settle(1...20, in: store, seams)
            await seams.clock.sleep(nanoseconds: 1_000_000_000)
            let before = world.disk.counts[.sync, default: 0]
            var waiting = 5
            for index in 16...20 as ClosedRange<RaftIndex> {
                seams.scheduler.spawn("harden through \(index)") {
                    await #expect(throws: Never.self) { try await store.harden(through: index) }
                    waiting -= 1
                }
            }
            while waiting > 0 { await seams.clock.sleep(nanoseconds: 100_000) }
            #expect(world.disk.counts[.sync, default: 0] == before + 1)
            #expect(store.hardenedIndex == 20)
            try await store.harden(through: 20)
            #expect(world.disk.counts[.sync, default: 0] == before + 1)
            try await Self.settle(21...22, in: store, seams)
        }
        withExtendedLifetime(kept) {}
        try LogWorld.run(on: world.crash()) { (store, _) async throws in
            #expect(try await store.all().asGiven.prefix(20) == LogWorld.entries(1...20)[...])
        }
    }

    @Test("a segment that is finished is durable, and so is a log that is closed")
    func syncsAtTheEndOfASegment() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { (seams) async throws in
            let store = try await LogWorld.open(seams, Self.options)
            try await Self.settle(1...100, in: store, seams, payloadBytes: 1000)
            #expect(store.segments.count > 1)
            #expect(store.durability.durableBytes >= 60_000)
            try await store.close()
        }
        try LogWorld.run(on: world.crash()) { (store, _) async throws in
            #expect(try await store.all().asGiven == LogWorld.entries(1...100, payloadBytes: 1000))
        }
    }

    @Test("segments are freed only once what says so is durable", arguments: 0..<8)
    func freesBehindASync(seed: UInt64) throws {
        let world = VirtualWorld(seed: seed)
        var kept: SegmentedLogStore?
        try world.run { (seams) async throws in
            let store = try await LogWorld.open(seams, Self.options)
            kept = store
            try await Self.settle(1...300, in: store, seams, payloadBytes: 1000)
            try await store.writeSystemCheckpoint(SystemCheckpoint(configuration: [1]))
            try await store.compact(through: 200, boundary: nil)
            try await store.raiseFloor(to: 201)
            #expect(store.segments[0].segment > 1)
            try await Self.settle(301...310, in: store, seams, payloadBytes: 1000)
        }
        withExtendedLifetime(kept) {}
        try LogWorld.run(on: world.crash(), seed: seed) { (store, _) async throws in
            #expect(store.startIndex == 201)
            #expect(store.nextIndex > 300)
            #expect(store.checkpoint?.configuration == [1])
        }
    }

    @Test("a sync that fails poisons the log for whoever waits for it")
    func poison() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { (seams) async throws in
            let store = try await LogWorld.open(seams, Self.options)
            try await Self.settle(1...5, in: store, seams)
            world.disk.inject(.inputOutputError(.sync, pathContains: ".seg"))
            await #expect(throws: LogError.self) { try await store.harden(through: 5) }
            #expect(store.state.health == .poisoned)
            #expect(store.hardenedIndex == 0)
            #expect(throws: LogError.self) { try store.append(LogWorld.entries(6...6)) }
            await #expect(throws: LogError.self) { try await store.flush() }
            #expect(try await store.entries(in: 1..<6, maxBytes: nil).asGiven == LogWorld.entries(1...5))
            world.disk.clearFaults()
            try? await store.close()
        }
    }

    @Test("a sync that fails while the log is closed is told")
    func failsToClose() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { (seams) async throws in
            let store = try await LogWorld.open(seams, Self.options)
            try await Self.settle(1...5, in: store, seams)
            world.disk.inject(.inputOutputError(.sync, pathContains: ".seg"))
            await #expect(throws: LogError.self) { try await store.close() }
        }
    }
}
