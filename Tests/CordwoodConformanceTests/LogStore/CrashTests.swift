import CordwoodConformance
import CordwoodIO
import CordwoodVirtual
import Testing

/// Power cuts at every I/O operation of the segmented store, and again within recovery.
@Suite("After a power cut at any I/O operation, the segmented log store")
struct CrashTests {
    @Test("holds all that was acknowledged and only what was asked for", arguments: CrashScript.all, [512, 4096])
    func keepsWhatWasAcknowledged(_ script: CrashScript, sectorBytes: Int) throws {
        var exploration = CrashExploration()
        exploration.disk.sectorBytes = sectorBytes
        exploration.exhaustiveUnits = 3
        exploration.sampledStates = 5
        exploration.recoveryStride = 23
        exploration.sampledRecoveryStates = 2
        let report = try script.workload(opening: SegmentedLogStoreFactory.openSmall).explore(exploration)
        #expect(report.states > report.crashPoints)
        #expect(report.distinctImages > 0 && report.distinctImages <= report.states + report.recoveryCrashStates)
        print("\(script), sectors of \(sectorBytes): \(report)")
    }

    @Test("holds a prefix of it, however many batches were in flight", arguments: 2...4)
    func keepsAPrefix(depth: Int) throws {
        let scripts = CrashScript.all.filter { $0.name.hasPrefix("append with") || $0.name.hasPrefix("everything") }
        for script in scripts {
            let workload = script.workload { try await SegmentedLogStoreFactory.openSmall($0, depth: depth) }
            var exploration = CrashExploration()
            exploration.seed = UInt64(depth)
            exploration.disk.sectorBytes = 4096
            exploration.disk.latencyNanoseconds = 20_000...2_000_000
            exploration.exhaustiveUnits = 4
            exploration.sampledStates = 6
            exploration.recoveryStride = 31
            exploration.sampledRecoveryStates = 2
            print("\(script), depth \(depth): \(try workload.explore(exploration))")
        }
    }
}
