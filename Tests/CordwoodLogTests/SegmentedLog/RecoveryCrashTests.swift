import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

/// Power that fails again while a recovery is under way: the next recovery finds what the first one found.
@Suite struct RecoveryCrashTests {
    /// A log of three batches of one entry each, as a kill leaves it: the last one is not promised.
    private func killed() throws -> (image: DiskImage, path: String, lastOffset: UInt64) {
        let world = VirtualWorld(seed: 1)
        let offset = try world.run { seams in
            let store = try await LogWorld.open(seams)
            for index in 1...3 as ClosedRange<UInt64> { try await store.write(LogWorld.entries(index...index)) }
            return store.segments[0].endOffset - 4096
        }
        let image = world.disk.image.flushed()
        let path = try #require(image.paths.first { $0.hasSuffix(".seg") })
        return (image, path, offset)
    }

    private func recover(_ image: DiskImage, _ moments: ((DiskImage) -> Void)? = nil) throws -> [Entry] {
        let world = VirtualWorld(seed: 2, disk: image)
        world.disk.onCrashPoint = moments.map { note in { note($0.image) } }
        let entries = try world.run { seams in try await LogWorld.open(seams).all() }
        world.disk.onCrashPoint = nil
        return entries
    }

    /// Recovers, and recovers again from every state in which the first recovery may have been cut off.
    private func expectSameResult(_ image: DiskImage) throws -> [Entry] {
        var moments: [DiskImage] = []
        let found = try recover(image) { moments.append($0) }
        var revision: UInt64 = 0
        var states = 0
        for (number, moment) in moments.enumerated() where moment.revision != revision {
            revision = moment.revision
            for state in moment.crashStates(limit: 40, exhaustiveUnits: 8, sectorBytes: 512, seed: UInt64(number)) {
                states += 1
                let again = try recover(state)
                #expect(again == found, "moment \(number), state \(states)")
            }
        }
        #expect(states > 200)
        return found
    }

    @Test func aBatchThatLacksNothingButZerosStaysTorn() throws {
        let (image, path, offset) = try killed()
        for sector in 1..<8 as Range<UInt64> {
            var torn = image
            torn.flip(path, at: offset + sector * 512 + 100, mask: 0xff)
            let found = try expectSameResult(torn)
            #expect(found.map(\.index) == [1, 2], "sector \(sector)")
        }
    }

    @Test func whatIsWrittenAgainIsNeverLostToGarbageInThatWrite() throws {
        // The last batch was acknowledged, and nothing says so.
        let (image, _, _) = try killed()
        let found = try expectSameResult(image)
        #expect(found.map(\.index) == [1, 2, 3])
    }

    @Test func whatAnOpeningThatFailedLeftOnItsWayIsNotLostInTheNextOne() throws {
        // Its copy was durable, its write to the segment was not: the bytes are there to be read, and not on the disk.
        let (image, _, _) = try killed()
        let world = VirtualWorld(seed: 3, disk: image)
        world.disk.inject(.inputOutputError(.write, pathContains: ".seg", skip: 1))
        try world.run { seams in
            await #expect(throws: LogError.self) { _ = try await LogWorld.open(seams) }
        }
        #expect(world.disk.faultsShown == 1)
        let found = try expectSameResult(world.disk.image)
        #expect(found.map(\.index) == [1, 2, 3])
    }
}
