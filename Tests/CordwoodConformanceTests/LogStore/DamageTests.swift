import CordwoodConformance
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

/// Single damages of a small store's files: each is seen, and each is named.
@Suite("With one damage in its files, the segmented log store")
struct DamageTests {
    private static let subject = Result {
        try DamageSweep(opening: SegmentedLogStoreFactory.openSmall).prepare(DamageSweep.script.body)
    }

    private func sweep(_ damagings: (DiskImage) -> [DamageSweep.Damaging]) throws {
        let subject = try DamageTests.subject.get()
        let report = try DamageSweep(opening: SegmentedLogStoreFactory.openSmall).run(subject, damagings(subject.image))
        print(report)
        #expect(report.outcomes[.identical, default: 0] > 0, "damage to spare files and empty space does no harm")
        #expect(report.outcomes[.refused(.missing), default: 0] > 0)
        #expect(report.outcomes[.droppedUnacknowledged] == nil, "after a clean close everything is promised")
    }

    @Test("never shows a flipped byte")
    func flips() throws { try sweep { DamageSweep.flips(of: $0, every: 101, phase: 7) } }

    @Test("never shows a zeroed sector", arguments: [512, 4096])
    func zeroes(sectorBytes: Int) throws {
        try sweep { DamageSweep.zeroedSectors(of: $0, sectorBytes: sectorBytes) }
    }

    @Test("never shows a cut file")
    func truncations() throws { try sweep { DamageSweep.truncations(of: $0, every: 1021) } }

    @Test("never shows that a file is gone")
    func removals() throws { try sweep(DamageSweep.removals) }

    @Test("serves what is intact, read only, where it is told to")
    func servesTheIntactPart() throws {
        let sweep = DamageSweep(
            opening: { seams in
                var options = SegmentedLogStoreFactory.smallSegments
                options.opensDamagedReadOnly = true
                return try await SegmentedLogStore.open(
                    directory: "/log", identity: SegmentedLogStoreFactory.identity, options: options, seams: seams)
            },
            damageFound: { ($0 as? SegmentedLogStore)?.recovery.damage })
        let subject = try DamageTests.subject.get()
        let report = try sweep.run(subject, DamageSweep.zeroedSectors(of: subject.image, sectorBytes: 4096))
        #expect(report.outcomes[.refused(.corrupt), default: 0] > 0)
    }
}
