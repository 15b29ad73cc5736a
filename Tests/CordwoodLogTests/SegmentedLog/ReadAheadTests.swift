import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

@Suite("Reading ahead at recovery")
struct ReadAheadTests {
    /// Segments of many pieces, with batches from one sector to several pieces.
    private static var options: LogStoreOptions {
        var options = LogWorld.options
        options.segmentBytes = 4 << 20
        options.maximumEntryBytes = 1 << 20
        options.batchBytes = 256 << 10
        return options
    }

    private static func filled() throws -> DiskImage {
        try LogWorld.run(options: options) { store, _ in
            for index in 1...40 as ClosedRange<UInt64> {
                let sizes = [100, 5_000, 70_000, 300_000, 600_000, 1_000_000]
                let size = sizes[index % 20 == 0 ? 5 : Int(index % 5)]
                try await store.write([LogWorld.entry(RaftIndex(index), payloadBytes: size)])
            }
        }
    }

    @Test("batches that pass from one piece to the next, and those larger than a piece, are found whole")
    func wholeBatches() throws {
        let image = try Self.filled()
        for seed in 1...3 as ClosedRange<UInt64> {
            try LogWorld.run(on: image, seed: seed, options: Self.options) { store, _ in
                #expect(store.recovery.outcome == .clean)
                #expect(store.recovery.segmentCount > 2)
                #expect(store.nextIndex == 41)
            }
        }
    }

    @Test("a read that fails ends the opening, or was for a piece that nobody needed")
    func failingReads() throws {
        let image = try Self.filled()
        var failures = 0
        for skip in 0..<16 {
            let world = VirtualWorld(seed: UInt64(skip), disk: image)
            try world.run { (seams) async throws in
                world.disk.inject(.inputOutputError(.read, pathContains: ".seg", skip: skip))
                do throws(LogError) {
                    let store = try await SegmentedLogStore.open(
                        directory: "/log", identity: LogWorld.identity, options: Self.options, seams: seams)
                    #expect(store.nextIndex == 41, "read \(skip)")
                    try await store.close()
                } catch {
                    guard case .unavailable = error else { throw error }
                    failures += 1
                }
            }
        }
        #expect(failures >= 8)
    }
}
