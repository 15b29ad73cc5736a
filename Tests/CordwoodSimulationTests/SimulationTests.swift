import CordwoodSimulation
import Testing

@Suite("Groups on virtual time")
struct SimulationTests {
    /// A few seeds in the debug build, with its checks; `tools/test` runs 500 more with the release build.
    @Test(arguments: 1...16 as ClosedRange<UInt64>)
    func keepEveryPromiseUnderFaults(seed: UInt64) {
        let report = Simulation(seed: seed).run()
        #expect(report.violation == nil, "seed \(seed); again: cordwood-crashtest simulate \(seed)")
    }

    @Test func areTheSameRunForTheSameSeed() {
        for seed: UInt64 in [3, 17] {
            #expect(Simulation(seed: seed).run().traceHash == Simulation(seed: seed).run().traceHash, "seed \(seed)")
        }
    }

    /// What a seed is to bring about, it does: changes of the group take effect, lost disks are replaced.
    @Test func changeWhileTheyServe() {
        var options = Simulation.Options()
        options.faults = [.membership, .wipedDisk, .kill]
        options.isFair = true
        var markers: Set<Marker> = []
        for seed: UInt64 in 1...6 {
            let report = Simulation(seed: seed, options: options).run()
            #expect(report.violation == nil, "seed \(seed)")
            #expect(report.configurations > 0, "seed \(seed)")
            markers.formUnion(report.markers)
        }
        #expect(markers.isSuperset(of: [.addedMember, .mendedMember, .wipedDisk, .forwardedWrite]))
    }

    /// What is damaged of logs that a member no longer writes comes from the others again.
    @Test func mendTheirLogsFromEachOther() {
        var options = Simulation.Options()
        options.faults = [.bitRot, .misplacedWrites, .kill, .restart]
        options.isFair = true
        var markers: Set<Marker> = []
        for seed: UInt64 in [2, 9, 14, 28] {
            let report = Simulation(seed: seed, options: options).run()
            #expect(report.violation == nil, "seed \(seed)")
            markers.formUnion(report.markers)
        }
        #expect(markers.isSuperset(of: [.damagedLog, .mendedLog, .damagedPartition, .mendedPartition]))
    }

    @Test func comeToAHaltSafelyWhenTooMuchIsLost() {
        var options = Simulation.Options()
        options.faults = [.wipedDisk, .bitRot]
        options.isFair = false
        for seed: UInt64 in 1...6 {
            let report = Simulation(seed: seed, options: options).run()
            #expect(report.violation == nil, "seed \(seed)")
            #expect(report.markers.contains(.unfairHalt), "seed \(seed)")
        }
    }
}
