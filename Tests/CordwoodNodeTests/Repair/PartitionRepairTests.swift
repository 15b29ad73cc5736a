import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodVirtual
import Testing

@testable import CordwoodNode

@Suite("Damaged partition logs in a group")
struct PartitionRepairTests {
    /// Founds a group with 100 events in each of four partitions, damages what `harm` says of the members that it
    /// names while these are away, and gives the group back to `judge`.
    private static func afterDamage(
        seed: UInt64, _ change: @escaping (inout NodeConfiguration) -> Void = { _ in },
        to away: (RepairGroup) async throws -> [String],
        _ harm: @escaping (RepairGroup, [String]) -> Void,
        judge: @escaping (RepairGroup, [String]) async throws -> Void
    ) throws {
        let world = VirtualWorld(seed: seed)
        try withoutActuallyEscaping(away) { away in
            try world.run { seams in
                let group = try await RepairGroup(world, seams, change)
                try await group.write(400)
                let names = try await away(group)
                for name in names { try await group.close(name) }
                harm(group, names)
                try await group.open(names)
                try await judge(group, names)
                try await group.closeAll()
            }
        }
    }

    private static func expectMended(_ group: RepairGroup, _ names: [String], events: Int = 110) async throws {
        for name in names {
            let node = try group[name]
            #expect(try await group.wait { node.damagedPartitions.isEmpty }, "\(node.damagedPartitions)")
        }
        try await group.write(40)
        for partition in 0..<4 as Range<UInt64> { try await group.expectWhole(partition, events: events) }
    }

    private static func one(_ group: RepairGroup) async throws -> [String] { [try await group.follower] }

    private static func all(_ group: RepairGroup) async throws -> [String] { RepairGroup.names }

    @Test func aFollowerMendsAClosedSegmentFromItsPeers() throws {
        try Self.afterDamage(seed: 21, to: Self.one) { group, names in
            group.damage(names[0], 1, segment: 1, at: 20_000)
        } judge: { group, names in
            let node = try group[names[0]]
            #expect(try await group.wait { node.repairedPartitions == 1 })
            try await Self.expectMended(group, names)
        }
    }

    @Test(
        arguments: [
            (1, 100), (1, 4200), (1, 9000), (2, 3), (2, 5000), (2, 30_000),
        ] as [(UInt64, UInt64)])
    func headersCarriesAndBatchesOfClosedAndNewestSegmentsAreMended(_ segment: UInt64, _ offset: UInt64) throws {
        try Self.afterDamage(seed: 30 + offset, to: Self.one) { group, names in
            group.damage(names[0], 2, segment: segment, at: offset)
        } judge: { group, names in
            try await Self.expectMended(group, names)
        }
    }

    /// Logs that are cut below machine snapshots have no first record to begin with.
    @Test(arguments: [100, 9000, 30_000] as [UInt64])
    func aCompactedLogIsMendedFromBehindASnapshot(_ offset: UInt64) throws {
        try Self.afterDamage(seed: 60 + offset) {
            $0.machines.compactsLogs = true
            $0.machines.snapshotBytes = 24 << 10
            $0.partitionSegmentBytes = 40 << 10
        } to: { group in
            let name = try await group.follower
            let log = try group[name].partitionLogs.store(of: 1)
            #expect(try await group.wait { log.startIndex > 1 })
            return [name]
        } _: { group, names in
            let path = group.files(names[0], 1)[0]
            group.world.disk.damage { $0.flip(path, at: offset, mask: 0x40) }
        } judge: { group, names in
            let node = try group[names[0]]
            #expect(try await group.wait { node.repairedPartitions == 1 })
            #expect(node.partitionLogs.store(of: 1).startIndex > 1)
            try await Self.expectMended(group, names)
        }
    }

    @Test func sectorsThatTheDeviceDoesNotGiveAreMendedLikeDamage() throws {
        try Self.afterDamage(seed: 28, to: Self.one) { group, names in
            group.world.disk.inject(
                DiskFault(
                    .read, pathContains: group.file(names[0], 1, 1), offsets: 20_000..<24_096,
                    .fail(.device, errorNumber: 5)))
        } judge: { group, names in
            let node = try group[names[0]]
            #expect(try await group.wait { node.repairedPartitions == 1 })
            try await Self.expectMended(group, names)
        }
    }

    @Test func aLogThatIsGoneComesBackFromAPeer() throws {
        try Self.afterDamage(seed: 22, to: Self.one) { group, names in
            for segment in [1, 2] as [UInt64] {
                group.world.disk.damage { $0.remove(group.file(names[0], 3, segment)) }
            }
        } judge: { group, names in
            let node = try group[names[0]]
            #expect(try await group.wait { node.repairedPartitions == 1 })
            try await Self.expectMended(group, names)
        }
    }

    @Test func damageAtDifferentPlacesOnAllMembersIsMendedWithoutLoss() throws {
        try Self.afterDamage(seed: 23, to: Self.all) { group, names in
            for (place, name) in names.enumerated() {
                group.damage(name, 1, segment: 1, at: 10_000 + UInt64(place) * 16_000)
                group.damage(name, 2, segment: 2, at: 9000 + UInt64(place) * 9000)
            }
        } judge: { group, names in
            try await Self.expectMended(group, names)
            let statistics = try names.map { try group[$0].repairStatistics }
            #expect(statistics.map(\.repairedPartitions).reduce(0, +) >= 3)
            #expect(statistics.map(\.fetchedBytes).reduce(0, +) > 0)
            #expect(statistics.map(\.salvagedBytes).reduce(0, +) > 0)
            #expect(statistics.allSatisfy { $0.haltedPartitions == 0 && $0.damagedPieces == 0 })
        }
    }

    @Test func aRecordThatIsDamagedOnAllMembersHaltsItsPartitionAndNoOther() throws {
        try Self.afterDamage(seed: 24, to: Self.all) { group, names in
            for name in names {
                group.world.disk.damage { $0.zero(group.file(name, 1, 1), 16_384..<40_960) }
            }
        } judge: { group, names in
            for name in names {
                let node = try group[name]
                #expect(try await group.wait { node.damagedPartitions.first?.state == .halted })
                #expect(node.damagedPartitions.map(\.partition) == [1])
                #expect(node.damagedPartitions[0].reason.contains("no replica holds record"))
                #expect(node.isFrozen(1))
                #expect(node.repairStatistics.haltedPartitions == 1)
                #expect(node.repairStatistics.failedAttempts >= 1)
            }
            let leader = await group.leader
            for number in 1...20 { _ = try await leader.tally("after \(number)", in: 2) }
            try await group.expectWhole(2, events: 120)
            try await group.expectWhole(0, events: 100)
        }
    }

    @Test func damageFoundByReadingIsMendedWhileThePartitionGoesOn() throws {
        let world = VirtualWorld(seed: 25)
        try world.run { seams in
            let group = try await RepairGroup(world, seams) { $0.cacheBytes = 0 }
            try await group.write(400)
            let leader = await group.leader
            let name = leader.configuration.name
            try await leader.partitionLogs.persistAll()
            group.damage(name, 1, segment: 1, at: 20_000)
            #expect(try await leader.partitionLogs.store(of: 1).verify().count == 1)
            #expect(leader.damagedPartitions.map(\.partition) == [1])
            for number in 1...20 { _ = try await leader.tally("beside it \(number)", in: 1) }
            #expect(try await group.wait { leader.repairedPartitions == 1 })
            try await group.expectWhole(1, events: 120)
            try await group.closeAll()
        }
    }

    @Test func aMemberOfWhichNoOtherCanBeAskedWaitsAndIsMendedOnceOneComes() throws {
        let world = VirtualWorld(seed: 26)
        try world.run { seams in
            let group = try await RepairGroup(world, seams)
            try await group.write(400)
            for name in RepairGroup.names { try await group.close(name) }
            group.damage("a", 0, segment: 1, at: 20_000)
            try await group.open(["a"])
            let node = try group["a"]
            #expect(try await group.wait { node.damagedPartitions.first?.attempts == 2 })
            #expect(node.damagedPartitions.first?.state == .waiting)
            try await group.open(["b", "c"])
            try await Self.expectMended(group, ["a"])
            try await group.closeAll()
        }
    }

    @Test(
        arguments: [
            (1, 100), (1, 4200), (2, 3), (2, 5000), (2, 30_000),
        ] as [(UInt64, UInt64)])
    func underThePartitionGateAMemberWaitsForItsLogToBeMended(_ segment: UInt64, _ offset: UInt64) throws {
        try Self.afterDamage(seed: 50 + offset, { $0.log.ackGate = .partition }, to: Self.one) { group, names in
            group.damage(names[0], 1, segment: segment, at: offset)
        } judge: { group, names in
            try await Self.expectMended(group, names)
            let node = try group[names[0]]
            #expect(node.storeFailure == nil)
            // It acknowledges again: of three members it is one of two that are there.
            let third = try RepairGroup.names.first { name in try name != names[0] && !group[name].isLeader }
            if let third { try await group.close(third) }
            try await group.write(8)
        }
    }

    @Test func underThePartitionGateALogThatIsGoneComesBackFromAPeerWhileOthersWrite() throws {
        try Self.afterDamage(seed: 27, { $0.log.ackGate = .partition }, to: Self.one) { group, names in
            for segment in [1, 2] as [UInt64] {
                group.world.disk.damage { $0.remove(group.file(names[0], 3, segment)) }
            }
        } judge: { group, names in
            try await group.write(40)
            try await Self.expectMended(group, names, events: 120)
        }
    }
}
