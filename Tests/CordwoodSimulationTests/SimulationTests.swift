import CordwoodSimulation
import Testing

@Suite("Groups on virtual time")
struct SimulationTests {
    /// The seeds that CI runs, in blocks of their own so that a failure names its block at once.
    @Test(arguments: [1, 11, 21, 31, 41] as [UInt64])
    func keepEveryPromiseUnderFaults(from first: UInt64) {
        for seed in first..<first + 10 {
            let report = Simulation(seed: seed).run()
            #expect(
                report.violation == nil, "seed \(seed); again: cordwood-crashtest simulate --start \(seed) --seeds 1")
        }
    }

    /// Seeds that once broke a promise; docs/testing.md says which.
    @Test(arguments: [6, 22, 278, 292, 326, 332, 351, 388, 411, 1057, 1945] as [UInt64])
    func keepEveryPromiseThatOnceWasBroken(seed: UInt64) {
        let report = Simulation(seed: seed).run()
        #expect(report.violation == nil, "seed \(seed)")
    }

    @Test func areTheSameRunForTheSameSeed() {
        for seed: UInt64 in [3, 17] {
            #expect(Simulation(seed: seed).run().traceHash == Simulation(seed: seed).run().traceHash, "seed \(seed)")
        }
    }

    @Test func reachMostOfTheirRareStates() {
        var reached: Set<Marker> = []
        for seed: UInt64 in 1...30 { reached.formUnion(Simulation(seed: seed).run().markers) }
        #expect(reached.contains(.laterElection))
        #expect(reached.contains(.forwardedWrite))
        #expect(reached.contains(.unknownOutcome))
    }
}
