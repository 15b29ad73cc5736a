import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

@testable import CordwoodNode

@Suite("Damaged segmented logs in a group")
struct LogRepairTests {
    /// Founds a group with some events, damages the logs of members while these are away, and expects that the group is
    /// whole and goes on.
    private static func mend(
        seed: UInt64, events: Int = 150, retains: Bool = true, away: @escaping (RepairGroup) async throws -> [String],
        _ harm: @escaping (RepairGroup, [String]) -> Void
    ) throws {
        let world = VirtualWorld(seed: seed)
        try world.run { seams in
            let group = try await RepairGroup(world, seams) {
                // Segments go slowly where they are to be retained.
                if retains { $0.log.segmentBytes = 128 << 10 }
            }
            try await group.write(events)
            let names = try await away(group)
            for name in names { try await group.close(name) }
            if names.count < 3 { try await group.write(8) }
            harm(group, names)
            try await group.open(names)
            for name in names { #expect(try group[name].repairStatistics.isLogRepaired, "\(name)") }
            try await group.write(40)
            let each = (events + 40 + (names.count < 3 ? 8 : 0)) / 4
            for partition in 0..<4 as Range<UInt64> { try await group.expectWhole(partition, atLeast: each) }
            try await group.closeAll()
            // What was mended opens as any other directory.
            try await group.open(RepairGroup.names)
            for partition in 0..<4 as Range<UInt64> { try await group.expectWhole(partition, atLeast: each) }
            try await group.closeAll()
        }
    }

    private static func one(_ group: RepairGroup) async throws -> [String] { [try await group.follower] }

    private static func all(_ group: RepairGroup) async throws -> [String] { RepairGroup.names }

    @Test(
        arguments: [
            (0, 100), (0, 4500), (0, 20_000), (0, 60_000), (-1, 50), (-1, 4200), (-1, 9000), (-1, 30_000),
        ] as [(Int, UInt64)])
    func aFollowerMendsItsLog(_ segment: Int, _ offset: UInt64) throws {
        try Self.mend(seed: 40 + offset, away: Self.one) { group, names in
            group.damageLog(names[0], segment: segment, at: offset)
        }
    }

    @Test func entriesThatAllOthersHavePurgedComeAsASnapshot() throws {
        try Self.mend(seed: 41, events: 400, retains: false, away: Self.one) { group, names in
            group.damageLog(names[0], segment: 0, at: 9000)
        }
    }

    @Test func damageAtDifferentPlacesOfAllLogsIsMendedWithoutLoss() throws {
        try Self.mend(seed: 42, away: Self.all) { group, names in
            for (place, name) in names.enumerated() {
                group.damageLog(name, segment: 0, at: 20_000 + UInt64(place) * 20_000)
            }
        }
    }

    /// It may have been one in the leader's term. Whoever asks for that term, or for an earlier one, gets none now.
    @Test func aVoteThatDamageMayHaveSwallowedIsNotGivenTwice() throws {
        let world = VirtualWorld(seed: 48)
        try world.run { seams in
            let group = try await RepairGroup(world, seams) { $0.log.segmentBytes = 128 << 10 }
            try await group.write(40)
            let name = try await group.follower
            try await group.close(name)
            try await group.write(8)
            group.damageLog(name, segment: -1, at: 9000)
            let salvage = try await LogSalvage.read("\(name)/log", files: seams.files)
            #expect(salvage?.isVoteCertain == false)
            let term = await group.leader.status.term
            try await group.open([name])
            let node = try group[name]
            #expect(node.durableVote == Vote(term: term, candidate: node.replica))
            try await group.write(8)
            try await group.closeAll()
        }
    }

    @Test func aMemberThatWasRemovedMeanwhileIsToldSoAndWaitsNoLonger() throws {
        let world = VirtualWorld(seed: 49)
        try world.run { seams in
            let group = try await RepairGroup(world, seams) { $0.log.segmentBytes = 128 << 10 }
            try await group.write(40)
            let name = try await group.follower
            let replica = try group[name].replica
            try await group.close(name)
            _ = try await group.leader.operate(.remove(name: name))
            group.damageLog(name, segment: -1, at: 9000)
            await #expect(throws: NodeError.removed(replica)) { try await group.open([name]) }
            try await group.write(8)
            try await group.closeAll()
        }
    }

    @Test func piecesThatAreLackingBehindAnInstallRecordAreFetchedAgain() throws {
        let world = VirtualWorld(seed: 44)
        try world.run { seams in
            let group = try await RepairGroup(world, seams)
            try await group.write(40)
            let name = try await group.follower
            let replica = try group[name].replica
            try await group.close(name)
            try await group.write(80)
            let leader = await group.leader
            let source = try #require(leader.transfers.source)
            let manifest = try await source.offer(for: replica)
            source.release(replica)
            // As a crash leaves it behind the record, with everything gone that was staged.
            let store = try await SegmentedLogStore.open(
                directory: "\(name)/log", options: group.configuration(name).storeOptions, seams: seams)
            try await store.recordInstallation(manifest.boundary, manifest: manifest.encoded())
            try await store.close()
            try await group.open([name])
            #expect(try group[name].status.log.boundary.index >= manifest.boundary.index)
            for partition in 0..<4 as Range<UInt64> { try await group.expectWhole(partition, events: 30) }
            try await group.closeAll()
        }
    }

    @Test func aRunningNodeLeavesDamageInItsLogBehind() throws {
        let world = VirtualWorld(seed: 45)
        try world.run { seams in
            let group = try await RepairGroup(world, seams) { $0.log.segmentBytes = 256 << 10 }
            try await group.write(150)
            let node = try group[try await group.follower]
            group.damageLog(node.configuration.name, segment: 0, at: 40_000)
            let report = await node.verify()
            #expect(report.problems.count == 1)
            #expect(report.problems.first?.partition == nil)
            #expect(try await group.wait { node.repairs.logDamage == nil })
            #expect(await node.verify().problems.isEmpty)
            try await group.write(40)
            for partition in 0..<4 as Range<UInt64> { try await group.expectWhole(partition, atLeast: 47) }
            try await group.closeAll()
        }
    }

    /// A partition log that is made anew is given again what stands in the log, which is damaged there.
    @Test func entriesThatAPartitionLacksComeFromOthersWhereTheLogIsDamaged() throws {
        let world = VirtualWorld(seed: 49)
        try world.run { seams in
            let group = try await RepairGroup(world, seams) {
                $0.log.segmentBytes = 256 << 10
                $0.log.cacheBytes = 4 << 10
                // Nothing is persisted by age, so all of it is to be given again.
                $0.partitionSyncAgeNanoseconds = 3_600_000_000_000
            }
            try await group.write(150)
            let name = try await group.follower
            let node = try group[name]
            group.damageLog(name, segment: 0, at: 40_000)
            world.disk.inject(.inputOutputError(.sync, pathContains: "\(name)/partitions/01"))
            await node.partitionLogs.persist([1])
            #expect(node.damagedPartitions.map(\.partition) == [1])
            #expect(try await group.wait { node.repairedPartitions == 1 }, "\(node.damagedPartitions)")
            #expect(node.storeFailure == nil)
            for partition in 0..<4 as Range<UInt64> { try await group.expectWhole(partition, atLeast: 37) }
            #expect(try await group.wait { node.repairs.logDamage == nil })
            try await group.closeAll()
        }
    }

    /// They have purged it because their partition logs hold it: from there it comes, and nobody is started again.
    @Test(arguments: [UInt64(51), 52])
    func whatAPartitionLacksComesFromPartitionLogsWhereOthersHavePurgedTheEntries(seed: UInt64) throws {
        let world = VirtualWorld(seed: seed)
        try world.run { seams in
            let group = try await RepairGroup(world, seams) {
                $0.log.segmentBytes = 256 << 10
                $0.log.cacheBytes = 4 << 10
                // Nothing is persisted by age, so all of it is to be given again.
                $0.partitionSyncAgeNanoseconds = 3_600_000_000_000
            }
            try await group.write(150)
            let name = try await group.follower
            let node = try group[name]
            let last = node.status.dispatched
            for other in RepairGroup.names where other != name {
                let index = try await group.purge(other)
                #expect(try group[other].status.log.startIndex > index.previous && index > 140)
            }
            group.damageLog(name, segment: 0, at: 40_000)
            world.disk.inject(.inputOutputError(.sync, pathContains: "\(name)/partitions/01"))
            await node.partitionLogs.persist([1])
            #expect(node.damagedPartitions.map(\.partition) == [1])
            // The others go on meanwhile, and it with them.
            try await group.write(40)
            #expect(try await group.wait { node.repairedPartitions == 1 }, "\(node.damagedPartitions)")
            #expect(node.storeFailure == nil)
            #expect(node.repairStatistics.fetchedBytes > 10_000)
            #expect(node.status.dispatched > last)
            for partition in 0..<4 as Range<UInt64> { try await group.expectWhole(partition, atLeast: 47) }
            #expect(try await group.wait { node.repairs.logDamage == nil })
            // It holds all of it for good.
            try await group.close(name)
            try await group.open([name])
            for partition in 0..<4 as Range<UInt64> { try await group.expectWhole(partition, atLeast: 47) }
            try await group.closeAll()
        }
    }

    @Test func membersThatHoldTheSameAreFoundEqualAndOthersAreNot() throws {
        let world = VirtualWorld(seed: 46)
        try world.run { seams in
            let group = try await RepairGroup(world, seams)
            try await group.write(100)
            for partition in 0..<4 as Range<UInt64> { try await group.expectWhole(partition, events: 25) }
            let (a, b) = (try group["a"], try group["b"])
            let report = await a.verify(against: b.replica)
            #expect(report.failure == nil)
            #expect(report.problems.isEmpty)
            #expect(report.checkedPartitions == 4)
            #expect(report.equalPlaces == 5)
            #expect(report.checkedBytes > 200_000)
            try await group.closeAll()
        }
    }

    /// What a member holds is not known from such an answer: it may hold the very same.
    @Test(arguments: [UInt16(5), 6])
    func anAnswerThatCannotBeReadIsAFailureOfTheComparisonAndNoDifference(kind: UInt16) throws {
        let world = VirtualWorld(seed: 50)
        try world.run { seams in
            let group = try await RepairGroup(world, seams)
            try await group.write(20)
            for partition in 0..<4 as Range<UInt64> { try await group.expectWhole(partition, events: 5) }
            let (a, b) = (try group["a"], try group["b"])
            let source = try #require(b.repairs.source)
            b.peers?.services[.repair] = { caller, body in
                // Version and kind come first: those of one kind are answered with three bytes.
                guard body[2] == kind else { return .success(await source.serve(body, from: caller.replica)) }
                return .success(PieceAnswer.data([1, 2, 3]).encoded())
            }
            let report = await a.verify(against: b.replica)
            let failure = try #require(report.failure)
            #expect(failure.contains("replica \(b.replica) could not be compared at "), "\(failure)")
            #expect(failure.contains("its answer cannot be read: "), "\(failure)")
            #expect(report.problems.isEmpty, "\(report.problems)")
            try await group.closeAll()
        }
    }

    @Test func aMemberThatEndsWhileItMakesAManifestGivesNone() throws {
        let world = VirtualWorld(seed: 47)
        try world.run { seams in
            let group = try await RepairGroup(world, seams)
            try await group.write(40)
            let node = await group.leader
            // What the manifest names does not get onto the disk.
            world.disk.inject(
                DiskFault(
                    .write, pathContains: "\(node.configuration.name)/partitions", times: .max,
                    .fail(.noSpace, errorNumber: 28)))
            try await group.write(8)
            let source = try #require(node.transfers.source)
            var outcome: Result<SnapshotManifest, CatchUpError>?
            seams.scheduler.spawn("offer") {
                do throws(CatchUpError) { outcome = .success(try await source.offer(for: 9)) } catch {
                    outcome = .failure(error)
                }
            }
            await seams.clock.sleep(nanoseconds: 50_000_000)
            #expect(outcome == nil)
            try? await group.close(node.configuration.name)
            #expect(outcome == .failure(.cancelled))
            world.disk.clearFaults()
            try await group.closeAll()
        }
    }

    @Test func aLogOfASingleNodeIsRefusedAsEver() throws {
        let world = VirtualWorld(seed: 43)
        try world.run { seams in
            let configuration = smallNode()
            let node = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            for number in 1...20 { _ = try await node.tally("\(number)", in: 0) }
            try await node.close()
            world.disk.damage { image in
                let path = image.paths.first { $0.hasPrefix("/node/log/") && $0.hasSuffix(".seg") }
                if let path { image.flip(path, at: 9000, mask: 1) }
            }
            await #expect(throws: NodeError.self) {
                _ = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
            }
        }
    }
}
