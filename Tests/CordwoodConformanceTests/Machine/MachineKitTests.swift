import CordwoodBase
import CordwoodConformance
import CordwoodEvents
import CordwoodMachine
import CordwoodVirtual
import Testing

@Suite("The conformance kit for state machines")
struct MachineKitTests {
    @Test("passes a machine that keeps its promises", arguments: MachineConformance.checks.map(\.name))
    func passes(_ name: String) async throws {
        let check = try #require(MachineConformance.checks.first { $0.name == name })
        try await check.run(on: SabotagedMachine.subject(nil))
    }

    @Test("passes the event store", arguments: MachineConformance.checks.map(\.name))
    func passesTheEventStore(_ name: String) async throws {
        let check = try #require(MachineConformance.checks.first { $0.name == name })
        try await check.run(on: MachineKitTests.eventStore)
    }

    @Test("finds the event store as it was after a power cut, and notices damage to its files")
    func survivesAsEventStore() throws {
        var exploration = CrashExploration()
        exploration.exhaustiveUnits = 2
        exploration.sampledStates = 2
        exploration.recoveryStride = 41
        exploration.sampledRecoveryStates = 2
        print("event store: \(try MachineConformance.crashWorkload(MachineKitTests.eventStore).explore(exploration))")
        print("event store: \(try MachineConformance.damage(MachineKitTests.eventStore, every: 307))")
    }

    private static let eventStore = MachineSubject(make: { EventStore.machine($0) }) { number, _ in
        let key = PartitionKey(UUID(high: 1, low: 2))
        let stream = Array("stream-\(number % 3)".utf8)
        return stream.withUnsafeBytes { stream in
            AppendCommand.encode(
                key: key,
                event: EventDraft(
                    streamID: stream, name: UnsafeRawBufferPointer(start: nil, count: 0),
                    id: EventID(milliseconds: UInt64(number / 2), partitionHash: key.hash, random: 7),
                    idIsSupplied: number % 2 == 1, expectedVersion: number % 7 == 6 ? .empty : .any, payload: stream))
        }
    }

    @Test("notices every way of breaking them", arguments: SabotagedMachine.Sabotage.allCases)
    func notices(_ sabotage: SabotagedMachine.Sabotage) async throws {
        var failed: [String] = []
        for check in MachineConformance.checks {
            do { try await check.run(on: SabotagedMachine.subject(sabotage)) } catch is ConformanceFailure {
                failed.append(check.name)
            }
        }
        #expect(failed.contains { $0.contains(sabotage.noticedBy) }, "\(sabotage): \(failed)")
    }

    @Test("finds the machine as it was after a power cut at any operation", arguments: [512, 4096])
    func survivesCrashes(sectorBytes: Int) throws {
        var exploration = CrashExploration()
        exploration.disk.sectorBytes = sectorBytes
        exploration.exhaustiveUnits = 2
        exploration.sampledStates = 2
        exploration.recoveryStride = 41
        exploration.sampledRecoveryStates = 2
        let report = try MachineConformance.crashWorkload(SabotagedMachine.subject(nil)).explore(exploration)
        #expect(report.distinctImages > 100)
        print("machines, sectors of \(sectorBytes): \(report)")
    }

    @Test("notices a machine that is another one after a power cut")
    func noticesWhatDoesNotSurvive() {
        var exploration = CrashExploration()
        exploration.exhaustiveUnits = 1
        exploration.sampledStates = 2
        #expect(throws: ConformanceFailure.self) {
            try MachineConformance.crashWorkload(SabotagedMachine.subject(.drawsRandomly)).explore(exploration)
        }
    }

    @Test("finds the state or a partition that stands still behind any damage")
    func survivesDamage() throws {
        let report = try MachineConformance.damage(SabotagedMachine.subject(nil), every: 211)
        #expect(report.cases > 50)
        #expect(report.intact > 0)
        print("\(report.cases) damages, \(report.intact) with all states intact")
    }
}
