import CordwoodBase
import CordwoodConformance
import CordwoodIO
import CordwoodRaft
import CordwoodVirtual
import Testing

@Suite("The in-memory log store")
struct InMemoryLogStoreTests {
    @Test("keeps the contract", arguments: LogStoreConformance.checks, Interruption.allCases)
    func conforms(_ check: LogStoreConformance.Check, _ interruption: Interruption) throws {
        let world = VirtualWorld(seed: 1)
        try world.run { _ in
            let factory = InMemoryLogStoreFactory(random: world.random("crashes"))
            try await check.run(on: factory, interruption: interruption)
        }
    }

    @Test("keeps the contract when batches take their time", arguments: LogStoreConformance.checks)
    func conformsWithDelay(_ check: LogStoreConformance.Check) throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let factory = InMemoryLogStoreFactory(
                completion: .delayed(seams.clock, nanoseconds: 70_000), random: world.random("crashes"))
            try await check.run(on: factory)
        }
    }

    @Test("agrees with the model on random sequences", arguments: 1...8 as ClosedRange<UInt64>)
    func agreesWithTheModel(seed: UInt64) throws {
        let world = VirtualWorld(seed: seed)
        try world.run { seams in
            let factory = InMemoryLogStoreFactory(
                completion: .delayed(seams.clock, nanoseconds: 70_000), random: world.random("crashes"))
            try await LogStoreConformance.randomSequence(on: factory, seed: seed, steps: 1000)
        }
    }
}
