import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodNode
import CordwoodVirtual
import Testing

/// What a node writes while nobody asks anything of it.
@Suite("A node at rest")
struct RestingTests {
    /// Remembers what was reported of the partitions' recovery.
    private final class Reports: LogSink {
        let level = LogLevel.info
        private(set) var recovered: [String: String] = [:]

        func write(_ event: LogEvent) {
            guard event.message == "partitions recovered" else { return }
            for field in event.fields { recovered[field.name] = field.value }
        }
    }

    private let configuration = smallNode {
        $0.partitionCount = 1024
        $0.log.segmentBytes = 4 << 20
    }

    @Test func writesDownWhatIsPersistedOnceAndThenNothing() throws {
        try VirtualWorld(seed: 1).run { seams in
            let node = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            for partition in 0..<512 as Range<UInt64> { _ = try await node.tally("event", in: PartitionID(partition)) }
            let before = node.durability.requestedBytes
            await seams.clock.sleep(nanoseconds: 10_000_000_000)
            let rested = node.durability.requestedBytes
            #expect(rested > before)
            #expect(rested - before < 64 << 10)
            await seams.clock.sleep(nanoseconds: 600_000_000_000)
            #expect(node.durability.requestedBytes == rested)
            // A few entries more are not worth it.
            for _ in 0..<5 { _ = try await node.tally("event", in: 3) }
            await seams.clock.sleep(nanoseconds: 10_000_000_000)
            #expect(node.durability.requestedBytes < rested + (40 << 10))
            try await node.close()
        }
    }

    @Test func startsAfterAKillWithoutOpeningWhatWasPersisted() throws {
        let world = VirtualWorld(seed: 2)
        try world.run { seams in
            let node = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            for partition in 0..<512 as Range<UInt64> { _ = try await node.tally("event", in: PartitionID(partition)) }
            await seams.clock.sleep(nanoseconds: 10_000_000_000)
            for partition in 0..<7 as Range<UInt64> { _ = try await node.tally("later", in: PartitionID(partition)) }
        }
        try VirtualWorld(seed: 3, disk: world.crash()).run { seams in
            let reports = Reports()
            let node = try await Node.open(configuration, machine: TallyMachine.make, log: reports, seams: seams)
            #expect(reports.recovered["known"] == "512")
            #expect(reports.recovered["forwarded"].flatMap { Int($0) } ?? 512 <= 7)
            #expect(reports.recovered["opened"].flatMap { Int($0) } ?? 512 <= 7)
            let (first, last) = (await node.tallied(6), await node.tallied(500))
            #expect(first == ["event", "later"])
            #expect(last == ["event"])
            try await node.close()
        }
    }
}
