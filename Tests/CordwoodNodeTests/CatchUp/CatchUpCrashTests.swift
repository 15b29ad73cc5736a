import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft
import CordwoodVirtual
import Testing

@testable import CordwoodNode

/// Cuts the power at every operation on the disk while a snapshot is fetched and installed: whoever opens the directory
/// then finds the old state or the new one, and can go on to the new one from either.
@Suite("A power cut while catching up")
struct CatchUpCrashTests {
    /// A moment at which the power may fail.
    private struct Moment {
        var image: DiskImage
        var label: String
        var isInstalled: Bool
    }

    private static let joining = smallNode { $0.directory = "joiner" }
    private static let sampledStates = 3

    private static func open(_ fixture: CatchUpFixture, _ seams: Seams) async throws -> CatchUpStack {
        var fetch = CatchUpConfiguration.unlimited
        fetch.pieceBytes = CatchUpFixture.pieceBytes
        return try await CatchUpStack.open(joining, seams: seams, fetch: fetch, call: fixture.call)
    }

    /// What a directory shows when it is opened after a crash; the replica then catches up to the end.
    private static func reopen(
        _ image: DiskImage, _ fixture: CatchUpFixture, seed: UInt64, onCrashPoint: ((CrashPoint) -> Void)? = nil
    ) throws -> (found: CatchUpReading, after: CatchUpReading, fetchedBytes: UInt64) {
        let world = VirtualWorld(seed: seed, disk: image)
        world.disk.onCrashPoint = onCrashPoint
        return try world.run { seams in
            let replica = try await open(fixture, seams)
            let found = try await CatchUpReading(replica)
            if found.boundary.index < fixture.manifest.boundary.index {
                try await replica.catchUp.fetch(fixture.manifest, from: [1])
                try await replica.catchUp.install(fixture.manifest)
            }
            let after = try await CatchUpReading(replica)
            let bytes = replica.catchUp.progress?.fetchedBytes ?? 0
            try await replica.close()
            return (found, after, bytes)
        }
    }

    private static func explore(_ fixture: CatchUpFixture, prefix: Int, seed: UInt64) throws {
        let world = VirtualWorld(seed: seed)
        var moments: [Moment] = []
        var isInstalled = false
        try world.run { seams in
            let replica = try await open(fixture, seams)
            try await replica.take(Array(fixture.entries.prefix(prefix)))
            try await replica.machines.logs.persistAll()
            var revision: UInt64 = 0
            world.disk.onCrashPoint = { point in
                if point.image.revision == revision { return }
                revision = point.image.revision
                moments.append(
                    Moment(image: point.image, label: "\(point.side) \(point.operation)", isInstalled: isInstalled))
            }
            try await replica.catchUp.fetch(fixture.manifest, from: [1])
            try await replica.catchUp.install(fixture.manifest)
            isInstalled = true
            moments.append(Moment(image: world.disk.image, label: "after the installation", isInstalled: true))
        }
        let old = CatchUpReading.expected(fixture, prefix: prefix)
        let new = CatchUpReading.expected(fixture, prefix: nil)
        var newStates = 0
        var states = 0
        // Of neighbouring moments every third, another third with each seed; all of them take a minute.
        for (number, moment) in moments.enumerated()
        where number % 3 == Int(seed % 3) || number == moments.count - 1 {
            let crashed = moment.image.crashStates(
                limit: sampledStates, exhaustiveUnits: 2, sectorBytes: 512, seed: seed &+ UInt64(number))
            for (stateNumber, image) in crashed.enumerated() {
                let place: Comment = "seed \(seed), moment \(number): \(moment.label), state \(stateNumber)"
                var recovering: [DiskImage] = []
                let isDeep = (number + stateNumber) % 29 == 0
                let (found, after, _) = try reopen(
                    image, fixture, seed: seed,
                    onCrashPoint: isDeep ? { if $0.side == .completed { recovering.append($0.image) } } : nil)
                #expect(found == new || (!moment.isInstalled && found.isLike(old)), place)
                #expect(after == new, place)
                if found == new { newStates += 1 }
                states += 1
                // What opening and going on does may be cut off again.
                for (depth, image) in recovering.enumerated() where depth % 5 == number % 5 {
                    for again in image.crashStates(limit: 2, exhaustiveUnits: 1, sectorBytes: 512, seed: seed) {
                        let (second, end, _) = try reopen(again, fixture, seed: seed)
                        #expect(second == new || (found != new && second.isLike(old)), place)
                        #expect(end == new, place)
                    }
                }
            }
        }
        #expect(newStates > 0 && newStates < states, "\(newStates) of \(states) states were new")
    }

    @Test func leavesAnEmptyReplicaAsItWasOrComplete() throws {
        try Self.explore(try CatchUpFixture.make(), prefix: 0, seed: 31)
    }

    @Test func leavesAReplicaThatHoldsTheFrontAsItWasOrComplete() throws {
        try Self.explore(try CatchUpFixture.make(), prefix: 11, seed: 32)
    }

    @Test func leavesAReplicaThatGetsMachineSnapshotsAsItWasOrComplete() throws {
        try Self.explore(try CatchUpFixture.make(snapshotsAt: 16), prefix: 6, seed: 33)
    }

    /// Pieces that are in place without a record of it would be taken for damage by whoever opens the directory.
    @Test func nothingGoesToItsPlaceBeforeTheRecordOfTheInstallationIsDurable() throws {
        let fixture = try CatchUpFixture.make(snapshotsAt: 16)
        let world = VirtualWorld(seed: 34)
        var operations: [(side: CrashPoint.Side, kind: DiskOperationKind, path: String)] = []
        try world.run { seams in
            let replica = try await Self.open(fixture, seams)
            try await replica.take(Array(fixture.entries.prefix(6)))
            try await replica.machines.logs.persistAll()
            try await replica.catchUp.fetch(fixture.manifest, from: [1])
            world.disk.inject(
                DiskFault(.write, pathContains: "joiner/log", times: .max, .stall(nanoseconds: 100_000_000)))
            world.disk.onCrashPoint = { operations.append(($0.side, $0.operation.kind, $0.operation.path)) }
            try await replica.catchUp.install(fixture.manifest)
        }
        let recorded = try #require(
            operations.firstIndex { $0.side == .completed && $0.kind == .write && $0.path.contains("joiner/log") })
        let placed = try #require(
            operations.firstIndex { operation in
                operation.kind.changesDisk
                    && ["joiner/partitions", "joiner/snapshots"].contains { operation.path.contains($0) }
            })
        #expect(recorded < placed, "\(operations[placed]) stands before \(operations[recorded])")
    }
}
