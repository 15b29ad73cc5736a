import CordwoodConformance
import CordwoodIO
import CordwoodVirtual
import Testing

@Suite("The conformance kit for log stores")
struct KitTests {
    @Test("finds a defect in a store that has one", arguments: Sabotage.allCases)
    func findsDefects(_ sabotage: Sabotage) {
        let found = LogStoreConformance.checks.filter { check in
            let world = VirtualWorld(seed: 1)
            do {
                try world.run { seams in
                    let sound = InMemoryLogStoreFactory(
                        completion: .delayed(seams.clock, nanoseconds: 1000), random: world.random("crashes"))
                    try await check.run(on: SabotagedFactory(sound, sabotage))
                }
                return false
            } catch { return true }
        }
        #expect(!found.isEmpty)
    }

    @Test("names seed, step and both states when a random sequence fails")
    func namesTheSeed() throws {
        let world = VirtualWorld(seed: 1)
        let failure = #expect(throws: ConformanceFailure.self) {
            try world.run { _ in
                let sound = InMemoryLogStoreFactory(random: world.random("crashes"))
                let factory = SabotagedFactory(sound, .truncationIsForgotten)
                try await LogStoreConformance.randomSequence(on: factory, seed: 77, steps: 500)
            }
        }
        let words = try #require(failure).description
        for part in ["seed 77", "step ", "store: ", "model: "] { #expect(words.contains(part)) }
    }

    @Test("has a name of its own for every check")
    func namesAreUnique() {
        let names = LogStoreConformance.checks.map(\.name)
        #expect(Set(names).count == names.count)
    }
}
