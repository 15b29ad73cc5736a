import CordwoodBase
import CordwoodConformance
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

/// The nasty cases of the contract, by their numbers, where a log store alone can meet them. Cases 3, 4, 11, 12, 15,
/// 16, 19, 22, 25, 26 and 28 are workloads of the crash tests, too; 1, 2, 21, 23 and 40 are checks of the kit, too.
@Suite("Nasty case")
struct NastyCaseTests {
    @Test("1: a sync that fails once is not asked again, and nothing after it counts")
    func failedWriteIsNotRetried() throws {
        let rig = StoreRig()
        try rig.world.run { _ in
            let store = try await rig.open()
            try await rig.append(store, 3)
            rig.world.disk.inject(.inputOutputError(.write, pathContains: ".seg"))
            let ticket = try store.append(rig.entries(2))
            store.endBatch()
            let error = await logError { try await store.waitUntilDurable(ticket) }
            #expect(error?.isPoisoned == true)
            var writes = 0
            rig.world.disk.onCrashPoint = { point in
                if point.operation.kind == .write, point.operation.path.hasSuffix(".seg") { writes += 1 }
            }
            #expect(await logError { try await store.saveVote(Vote(term: 2, candidate: 1)) }?.isPoisoned == true)
            await rig.world.seams.clock.sleep(nanoseconds: 1_000_000_000)
            #expect(writes == 0, "a poisoned store writes nothing")
            #expect(store.durableIndex == 3)
            #expect(store.state.health == .poisoned)
            let read = try await store.entries(in: 1..<4, maxBytes: nil)
            #expect(read.count == 3)
            try await store.close()
            let again = try await rig.open()
            #expect((4...6).contains(again.nextIndex.rawValue))
        }
    }

    @Test("3: a batch that is torn anywhere is dropped whole, and what was promised before it is kept")
    func tornBatch() throws {
        let rig = StoreRig()
        try rig.world.run { seams in
            let store = try await rig.open()
            try await rig.append(store, 4, bytes: 300)
            await seams.clock.sleep(nanoseconds: 100_000_000)
            try await rig.append(store, 4, bytes: 900)
        }
        let image = rig.world.disk.image.flushed()
        let path = try #require(rig.segmentPaths.last)
        let end = rig.usedBytes(path)
        var kept: [UInt64: Int] = [:]
        for sector in stride(from: (end - 3600) / 512 * 512, to: end, by: 512) {
            var torn = image
            torn.zero(path, UInt64(sector)..<UInt64(sector + 512))
            let next = StoreRig(seed: 2, disk: torn)
            try next.world.run { _ in
                let store = try await next.open()
                kept[store.nextIndex.rawValue - 1, default: 0] += 1
                #expect([.torn, .clean].contains(store.recovery.outcome))
                // What is written now is never followed by what was torn.
                let ticket = try store.append([
                    Entry(index: store.nextIndex, term: 9, type: .noOperation, timestampMicroseconds: 1)
                ])
                store.endBatch()
                try await store.waitUntilDurable(ticket)
                try await store.close()
                let again = try await next.open()
                #expect(again.lastEntry?.term == 9)
            }
        }
        #expect(kept.keys.sorted() == [4])
    }

    @Test("5: the zeros of a preallocated tail are a clean end")
    func zeroTail() throws {
        let rig = StoreRig()
        try rig.world.run { _ in
            let store = try await rig.open()
            try await rig.append(store, 3)
            try await store.close()
            let again = try await rig.open()
            #expect(again.recovery.outcome == .clean)
            #expect(again.recovery.discardedBytes == 0)
            try await rig.check(again)
        }
    }

    @Test("6: rot in a middle segment is refused with its range, and the bytes stay")
    func rotInTheMiddle() throws {
        let rig = StoreRig()
        try rig.world.run { _ in
            let store = try await rig.open()
            try await rig.appendSingly(store, 40)
            try await store.close()
            let path = rig.segmentPaths[1]
            let middle = UInt64(rig.usedBytes(path) / 2)
            rig.world.disk.damage { $0.flip(path, at: middle, mask: 0x40) }
            let before = rig.world.disk.image
            let damage = try #require(await logError { _ = try await rig.open() }?.damage)
            #expect(damage.kind == .corrupt)
            #expect(damage.file == path)
            #expect(damage.offsets.contains(middle))
            let indexes = try #require(damage.indexes)
            #expect(indexes.lowerBound > 10 && indexes.lowerBound <= 40)
            for file in rig.segmentPaths {
                #expect(rig.world.disk.image.contents(file) == before.contents(file), "\(file) was changed")
            }
        }
    }

    @Test("7: rot in the newest record is corruption once it is promised, which an idle store sees to")
    func rotInTheLastRecord() throws {
        let rig = StoreRig()
        try rig.world.run { seams in
            let store = try await rig.open()
            try await rig.append(store, 2)
            let path = try #require(rig.segmentPaths.last)
            let place = UInt64(rig.usedBytes(path) - 100)
            await seams.clock.sleep(nanoseconds: 100_000_000)
            rig.world.crash()
            rig.world.disk.damage { $0.flip(path, at: place, mask: 1) }
            #expect(await logError { _ = try await rig.open() }?.damage?.kind == .corrupt)
        }
    }

    @Test("8: a length that reaches far too wide is never followed")
    func damagedLengths() throws {
        let rig = StoreRig()
        try rig.world.run { _ in
            let store = try await rig.open()
            try await rig.appendSingly(store, 3)
            try await store.close()
        }
        let image = rig.world.disk.image.flushed()
        let path = try #require(rig.segmentPaths.first)
        for offset in stride(from: 8192, to: 8192 + 128, by: 4) {
            var damaged = image
            damaged.damage(path) { bytes in
                for position in offset..<offset + 4 { bytes[position] = 0xff }
            }
            let next = StoreRig(seed: 2, disk: damaged)
            try next.world.run { _ in
                let error = await logError { _ = try await next.open() }
                #expect(error?.damage != nil, "four bytes at \(offset)")
            }
        }
    }

    @Test("10: what a recycled file held before never comes back", arguments: 1...6 as ClosedRange<UInt64>)
    func recycledFiles(seed: UInt64) throws {
        let rig = StoreRig(seed: seed)
        try rig.world.run { _ in
            var store = try await rig.open()
            for round in 1...6 as ClosedRange<UInt64> {
                try await rig.appendSingly(store, 30)
                let index = RaftIndex(round * 30 - 4)
                try await store.compact(through: index, boundary: nil)
                try await store.writeSystemCheckpoint(SystemCheckpoint())
                try await store.raiseFloor(to: index.next)
                try await rig.check(store)
                if round % 2 == 0 {
                    rig.world.crash()
                    store = try await rig.open()
                    try await rig.check(store)
                }
            }
            #expect(store.segments.count <= 4, "freed segments are gone")
        }
    }

    @Test("13: the newest segment is missing although it held acknowledged entries")
    func missingTail() throws {
        let rig = StoreRig()
        try rig.world.run { _ in
            let store = try await rig.open()
            try await rig.appendSingly(store, 20)
            try await store.close()
            let path = try #require(rig.segmentPaths.last)
            rig.world.disk.damage { $0.remove(path) }
            let damage = try #require(await logError { _ = try await rig.open() }?.damage)
            #expect(damage.kind == .missing)
            #expect(path.hasPrefix(damage.file))
        }
    }

    @Test("14: a segment in the middle is missing")
    func missingMiddle() throws {
        let rig = StoreRig()
        try rig.world.run { _ in
            let store = try await rig.open()
            try await rig.appendSingly(store, 40)
            try await store.close()
            #expect(rig.segmentPaths.count >= 3)
            let path = rig.segmentPaths[1]
            rig.world.disk.damage { $0.remove(path) }
            let damage = try #require(await logError { _ = try await rig.open() }?.damage)
            #expect(damage.kind == .missing)
            #expect(damage.indexes != nil)
        }
    }

    @Test("20: a completion that comes after a truncation vouches for nothing that was dropped")
    func staleCompletion() throws {
        let rig = StoreRig()
        try rig.world.run { seams in
            let store = try await rig.open()
            try await rig.append(store, 4)
            rig.world.disk.inject(DiskFault(.write, pathContains: ".seg", .stall(nanoseconds: 50_000_000)))
            let stale = try store.append(rig.entries(4))
            store.endBatch()
            await seams.clock.sleep(nanoseconds: 10_000_000)
            rig.forget(after: 5)
            let fresh = try store.replaceSuffix(from: 6, with: rig.entries(1, term: 2))
            store.endBatch()
            var highest: RaftIndex = 0
            store.onProgress = { highest = max(highest, $0.durableIndex) }
            #expect(await logError { try await store.waitUntilDurable(stale) } == .stale)
            try await store.waitUntilDurable(fresh)
            #expect(store.durableIndex == 6)
            #expect(highest <= 6)
            try await rig.check(store)
            store.onProgress = nil
        }
    }

    @Test("29: a full disk refuses entries, takes votes, and goes on by itself when there is space")
    func fullDisk() throws {
        var diskOptions = FaultyDisk.Options()
        diskOptions.capacityBytes = 300 << 10
        let rig = StoreRig(diskOptions: diskOptions)
        try rig.world.run { seams in
            let store = try await rig.open()
            var refused = false
            for _ in 0..<200 {
                do {
                    let ticket = try store.append(rig.entries(1))
                    store.endBatch()
                    try await store.waitUntilDurable(ticket)
                } catch let error as LogError {
                    #expect(error.isNoSpace, "\(error)")
                    rig.forget(after: Int(store.nextIndex.rawValue - 1))
                    refused = true
                    break
                }
            }
            #expect(refused)
            #expect(store.state.health == .ok)
            for term in 2...6 as ClosedRange<UInt64> {
                try await store.saveVote(Vote(term: Term(term), candidate: 3))
            }
            try await rig.check(store)
            rig.world.disk.options.capacityBytes = 4 << 20
            // A refusal is retryable: its owner asks for space again and then for the append.
            var refusals = 0
            while store.nextIndex < 60 {
                guard let error = await logError({ try await rig.append(store, 1) }) else { continue }
                #expect(error.isNoSpace)
                rig.forget(after: Int(store.nextIndex.rawValue - 1))
                refusals += 1
                try #require(refusals < 20)
                store.prepareSpace()
                await seams.clock.sleep(nanoseconds: 100_000_000)
            }
            try await rig.check(store)
            #expect(store.state.vote == Vote(term: 6, candidate: 3))
        }
    }

    @Test("30: no space during recovery destroys nothing, and opening again with space gives everything")
    func noSpaceInRecovery() throws {
        let rig = StoreRig()
        try rig.world.run { _ in
            let store = try await rig.open()
            try await rig.appendSingly(store, 25)
        }
        let image = rig.world.disk.image.flushed()
        var full = FaultyDisk.Options()
        full.capacityBytes = image.paths.reduce(0) { $0 + UInt64(image.contents($1)?.count ?? 0) }
        let next = StoreRig(seed: 2, disk: image, diskOptions: full)
        try next.world.run { _ in
            do {
                let store = try await next.open()
                #expect(store.nextIndex == 26)
            } catch let error as LogError { #expect(error.isNoSpace, "\(error)") }
        }
        let last = StoreRig(seed: 3, disk: next.world.disk.image.flushed())
        try last.world.run { _ in
            let store = try await last.open()
            #expect(store.nextIndex == 26)
        }
    }

    @Test("36: writes that complete out of order count in order", arguments: 2...4)
    func outOfOrderCompletions(depth: Int) throws {
        for seed in 1...8 as ClosedRange<UInt64> {
            let rig = StoreRig(seed: seed)
            rig.options.depth = depth
            rig.world.disk.options.latencyNanoseconds = 10_000...3_000_000
            try rig.world.run { _ in
                let store = try await rig.open()
                var durable: [RaftIndex] = []
                store.onProgress = { durable.append($0.durableIndex) }
                var last: LogTicket?
                for _ in 0..<20 {
                    last = try store.append(rig.entries(1))
                    store.endBatch()
                    await rig.world.seams.clock.sleep(nanoseconds: 200_000)
                }
                try await store.waitUntilDurable(try #require(last))
                #expect(durable == durable.sorted())
                #expect(store.durableIndex == 20)
                store.onProgress = nil
                rig.world.crash()
                try await rig.check(try await rig.open())
            }
        }
    }

    @Test("38: names of files that were exchanged do not change what is read, or are refused")
    func exchangedNames() throws {
        let rig = StoreRig()
        try rig.world.run { _ in
            let store = try await rig.open()
            try await rig.appendSingly(store, 30)
            try await store.close()
            let (first, second) = (rig.segmentPaths[0], rig.segmentPaths[1])
            rig.world.disk.damage {
                $0.rename(first, to: "/log/x")
                $0.rename(second, to: first)
                $0.rename("/log/x", to: second)
            }
            do {
                try await rig.check(try await rig.open())
            } catch let error as LogError { #expect(error.damage != nil, "\(error)") }
        }
    }

    @Test("40: a compaction overtakes a read that is under way")
    func compactionDuringARead() throws {
        let rig = StoreRig()
        try rig.world.run { seams in
            let store = try await rig.open()
            try await rig.appendSingly(store, 40)
            rig.world.disk.inject(DiskFault(.read, pathContains: ".seg", .stall(nanoseconds: 20_000_000)))
            var outcome: String?
            seams.scheduler.spawn("reader") {
                do throws(LogError) {
                    let read = try await store.entries(in: 1..<20, maxBytes: nil)
                    outcome = read.map { Array($0.payload) } == Array(rig.payloads.prefix(19)) ? "whole" : "wrong"
                } catch { outcome = error == .purged(1) ? "purged" : "\(error)" }
            }
            await seams.clock.sleep(nanoseconds: 1_000_000)
            try await store.compact(through: 30, boundary: nil)
            try await store.writeSystemCheckpoint(SystemCheckpoint())
            try await store.raiseFloor(to: 31)
            #expect(await logError { _ = try await store.entry(at: 30) } == .purged(30))
            await seams.clock.sleep(nanoseconds: 100_000_000)
            #expect(outcome == "whole" || outcome == "purged", "\(outcome ?? "no outcome")")
        }
    }

    @Test("41: a directory that is open is not opened a second time")
    func lockedDirectory() throws {
        let rig = StoreRig()
        rig.options.lockWaitNanoseconds = 100_000_000
        try rig.world.run { _ in
            let store = try await rig.open()
            let error = await logError { _ = try await rig.open() }
            #expect(error == .locked("/log/lock"))
            try await store.close()
            try await rig.open().close()
        }
    }

    @Test("42: segments of several sizes stand side by side")
    func changedSegmentSize() throws {
        let rig = StoreRig()
        try rig.world.run { _ in
            for kibibytes in [64, 128, 32, 64] as [UInt64] {
                rig.options.segmentBytes = kibibytes << 10
                rig.options.maximumEntryBytes = 8 << 10
                let store = try await rig.open()
                try await rig.check(store)
                try await rig.appendSingly(store, 30)
                try await store.close()
            }
            try await rig.check(try await rig.open())
        }
    }

    @Test("43: a write that went to another place, and one that never happened, are seen once later data are there")
    func misdirectedAndLostWrites() throws {
        for effect in [DiskFault.Effect.misdirect(to: 49152), .lie] {
            let rig = StoreRig()
            try rig.world.run { _ in
                let store = try await rig.open()
                try await rig.appendSingly(store, 2)
                rig.world.disk.inject(DiskFault(.write, pathContains: ".seg", effect))
                try await rig.appendSingly(store, 3)
                try await store.close()
                let damage = try #require(await logError { _ = try await rig.open() }?.damage)
                #expect(damage.file == rig.segmentPaths[0])
                #expect(damage.kind == .corrupt || damage.kind == .misdirected)
            }
        }
    }

    @Test("48: a disk that stalls for minutes delays, and loses nothing")
    func stalledDisk() throws {
        let rig = StoreRig()
        try rig.world.run { seams in
            let store = try await rig.open()
            rig.world.disk.inject(DiskFault(.write, pathContains: ".seg", .stall(nanoseconds: 300_000_000_000)))
            let ticket = try store.append(rig.entries(3))
            store.endBatch()
            await seams.clock.sleep(nanoseconds: 200_000_000_000)
            #expect(store.durableIndex == 0)
            #expect(store.state.health == .ok)
            try await store.waitUntilDurable(ticket)
            try await rig.check(store)
        }
    }

    @Test("50: an entry that is damaged under an open store is corrupt, never not found")
    func damagedEntryIsCorrupt() throws {
        let rig = StoreRig()
        try rig.world.run { _ in
            let store = try await rig.open()
            try await rig.appendSingly(store, 40)
            let path = rig.segmentPaths[0]
            rig.world.disk.damage { $0.flip(path, at: 8192 + 4096 + 600, mask: 2) }
            var errors: [LogError] = []
            for index in 1...12 as ClosedRange<UInt64> {
                do throws(LogError) {
                    let entry = try await store.entry(at: RaftIndex(index))
                    #expect(entry.payload == rig.payloads[Int(index) - 1][...])
                } catch { errors.append(error) }
            }
            #expect(!errors.isEmpty)
            for error in errors { #expect(error.damage?.file == path) }
        }
    }

    @Test("52: an entry that can never fit is refused before anything is written; one that just fits is kept")
    func largestEntries() throws {
        let rig = StoreRig()
        try rig.world.run { _ in
            let store = try await rig.open()
            let writes = rig.world.disk.counts[.write]
            let large = Entry(
                index: 1, term: 1, type: .application, timestampMicroseconds: 1,
                payload: [UInt8](repeating: 1, count: rig.options.maximumEntryBytes + 1))
            guard case .invalidArgument = await logError({ _ = try store.append([large]) }) else {
                Issue.record("an entry beyond the limit was taken")
                return
            }
            #expect(store.nextIndex == 1)
            #expect(rig.world.disk.counts[.write] == writes)
            try await rig.append(store, 1, bytes: rig.options.maximumEntryBytes)
            for bytes in stride(from: 3700, to: 16_384, by: 397) { try await rig.append(store, 1, bytes: bytes) }
            try await rig.check(store)
            rig.world.crash()
            try await rig.check(try await rig.open())
        }
    }
}
