import CordwoodConformance
import Testing

/// Power cuts in the workloads beyond the log store's own, which `CrashTests` has.
@Suite("After a power cut at any I/O operation, a replica")
struct EngineCrashTests {
    private static let workloads = CrashWorkload.standard.dropFirst(CrashScript.all.count).map(\.name)

    @Test("holds all that was acknowledged of its partitions", arguments: workloads, [512, 4096])
    func keepsWhatWasAcknowledged(_ name: String, sectorBytes: Int) throws {
        let workload = try #require(CrashWorkload.standard.first { $0.name == name })
        var exploration = CrashExploration()
        exploration.disk.sectorBytes = sectorBytes
        exploration.exhaustiveUnits = 2
        exploration.sampledStates = 3
        exploration.recoveryStride = 29
        exploration.sampledRecoveryStates = 2
        let report = try workload.explore(exploration)
        #expect(report.states > report.crashPoints)
        print("\(workload), sectors of \(sectorBytes): \(report)")
    }
}
