import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

/// A damaged log that is made anew beside itself, from what is intact of it and what others give.
@Suite("Replacing a damaged log")
struct LogReplacementTests {
    private static let entries = LogWorld.entries(1...120, payloadBytes: 1500)

    private static func replacement(_ seams: Seams) -> LogReplacement {
        LogReplacement(log: "/log", repair: "/repair", seams: seams)
    }

    /// A log of several segments, with a flipped byte in the oldest one.
    private static func damaged() throws -> DiskImage {
        var image = try LogWorld.run { store, _ in
            for first in stride(from: 0, to: entries.count, by: 10) {
                try await store.write(Array(entries[first..<first + 10]))
            }
            #expect(store.segments.count > 2)
        }
        let path = try #require(image.paths.first { $0.hasSuffix(".seg") })
        image.flip(path, at: 20_000, mask: 1)
        return image
    }

    /// Makes the log anew: what is intact from the damaged one, the rest from elsewhere.
    private static func mend(_ seams: Seams) async throws {
        let salvage = try #require(try await LogSalvage.read("/log", files: seams.files))
        #expect(salvage.isTailCertain)
        #expect(salvage.last.index == 120)
        let replacement = replacement(seams)
        let store = try await replacement.begin(
            salvage.identity, vote: salvage.vote, boundary: salvage.boundary, commitHint: 0, epoch: salvage.epoch.next,
            gates: salvage.gates, options: LogWorld.options)
        var lacking = 0
        while store.nextIndex <= 120 {
            let last = store.nextIndex.previous
            let position = LogBoundary(
                index: last, term: store.lastEntry?.term ?? 0, chain: store.recentChain(at: last) ?? .zero)
            var run = try await salvage.entries(after: position, through: 120, maxBytes: 8 << 10)
            if run.isEmpty {
                run = [entries[Int(last.rawValue)]]
                lacking += 1
            }
            try await store.write(run)
        }
        #expect(lacking > 0)
        #expect(lacking < 40)
        #expect(store.recentChain(at: 120) == salvage.last.chain)
        try await store.close()
        try await replacement.commit()
    }

    /// What a start finds: `nil` where the damaged log is still in its place.
    private static func found(_ image: DiskImage) throws -> [Entry]? {
        try VirtualWorld(seed: 3, disk: image).run { seams in
            try await replacement(seams).finish()
            do {
                let store = try await LogWorld.open(seams)
                let entries = try await store.all()
                try await store.close()
                return entries.asGiven
            } catch {
                guard case .corrupt = error as? LogError else { throw error }
                return nil
            }
        }
    }

    @Test func givesTheLogThatWasThere() throws {
        let world = VirtualWorld(seed: 2, disk: try Self.damaged())
        #expect(try Self.found(world.disk.image.flushed()) == nil)
        try world.run(Self.mend)
        let image = world.disk.image.flushed()
        #expect(try Self.found(image) == Self.entries)
        #expect(image.paths.contains { $0.hasPrefix("/repair/damaged-log/") })
        #expect(!image.paths.contains { $0.hasPrefix("/repair/log/") && $0.hasSuffix(".seg") })
    }

    @Test func row20_aCrashAnywhereInTheExchangeGivesTheDamagedLogOrTheNewOne() throws {
        let world = VirtualWorld(seed: 4, disk: try Self.damaged())
        var moments: [DiskImage] = []
        world.disk.onCrashPoint = { moments.append($0.image) }
        try world.run(Self.mend)
        world.disk.onCrashPoint = nil
        moments.append(world.disk.image)
        var revision: UInt64 = 0
        var states = 0
        var whole = 0
        var isDone = false
        for (number, moment) in moments.enumerated() where moment.revision != revision {
            revision = moment.revision
            // While entries go into the new log nothing is exchanged: a few of those moments are enough.
            guard moment.paths.contains(where: { $0.contains("log.ready") }) || number % 16 == 0 else { continue }
            for state in moment.crashStates(limit: 6, exhaustiveUnits: 3, sectorBytes: 512, seed: UInt64(number)) {
                states += 1
                guard let found = try Self.found(state) else {
                    #expect(!isDone, "moment \(number): the new log was there and is not any more")
                    continue
                }
                whole += 1
                #expect(found == Self.entries, "moment \(number)")
            }
            if try Self.found(moment.crashStates(limit: 1).state(0)) != nil { isDone = true }
        }
        #expect(states > 100)
        #expect(whole > 20)
        #expect(isDone)
    }
}
