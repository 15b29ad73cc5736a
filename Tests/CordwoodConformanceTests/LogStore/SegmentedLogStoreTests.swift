import CordwoodConformance
import CordwoodIO
import CordwoodLog
import CordwoodVirtual
import Testing

@Suite("The segmented log store")
struct SegmentedLogStoreConformanceTests {
    @Test("keeps the contract on a faulty disk", arguments: LogStoreConformance.checks, Interruption.allCases)
    func conformsOnAFaultyDisk(_ check: LogStoreConformance.Check, _ interruption: Interruption) throws {
        let world = VirtualWorld(seed: 1)
        try world.run { _ in
            try await check.run(on: SegmentedLogStoreFactory(world: world), interruption: interruption)
        }
    }

    @Test("keeps the contract on files", arguments: LogStoreConformance.checks, [Machine.uring, .posix])
    func conformsOnFiles(_ check: LogStoreConformance.Check, _ machine: Machine) async throws {
        try await machine.run { seams, directory in
            try await check.run(on: SegmentedLogStoreFactory(seams: seams, directory: directory))
        }
    }

    @Test("agrees with the model on random sequences with crashes", arguments: 1...200 as ClosedRange<UInt64>)
    func agreesWithTheModel(seed: UInt64) throws {
        let world = VirtualWorld(seed: seed)
        var options = SegmentedLogStoreFactory.smallSegments
        options.depth = Int(seed % 4) + 1
        world.disk.options.sectorBytes = seed % 2 == 0 ? 512 : 4096
        let factory = SegmentedLogStoreFactory(world: world, options: options)
        try world.run { _ in
            try await LogStoreConformance.randomSequence(on: factory, seed: seed, steps: 500)
        }
    }
}
