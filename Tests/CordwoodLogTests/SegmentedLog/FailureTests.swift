import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

@Suite("When the disk fails or fills")
struct FailureTests {
    @Test("a failed write poisons: nothing more is written or voted, reads go on, reopening clears")
    func poison() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { (seams) async throws in
            let store = try await LogWorld.open(seams)
            try await store.write(LogWorld.entries(1...5))
            world.disk.inject(.inputOutputError(.write, pathContains: ".seg"))
            let ticket = try store.append(LogWorld.entries(6...8))
            store.endBatch()
            await #expect(throws: LogError.self) { try await store.waitUntilDurable(ticket) }
            #expect(store.state.health == .poisoned)
            #expect(store.durableIndex == 5)
            world.disk.clearFaults()
            #expect(throws: LogError.self) { try store.append(LogWorld.entries(9...9)) }
            await #expect(throws: LogError.self) { try await store.saveVote(Vote(term: 9, candidate: 5)) }
            #expect(try await store.entries(in: 1..<6, maxBytes: nil).asGiven == LogWorld.entries(1...5))
            #expect(store.durableIndex == 5)
            try await store.close()
            let again = try await LogWorld.open(seams)
            #expect(again.nextIndex == 6)
            #expect(again.state.vote == .none)
            try await again.write(LogWorld.entries(6...6))
            try await again.close()
        }
    }

    @Test("a full disk refuses appends, lets votes through and goes on when there is room again")
    func fullDisk() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { (seams) async throws in
            let store = try await LogWorld.open(seams)
            try await store.write(LogWorld.entries(1...20, payloadBytes: 1000))
            await seams.clock.sleep(nanoseconds: 100_000_000)
            world.disk.options.capacityBytes = 4 * 65_536
            var next: UInt64 = 21
            var refused = false
            while next < 1000, !refused {
                do {
                    let ticket = try store.append([LogWorld.entry(RaftIndex(next), payloadBytes: 1000)])
                    store.endBatch()
                    next += 1
                    if next % 10 == 0 { try await store.waitUntilDurable(ticket) }
                } catch LogError.noSpace {
                    refused = true
                }
            }
            #expect(refused)
            #expect(store.state.health == .ok)
            #expect(!store.canAdmit(bytes: 60_000))
            for term in 1...8 { try await store.saveVote(Vote(term: Term(UInt64(term)), candidate: 5)) }
            #expect(store.durableIndex.rawValue == next - 1)
            try await store.writeSystemCheckpoint(SystemCheckpoint())
            try await store.compact(through: RaftIndex(next - 1), boundary: nil)
            try await store.raiseFloor(to: RaftIndex(next))
            await seams.clock.sleep(nanoseconds: 200_000_000)
            try await store.write([LogWorld.entry(RaftIndex(next), payloadBytes: 1000)])
            try await store.close()
        }
    }

    @Test("a log that can open no more files waits with its next segment, and goes on by itself")
    func noDescriptors() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { (seams) async throws in
            let store = try await LogWorld.open(seams)
            try await store.write(LogWorld.entries(1...20, payloadBytes: 1000))
            await seams.clock.sleep(nanoseconds: 100_000_000)
            let allowed = world.disk.options.maxOpenFiles
            world.disk.options.maxOpenFiles = 0
            let ticket = try store.append(LogWorld.entries(21...80, payloadBytes: 1000))
            store.endBatch()
            await seams.clock.sleep(nanoseconds: 1_000_000_000)
            #expect(store.isWaitingForSpace)
            #expect(store.state.health == .ok)
            #expect(store.durableIndex < 80)
            #expect(!store.canAdmit(bytes: 1000))
            world.disk.options.maxOpenFiles = allowed
            try await store.waitUntilDurable(ticket)
            #expect(try await store.all().asGiven == LogWorld.entries(1...80, payloadBytes: 1000))
            try await store.close()
        }
    }

    @Test("on a full disk the log is cut at either end, and stays so after a power cut")
    func fullDiskTruncations() throws {
        let world = VirtualWorld(seed: 1)
        var kept: SegmentedLogStore?
        try world.run { (seams) async throws in
            let store = try await LogWorld.open(seams)
            kept = store
            try await store.write(LogWorld.entries(1...100, payloadBytes: 1000))
            await seams.clock.sleep(nanoseconds: 100_000_000)
            world.disk.options.capacityBytes = 0
            let cut = try store.truncate(after: 90)
            store.endBatch()
            try await store.waitUntilDurable(cut)
            #expect(store.nextIndex == 91)
            try await store.write(LogWorld.entries(91...93, term: 2, payloadBytes: 1000))
            try await store.writeSystemCheckpoint(SystemCheckpoint())
            try await store.compact(through: 60, boundary: nil)
            try await store.raiseFloor(to: 61)
            #expect(store.startIndex == 61)
            #expect(store.state.health == .ok)
        }
        withExtendedLifetime(kept) {}
        try LogWorld.run(on: world.crash()) { (store, _) async throws in
            #expect(store.startIndex == 61)
            let expected =
                LogWorld.entries(61...90, payloadBytes: 1000) + LogWorld.entries(91...93, term: 2, payloadBytes: 1000)
            #expect(try await store.all().asGiven == expected)
        }
    }

    @Test("the newest data are promised 20 ms after the last write, once, and on closing")
    func idlePromise() throws {
        let world = VirtualWorld(seed: 1)
        var kept: SegmentedLogStore?
        try world.run { (seams) async throws in
            let store = try await LogWorld.open(seams)
            kept = store
            try await store.write(LogWorld.entries(1...3))
            let end = store.segments[0].endOffset
            await seams.clock.sleep(nanoseconds: 15_000_000)
            #expect(store.segments[0].endOffset == end)
            await seams.clock.sleep(nanoseconds: 10_000_000)
            #expect(store.segments[0].endOffset == end + 4096)
            await seams.clock.sleep(nanoseconds: 1_000_000_000)
            #expect(store.segments[0].endOffset == end + 4096)
        }
        withExtendedLifetime(kept) {}
        try LogWorld.run(on: world.crash()) { (store, _) async throws in
            #expect(store.nextIndex == 4)
            #expect(store.recovery.promise > StreamPosition(segment: 1, offset: 8192))
        }
    }
}

@Suite("Compaction, floor and transfer")
struct CompactionTests {
    @Test("segments go once they lie below floor and start and a later checkpoint is durable")
    func floor() throws {
        let image = try LogWorld.run { (store, _) async throws in
            try await store.write(LogWorld.entries(1...300, payloadBytes: 1000))
            let all = store.segments.count
            try await store.raiseFloor(to: 250)
            try await store.compact(through: 200, boundary: nil)
            #expect(store.startIndex == 201)
            #expect(store.segments.count == all)
            await #expect(throws: LogError.purged(200)) { try await store.entry(at: 200) }
            try await store.writeSystemCheckpoint(SystemCheckpoint(configuration: [1]))
            #expect(store.segments.count < all)
            #expect(try await store.all().asGiven == LogWorld.entries(201...300, payloadBytes: 1000))
        }
        try LogWorld.run(on: image) { (store, _) async throws in
            #expect(store.startIndex == 201)
            #expect(store.state.boundary.term == 1)
            #expect(try store.term(at: 200) == 1)
            #expect(store.checkpoint?.configuration == [1])
            #expect(try await store.all().asGiven == LogWorld.entries(201...300, payloadBytes: 1000))
        }
    }

    @Test("compaction beyond the end leaves an empty log that starts behind the given boundary")
    func beyondTheEnd() throws {
        let boundary = LogBoundary(index: 50, term: 7, chain: ChainValue(high: 1, low: 2))
        let image = try LogWorld.run { (store, _) async throws in
            try await store.write(LogWorld.entries(1...10))
            await #expect(throws: LogError.self) { try await store.compact(through: 50, boundary: nil) }
            try await store.compact(through: 50, boundary: boundary)
            #expect(store.startIndex == 51)
            #expect(store.nextIndex == 51)
            #expect(store.lastEntry == LogPosition(index: 50, term: 7))
        }
        try LogWorld.run(on: image) { (store, _) async throws in
            #expect(store.state.boundary == boundary)
            try await store.write(LogWorld.entries(51...53, term: 7))
        }
    }

    @Test("an installation takes the place of the log and is named until a checkpoint follows")
    func installation() throws {
        let boundary = LogBoundary(index: 5, term: 7, chain: ChainValue(high: 1, low: 2))
        let image = try LogWorld.run { (store, _) async throws in
            try await store.write(LogWorld.entries(1...10))
            try await store.recordInstallation(boundary, manifest: [1, 2, 3])
            #expect(store.nextIndex == 6)
            try await store.write(LogWorld.entries(6...7, term: 8))
        }
        let after = try LogWorld.run(on: image) { (store, _) async throws in
            #expect(store.installation?.manifest == [1, 2, 3])
            #expect(store.nextIndex == 8)
            try await store.writeSystemCheckpoint(SystemCheckpoint())
        }
        try LogWorld.run(on: after) { (store, _) async throws in #expect(store.installation == nil) }
    }

    @Test("an exported range installs elsewhere with terms, timestamps and chain values")
    func transfer() throws {
        var bytes: [UInt8] = []
        var given: [Entry] = []
        try LogWorld.run { (store, _) async throws in
            try await store.write(LogWorld.entries(1...40, payloadBytes: 900))
            bytes = try await store.export(5..<40)
            given = try await store.entries(in: 5..<40, maxBytes: nil)
        }
        try LogWorld.run(seed: 2) { (store, _) async throws in
            var damaged = bytes
            damaged[500] ^= 1
            await #expect(throws: LogError.self) { try await store.install(damaged, at: 5) }
            #expect(store.nextIndex == 1)
            try await store.install(bytes, at: 5)
            #expect(store.startIndex == 5)
            #expect(try await store.all() == given)
            try await store.install(bytes, at: 5)
            #expect(try await store.all() == given)
            await #expect(throws: LogError.self) { try await store.install(bytes, at: 60) }
        }
    }
}
