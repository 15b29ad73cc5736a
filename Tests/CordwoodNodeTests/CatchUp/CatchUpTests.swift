import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft
import CordwoodVirtual
import Testing

@testable import CordwoodNode

@Suite("Catching up by partition")
struct CatchUpTests {
    private static let joining = smallNode { $0.directory = "joiner" }

    private static func open(
        _ fixture: CatchUpFixture, _ seams: Seams, _ change: (inout CatchUpConfiguration) -> Void = { _ in },
        call: CatchUp.Call? = nil
    ) async throws -> CatchUpStack {
        var fetch = CatchUpConfiguration.unlimited
        fetch.pieceBytes = CatchUpFixture.pieceBytes
        change(&fetch)
        return try await CatchUpStack.open(joining, seams: seams, fetch: fetch, call: call ?? fixture.call)
    }

    // MARK: What comes over

    @Test func bringsAnEmptyReplicaToTheStateOfARunningSource() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let source = try await CatchUpSource.open(seams)
            let replica = try await CatchUpStack.open(Self.joining, seams: seams, call: source.call)
            try await replica.catchUp.fetch(source.manifest, from: [1])
            #expect(replica.store.nextIndex == 1)
            try await replica.catchUp.install(source.manifest)
            #expect(replica.store.state.boundary == source.manifest.boundary)
            #expect(replica.machines.logs.lines == source.manifest.lines)
            for (partition, events) in await source.talliedInManifest().enumerated() {
                #expect(await replica.tallied(PartitionID(UInt64(partition))) == events)
                #expect(
                    replica.machines.dispatcher.watermark(of: PartitionID(UInt64(partition))) == UInt64(events.count))
            }
            try await replica.close()
        }
    }

    @Test func opensAsANodeThatHoldsWhatTheSnapshotHeld() throws {
        let fixture = try CatchUpFixture.make()
        let world = VirtualWorld(seed: 2)
        try world.run { seams in
            let replica = try await Self.open(fixture, seams)
            try await replica.catchUp.fetch(fixture.manifest, from: [1])
            try await replica.catchUp.install(fixture.manifest)
        }
        let reborn = VirtualWorld(seed: 3, disk: world.crash())
        try reborn.run { seams in
            let node = try await Node.open(Self.joining, machine: TallyMachine.make, seams: seams)
            #expect(node.status.log.boundary == fixture.manifest.boundary)
            for (partition, events) in fixture.tallied.enumerated() {
                #expect(await node.tallied(PartitionID(UInt64(partition))) == events)
            }
            #expect(try await node.tally("behind it", in: 0) == "\(fixture.tallied[0].count + 1)")
            try await node.close()
        }
    }

    @Test func takesOverEveryRecordByteForByte() throws {
        let fixture = try CatchUpFixture.make()
        let world = VirtualWorld(seed: 4)
        try world.run { seams in
            let replica = try await Self.open(fixture, seams)
            try await replica.take(Array(fixture.entries.prefix(9)))
            try await replica.catchUp.fetch(fixture.manifest, from: [1])
            try await replica.catchUp.install(fixture.manifest)
            for entry in fixture.manifest.partitions {
                let request = PieceRequest.log(
                    entry.partition, from: 1, through: entry.line.persisted, maxBytes: 1 << 20)
                let log = replica.machines.logs.store(of: entry.partition)
                var next: PartitionLogIndex = 1
                while next <= entry.line.persisted {
                    let run = try PartitionExport(
                        decoding: try await log.export(from: next, through: entry.line.persisted, maxBytes: 1))
                    let given = PieceRequest.log(entry.partition, from: next, through: 0, maxBytes: 0)
                    guard case .data(let bytes) = try fixture.answer(given.encoded()) else {
                        Issue.record("no piece of \(request)")
                        return
                    }
                    let original = try PartitionExport(decoding: bytes)
                    #expect(run.previous == original.previous)
                    #expect(run.count == 1)
                    next = run.last.partitionIndex.next
                }
                #expect(try await log.line(at: entry.line.persisted) == entry.line)
            }
            try await replica.close()
        }
    }

    @Test func fetchesOnlyWhatIsLacking() throws {
        let fixture = try CatchUpFixture.make()
        var fetched: [Int: UInt64] = [:]
        for prefix in [0, 12, fixture.entries.count] {
            let world = VirtualWorld(seed: 5)
            fetched[prefix] = try world.run { seams in
                let replica = try await Self.open(fixture, seams)
                try await replica.take(Array(fixture.entries.prefix(prefix)))
                try await replica.catchUp.fetch(fixture.manifest, from: [1])
                try await replica.catchUp.install(fixture.manifest)
                #expect(try await CatchUpReading(replica) == .expected(fixture, prefix: nil))
                let bytes = replica.catchUp.progress?.fetchedBytes ?? 0
                try await replica.close()
                return bytes
            }
        }
        let whole = try #require(fetched[0])
        let half = try #require(fetched[12])
        #expect(half < whole * 3 / 4 && half > whole / 4)
        #expect(fetched[fixture.entries.count] == 0)
    }

    @Test func goesOnApplyingWithTheMachineThatItHasWhereTheLogIsLengthened() throws {
        let fixture = try CatchUpFixture.make()
        let world = VirtualWorld(seed: 6)
        try world.run { seams in
            let replica = try await Self.open(fixture, seams)
            try await replica.take(Array(fixture.entries.prefix(12)))
            guard case .synchronous(let before)? = await replica.machines.machine(of: 0) else { return }
            try await replica.catchUp.fetch(fixture.manifest, from: [1])
            try await replica.catchUp.install(fixture.manifest)
            guard case .synchronous(let after)? = await replica.machines.machine(of: 0) else { return }
            #expect(before === after)
            #expect(await replica.tallied(0) == fixture.tallied[0])
            try await replica.close()
        }
    }

    @Test func restoresMachinesFromTheSnapshotsThatComeOver() throws {
        let fixture = try CatchUpFixture.make(snapshotsAt: 16)
        #expect(fixture.manifest.partitions.allSatisfy { $0.snapshot != nil })
        let world = VirtualWorld(seed: 7)
        try world.run { seams in
            let replica = try await Self.open(fixture, seams)
            try await replica.catchUp.fetch(fixture.manifest, from: [1])
            try await replica.catchUp.install(fixture.manifest)
            #expect(try await CatchUpReading(replica) == .expected(fixture, prefix: nil))
            for entry in fixture.manifest.partitions {
                #expect(
                    try await replica.machines.snapshots.list(entry.partition).map(\.index) == [entry.snapshot?.index])
            }
            try await replica.close()
        }
    }

    @Test func replacesALogOfAnotherHistory() throws {
        let fixture = try CatchUpFixture.make()
        let world = VirtualWorld(seed: 8)
        try world.run { seams in
            let replica = try await Self.open(fixture, seams)
            var strange = Array(fixture.entries.prefix(12))
            for at in strange.indices where strange[at].type == .application {
                strange[at].payload[0] ^= 1
            }
            try await replica.take(strange)
            try await replica.catchUp.fetch(fixture.manifest, from: [1])
            try await replica.catchUp.install(fixture.manifest)
            #expect(replica.machines.logs.lines == fixture.manifest.lines)
            for (partition, events) in fixture.tallied.enumerated() {
                #expect(await replica.tallied(PartitionID(UInt64(partition))) == events)
            }
            try await replica.close()
        }
    }

    // MARK: What goes wrong

    @Test func asksTheNextReplicaForAPieceThatDoesNotVerify() throws {
        let fixture = try CatchUpFixture.make()
        let world = VirtualWorld(seed: 9)
        try world.run { seams in
            let random = world.random("damage")
            let replica = try await Self.open(
                fixture, seams,
                call: { peer, body in
                    var answer = try await fixture.call(peer, body)
                    if peer == 1 {
                        answer[Int(random.next(below: UInt64(answer.count)))] ^= 1 << UInt8(random.next(below: 8))
                    }
                    return answer
                })
            try await replica.catchUp.fetch(fixture.manifest, from: [1, 3])
            try await replica.catchUp.install(fixture.manifest)
            #expect(replica.catchUp.progress?.damagedPieces == replica.catchUp.progress?.pieces)
            #expect(try await CatchUpReading(replica) == .expected(fixture, prefix: nil))
            try await replica.close()
        }
    }

    @Test func takesNothingThatVerifiesAndIsNotWhatTheManifestNames() throws {
        let fixture = try CatchUpFixture.make()
        var lying = fixture.manifest
        lying.partitions[1].line.chain = ChainValue(high: 1, low: 2)
        let world = VirtualWorld(seed: 10)
        try world.run { [lying] seams in
            let replica = try await Self.open(fixture, seams)
            await #expect(throws: CatchUpError.self) { try await replica.catchUp.fetch(lying, from: [1]) }
            #expect(replica.store.nextIndex == 1)
            // What came over is of use all the same.
            try await replica.catchUp.fetch(fixture.manifest, from: [1])
            try await replica.catchUp.install(fixture.manifest)
            #expect(try await CatchUpReading(replica) == .expected(fixture, prefix: nil))
            try await replica.close()
        }
    }

    @Test func goesOnFromThePiecesThatItHoldsAfterAnInterruption() throws {
        struct Cut: Error {}
        let fixture = try CatchUpFixture.make(events: 60)
        let whole = try {
            let world = VirtualWorld(seed: 11)
            return try world.run { seams in
                let replica = try await Self.open(fixture, seams)
                try await replica.catchUp.fetch(fixture.manifest, from: [1])
                return replica.catchUp.progress?.pieces ?? 0
            }
        }()
        for cut in stride(from: 1, to: whole, by: 3) {
            let world = VirtualWorld(seed: 12)
            var calls = 0
            try world.run { seams in
                let replica = try await Self.open(
                    fixture, seams,
                    call: { peer, body in
                        calls += 1
                        if calls > cut { throw Cut() }
                        return try await fixture.call(peer, body)
                    })
                await #expect(throws: CatchUpError.self) {
                    try await replica.catchUp.fetch(fixture.manifest, from: [1])
                }
                await replica.catchUp.close()
            }
            let reborn = VirtualWorld(seed: 13, disk: world.disk.image.flushed())
            try reborn.run { seams in
                let replica = try await Self.open(fixture, seams)
                try await replica.catchUp.fetch(fixture.manifest, from: [1])
                // At most what was under way in each partition is fetched twice.
                #expect(replica.catchUp.progress?.pieces ?? 0 <= whole - cut + 6)
                try await replica.catchUp.install(fixture.manifest)
                #expect(try await CatchUpReading(replica) == .expected(fixture, prefix: nil))
                try await replica.close()
            }
        }
    }

    @Test func goesOnUnderANewManifestWhenTheSourceHasLostPieces() throws {
        let world = VirtualWorld(seed: 14)
        try world.run { seams in
            let source = try await CatchUpSource.open(seams)
            var given = 0
            var isLost = true
            let replica = try await CatchUpStack.open(Self.joining, seams: seams) { peer, body in
                given += 1
                if isLost, given > 12, case .log(3, _, _, _) = try PieceRequest(decoding: body) {
                    return PieceAnswer.gone.encoded()
                }
                return try await source.call(peer, body)
            }
            await #expect(throws: CatchUpError.gone(3)) {
                try await replica.catchUp.fetch(source.manifest, from: [1])
            }
            let first = try #require(replica.catchUp.progress?.fetchedBytes)
            isLost = false
            try await CatchUpSource.write(8, 1000, to: source.node)
            let later = try await source.source.offer(for: 2)
            #expect(later.boundary.index > source.manifest.boundary.index)
            source.manifest = later
            try await replica.catchUp.fetch(later, from: [1])
            let second = try #require(replica.catchUp.progress?.fetchedBytes)
            // What was under way when it failed, two pieces in each of three partitions, comes over again.
            #expect(first > 90_000)
            #expect(first + second < 208 * 1150 + 6 * 8192)
            try await replica.catchUp.install(later)
            for (partition, events) in await source.talliedInManifest().enumerated() {
                #expect(await replica.tallied(PartitionID(UInt64(partition))) == events)
            }
            try await replica.close()
        }
    }

    @Test func fetchesNoFasterThanItMay() throws {
        let fixture = try CatchUpFixture.make(events: 60)
        let world = VirtualWorld(seed: 15)
        try world.run { seams in
            let replica = try await Self.open(fixture, seams) { $0.bytesPerSecond = 10_000 }
            let began = seams.clock.monotonicNanoseconds
            try await replica.catchUp.fetch(fixture.manifest, from: [1])
            let seconds = Double(seams.clock.monotonicNanoseconds - began) / 1e9
            let bytes = Double(replica.catchUp.progress?.fetchedBytes ?? 0)
            #expect(bytes / seconds < 11_000 && bytes / seconds > 8_000)
            try await replica.close()
        }
    }

    // MARK: What the source keeps

    @Test func aTransferPinsTheLogFromBehindItsManifestAsLongAsItMay() throws {
        let world = VirtualWorld(seed: 16)
        try world.run { seams in
            let source = try await CatchUpSource.open(seams)
            #expect(source.source.floor() == source.manifest.boundary.index.next)
            #expect(source.source.pins.map(\.peer) == [2])
            source.source.release(2)
            #expect(source.source.floor() == nil)
            _ = try await source.source.offer(for: 3)
            await seams.clock.sleep(nanoseconds: CatchUpConfiguration().idleNanoseconds + 1_000_000_000)
            #expect(source.source.floor() == nil)
        }
    }

    @Test func snapshotsThatAManifestNamesOutliveNewerOnes() throws {
        let world = VirtualWorld(seed: 17)
        try world.run { seams in
            let source = try await CatchUpSource.open(seams, events: 40) { $0.machines.keptSnapshots = 1 }
            let machines = source.node.machines
            _ = await machines.snapshot(0)
            let manifest = try await source.source.offer(for: 2)
            let named = try #require(manifest.entry(of: 0)?.snapshot)
            for _ in 0..<3 {
                try await CatchUpSource.write(8, 100, to: source.node)
                _ = await machines.snapshot(0)
            }
            let kept = try await machines.snapshots.list(0).map(\.index)
            #expect(kept.count == 2 && kept.last == named.index)
            source.source.release(2)
            try await CatchUpSource.write(8, 100, to: source.node)
            _ = await machines.snapshot(0)
            #expect(try await machines.snapshots.list(0).count == 1)
        }
    }

    // MARK: Damaged snapshots

    private static func path(_ partition: PartitionID, _ index: PartitionLogIndex, of node: String) -> String {
        "\(node)/\(Node.Directory.snapshots)/0\(partition)/\(partition)-\(index).snapshot"
    }

    /// A source whose first partition has two snapshots, the newest first.
    private static func openWithTwoSnapshots(
        _ seams: Seams, compactsLogs: Bool = false
    ) async throws -> (source: CatchUpSource, snapshots: [PartitionLogIndex]) {
        let source = try await CatchUpSource.open(seams, events: 40, bytes: 6000) {
            $0.machines.keptSnapshots = 2
            $0.machines.compactsLogs = compactsLogs
            $0.partitionSegmentBytes = 40 << 10
        }
        for _ in 0..<2 {
            try await CatchUpSource.write(8, 100, to: source.node)
            _ = await source.node.machines.snapshot(0)
        }
        return (source, try await source.node.machines.snapshots.list(0).map(\.index))
    }

    @Test(arguments: [true, false])
    func aSnapshotThatIsDamagedIsNotOffered(canBeRead: Bool) throws {
        let world = VirtualWorld(seed: 18)
        try world.run { seams in
            let (source, snapshots) = try await Self.openWithTwoSnapshots(seams)
            #expect(snapshots.count == 2)
            var offered = try await source.source.offer(for: 2).entry(of: 0)?.snapshot
            for (at, index) in snapshots.enumerated() {
                #expect(offered?.index == index)
                let path = Self.path(0, index, of: "source")
                if canBeRead {
                    world.disk.damage { $0.flip(path, at: 100, mask: 1) }
                } else {
                    world.disk.inject(
                        DiskFault(
                            .read, pathContains: path, offsets: at == 0 ? 0..<8 : 100..<101, times: .max,
                            .fail(.device, errorNumber: 5)))
                }
                offered = try await source.source.offer(for: 2).entry(of: 0)?.snapshot
            }
            #expect(offered == nil)
        }
    }

    @Test func aReplicaIsBroughtUpBesideADamagedSnapshotOfTheSource() throws {
        let world = VirtualWorld(seed: 19)
        try world.run { seams in
            let (source, snapshots) = try await Self.openWithTwoSnapshots(seams)
            world.disk.damage { $0.flip(Self.path(0, snapshots[0], of: "source"), at: 100, mask: 1) }
            source.manifest = try await source.source.offer(for: 2)
            let replica = try await CatchUpStack.open(Self.joining, seams: seams, call: source.call)
            try await replica.catchUp.fetch(source.manifest, from: [1])
            try await replica.catchUp.install(source.manifest)
            #expect(await replica.tallied(0) == (await source.talliedInManifest())[0])
            try await replica.close()
        }
    }

    @Test func aSourceWhoseLogNoIntactSnapshotReachesTakesANewOne() throws {
        let world = VirtualWorld(seed: 20)
        try world.run { seams in
            let (source, snapshots) = try await Self.openWithTwoSnapshots(seams, compactsLogs: true)
            source.source.release(2)
            try await CatchUpSource.write(8, 100, to: source.node)
            _ = await source.node.machines.snapshot(0)
            let all = try await source.node.machines.snapshots.list(0).map(\.index)
            #expect(all.count == 2 && all[1] == snapshots[0])
            #expect(source.node.machines.logs.store(of: 0).startIndex > 1)
            for index in all {
                world.disk.damage { $0.flip(Self.path(0, index, of: "source"), at: 100, mask: 1) }
            }
            let entry = try #require(try await source.source.offer(for: 2).entry(of: 0))
            #expect(entry.snapshot?.index == entry.line.persisted)
            let held = try await source.node.machines.snapshots.intactFile(0, entry.line.persisted)
            #expect(held != nil && held == entry.snapshot)
        }
    }

    @Test func aDamagedSnapshotOfAReplicaCountsForNothingWhenOneIsOffered() throws {
        let fixture = try CatchUpFixture.make(snapshotsAt: 16)
        let named = try #require(fixture.manifest.entry(of: 0)?.snapshot)
        let world = VirtualWorld(seed: 21)
        try world.run { seams in
            let replica = try await Self.open(fixture, seams)
            try await replica.take(fixture.entries)
            #expect(await replica.machines.snapshot(0).map { $0 >= named.index } == true)
            let own = try await replica.machines.snapshots.list(0)[0].index
            world.disk.damage { $0.flip(Self.path(0, own, of: "joiner"), at: 100, mask: 1) }
            try await replica.catchUp.fetch(fixture.manifest, from: [1])
            try await replica.catchUp.install(fixture.manifest)
            #expect(try await replica.machines.snapshots.intactFile(0, named.index) == named)
            #expect(await replica.tallied(0) == fixture.tallied[0])
            try await replica.close()
        }
    }
}
