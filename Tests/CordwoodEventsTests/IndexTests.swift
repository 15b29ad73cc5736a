import CordwoodBase
import Testing

@testable import CordwoodEvents

@Suite("Indexes in memory")
struct IndexTests {
    @Test("the fingerprint table finds what was put in, through every growth and split", arguments: [1, 2] as [UInt64])
    func fingerprintTable(seed: UInt64) {
        var dice = Dice(seed: seed)
        var table = FingerprintTable()
        var fingerprints: [UInt32] = []
        for number in 0..<100_000 as Range<UInt32> {
            let fingerprint = UInt32.random(in: 0...(.max), using: &dice)
            fingerprints.append(fingerprint)
            table.insert(fingerprint, number)
        }
        #expect(table.count == 100_000)
        var missing = 0
        for (number, fingerprint) in fingerprints.enumerated()
        where table.first(fingerprint, where: { $0 == UInt32(number) }) == nil { missing += 1 }
        #expect(missing == 0, "seed \(seed)")
        var seen = 0
        table.forEach { fingerprint, number in seen += fingerprints[Int(number)] == fingerprint ? 1 : 0 }
        #expect(seen == 100_000)
        #expect(table.allocatedBytes < 100_000 * 14)
    }

    @Test("equal fingerprints live together without blowing up the directory")
    func equalFingerprints() {
        var table = FingerprintTable()
        for number in 0..<20_000 as Range<UInt32> { table.insert(0xABCD_0000 | number % 2, number) }
        #expect(table.first(0xABCD_0001) { $0 == 19_999 } == 19_999)
        #expect(table.first(0xABCD_0001) { $0 == 19_998 } == nil)
        #expect(table.allocatedBytes < 20_000 * 16)
    }

    @Test("the versions of streams of all lengths are found by version and by sequence")
    func versionBlocks() {
        var dice = Dice(seed: 11)
        var blocks = VersionBlocks()
        var lists = [VersionList](repeating: VersionList(), count: 40)
        var expected = [[UInt32]](repeating: [], count: 40)
        for sequence in 0..<60_000 as Range<UInt32> {
            // The first stream takes most events, the last ones hardly any.
            let stream = Int.random(in: 0..<Int.random(in: 1...40, using: &dice), using: &dice)
            blocks.append(sequence, to: &lists[stream])
            expected[stream].append(sequence)
        }
        for (list, sequences) in zip(lists, expected) {
            #expect(list.count == UInt32(sequences.count))
            var found: [UInt32] = []
            blocks.forEachSequence(of: list, versions: 0..<list.count) { found.append($0) }
            #expect(found == sequences)
            for _ in 0..<200 where !sequences.isEmpty {
                let bound = UInt32.random(in: 0...60_000, using: &dice)
                #expect(blocks.count(of: list, below: bound) == UInt32(sequences.filter { $0 < bound }.count))
                let low = Int.random(in: 0..<sequences.count, using: &dice)
                let high = Int.random(in: low...min(sequences.count - 1, low + 50), using: &dice)
                var some: [UInt32] = []
                blocks.forEachSequence(of: list, versions: UInt32(low)..<UInt32(high + 1)) { some.append($0) }
                #expect(some == Array(sequences[low...high]))
            }
        }
    }

    @Test("entries of any number of events are found by sequence; a regular log is one run")
    func entryRuns() {
        var dice = Dice(seed: 5)
        var runs = EntryRuns()
        var expected: [EventPlace] = []
        var index: PartitionLogIndex = 1
        for _ in 0..<5000 {
            index += UInt64.random(in: 0..<10, using: &dice) == 0 ? 3 : 1
            let count = UInt64.random(in: 0..<4, using: &dice) == 0 ? Int.random(in: 1...5, using: &dice) : 1
            runs.append(index: index, eventCount: UInt32(count))
            for position in 0..<count {
                expected.append(EventPlace(index: index, position: position, eventCount: count))
            }
        }
        for (sequence, place) in expected.enumerated() where runs.place(of: UInt32(sequence)) != place {
            Issue.record("event \(sequence) is not at \(place)")
        }
        var regular = EntryRuns()
        for index in 1...10_000 as ClosedRange<UInt64> {
            regular.append(index: PartitionLogIndex(index), eventCount: 1)
        }
        #expect(regular.runList().count == 1)
    }

    @Test("a partition with one event takes little memory")
    func smallPartition() throws {
        let bench = Workbench()
        try bench.append(TestEvent(1))
        #expect(bench.store.indexBytes < 1000, "\(bench.store.indexBytes) bytes")
    }

    @Test("indexes take at most 40 bytes an event, with and without client ids", arguments: [false, true])
    func memory(supplied: Bool) throws {
        let bench = Workbench()
        var worst = 0.0
        for number in 0..<60_000 as Range<UInt64> {
            let command = TestEvent.encode([
                TestEvent(number, stream: "stream-\(number &* 7919 % 600)", supplied: supplied)
            ])
            bench.applyWithoutLog(command)
            if number > 20_000 { worst = max(worst, Double(bench.store.indexBytes) / Double(number + 1)) }
        }
        #expect(worst < 40, "\(worst) bytes an event")
    }
}
