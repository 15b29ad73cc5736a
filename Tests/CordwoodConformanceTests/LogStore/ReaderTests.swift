import CordwoodBase
import CordwoodConformance
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

/// Reading the segmented log from other threads than its own.
@Suite("A reader for other threads")
struct ReaderTests {
    /// What a thread has seen.
    private struct Findings: Sendable {
        var entries = 0
        var purged = 0
        var wrong: [String] = []
    }

    private static func entry(_ index: UInt64, term: Term) -> Entry {
        Entry(
            index: RaftIndex(index), term: term, type: .application, timestampMicroseconds: Int64(index),
            payload: (0..<600).map { UInt8(truncatingIfNeeded: UInt64($0) &* 7 &+ index &* 13) })
    }

    /// Reads ranges over and over, on a thread of its own, until it is told to end.
    private static func roam(
        _ reader: SegmentedLogReader, _ scheduler: any Scheduler, seed: UInt64, last: UInt64, rounds: Int
    ) async -> Findings {
        var found = Findings()
        let random = VirtualRandom(seed: seed)
        for _ in 0..<rounds {
            let first = 1 + random.next(below: last)
            let count = 1 + random.next(below: 40)
            if scheduler.isCurrent { found.wrong.append("reads on the loop") }
            do throws(LogError) {
                let read = try await reader.entries(
                    in: RaftIndex(first)..<RaftIndex(first + count), maxBytes: Int(random.next(below: 20_000)))
                if scheduler.isCurrent { found.wrong.append("goes on on the loop") }
                if read.isEmpty { found.wrong.append("nothing from \(first) on") }
                for (offset, entry) in read.enumerated() {
                    let index = first + UInt64(offset)
                    if entry.index.rawValue != index || entry.payload != Self.entry(index, term: 1).payload {
                        found.wrong.append("entry \(entry.index) where \(index) was asked for")
                    }
                    if offset > 0, read[offset - 1].term > entry.term {
                        found.wrong.append("terms fall at \(index)")
                    }
                }
                found.entries += read.count
            } catch {
                switch error {
                case .purged, .notFound: found.purged += 1
                default: found.wrong.append("\(error)")
                }
            }
        }
        return found
    }

    @Test(
        "sees what the log holds beside appends, truncations, compactions and rolls",
        arguments: [Machine.uring, .posix])
    func readsBesideTheWriter(_ machine: Machine) async throws {
        try await machine.run { seams, directory in
            let store = try await SegmentedLogStore.open(
                directory: directory + "/log", identity: SegmentedLogStoreFactory.identity,
                options: SegmentedLogStoreFactory.smallSegments, seams: seams)
            let last: UInt64 = 1200
            let reader = store.reader
            let scheduler = seams.scheduler
            var threads: [Task<Findings, Never>] = []
            var term: Term = 1
            while store.nextIndex.rawValue <= last {
                if store.nextIndex.rawValue % 97 == 0 {
                    term = term.next
                    _ = try store.truncate(after: store.nextIndex - 6)
                }
                let next = store.nextIndex.rawValue
                let ticket = try store.append((next..<next + 4).map { Self.entry($0, term: term) })
                store.endBatch()
                try await store.waitUntilDurable(ticket)
                if next > 400, threads.isEmpty {
                    threads = (1...4 as ClosedRange<UInt64>).map { seed in
                        Task.detached { await Self.roam(reader, scheduler, seed: seed, last: last, rounds: 400) }
                    }
                }
                if next > store.startIndex.rawValue + 600 {
                    try await store.compact(through: RaftIndex(next - 400), boundary: nil)
                    try await store.raiseFloor(to: RaftIndex(next - 399))
                }
            }
            for thread in threads {
                let found = await thread.value
                #expect(found.wrong == [])
                #expect(found.entries > 0)
            }
            // At rest everything is there.
            let start = store.startIndex.rawValue
            let rest = Task.detached {
                try await reader.entries(in: RaftIndex(start)..<RaftIndex(last + 1), maxBytes: nil)
            }
            #expect(try await rest.value.map(\.index.rawValue) == Array(start...last))
            await #expect(throws: LogError.purged(1)) { _ = try await reader.entry(at: 1) }
            await #expect(throws: LogError.self) { _ = try await reader.entry(at: store.nextIndex) }
            try await store.close()
            await #expect(throws: LogError.closed) { _ = try await reader.entry(at: RaftIndex(last)) }
        }
    }

    @Test("names damage as the store does, and outlives the store")
    func namesDamage() throws {
        let rig = StoreRig()
        try rig.world.run { seams in
            var store: SegmentedLogStore? = try await rig.open()
            guard let reader = store?.reader else { return }
            if let store { try await rig.appendSingly(store, 60) }
            let path = rig.segmentPaths[0]
            rig.world.disk.damage { $0.flip(path, at: 20_000, mask: 1) }
            var damaged: [DamageClass?] = []
            for index in 1...60 as ClosedRange<UInt64> {
                let mine = await logError { try await reader.entry(at: RaftIndex(index)) }
                let its = await logError { try await store?.entry(at: RaftIndex(index)) }
                #expect(mine == its)
                if let mine { damaged.append(mine.damage?.kind) }
            }
            #expect(!damaged.isEmpty && damaged.allSatisfy { $0 == .corrupt })
            try await store?.close()
            store = nil
            let error = await logError { try await reader.entry(at: 1) }
            #expect(error == .closed)
        }
    }
}
