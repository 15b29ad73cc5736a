import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodNode
import CordwoodRaft
import CordwoodVirtual
import Testing

/// A node that acknowledges before it syncs: what it may lose, and what it must not.
@Suite("A node without syncs")
struct RelaxedDurabilityTests {
    private static let syncAgeNanoseconds: UInt64 = 200_000_000

    private static let configuration = smallNode {
        $0.log.syncsBatches = false
        $0.partitionSyncAgeNanoseconds = syncAgeNanoseconds
    }

    private final class Warnings: LogSink {
        let level = LogLevel.warn
        private(set) var texts: [String] = []

        func write(_ event: LogEvent) { if event.level == .warn { texts.append(event.message) } }
    }

    /// What a client was answered, by partition, and when.
    private final class Answers {
        var events: [[String]] = Array(repeating: [], count: 3)
        var times: [[UInt64]] = Array(repeating: [], count: 3)
    }

    @Test(
        "a power cut takes the newest acknowledged events alone: none older than two sync ages", arguments: 0..<12)
    func losesTheNewestAlone(seed: UInt64) throws {
        var image = DiskImage()
        let answers = Answers()
        for life in 0..<3 as Range<UInt64> {
            let world = VirtualWorld(seed: 1000 + 10 * seed + life, disk: image)
            let random = world.random("work")
            var kept: Node?
            var now: UInt64 = 0
            try world.run { seams in
                let node = try await Node.open(Self.configuration, machine: TallyMachine.make, seams: seams)
                kept = node
                await node.lead(seams)
                for partition in 0..<3 { answers.times[partition] = answers.times[partition].map { _ in 0 } }
                for number in 0..<Int(random.next(in: 20...400)) {
                    let partition = Int(random.next(below: 3))
                    let event = "\(life).\(number) " + String(repeating: "x", count: Int(random.next(below: 900)))
                    _ = try await node.tally(event, in: PartitionID(UInt64(partition)))
                    answers.events[partition].append(event)
                    answers.times[partition].append(seams.clock.monotonicNanoseconds)
                    if random.chance(1, in: 8) {
                        await seams.clock.sleep(nanoseconds: random.next(in: 1_000_000...100_000_000))
                    }
                }
                now = seams.clock.monotonicNanoseconds
            }
            withExtendedLifetime(kept) {}
            image = world.crash()
            // A strict node opens the directory as well as a relaxed one.
            let reborn = VirtualWorld(seed: seed, disk: image)
            try reborn.run { seams in
                let node = try await Node.open(smallNode(), machine: TallyMachine.make, seams: seams)
                await node.lead(seams)
                for partition in 0..<3 {
                    let found = await node.tallied(PartitionID(UInt64(partition)))
                    #expect(found == Array(answers.events[partition].prefix(found.count)))
                    let old = answers.times[partition].filter { $0 + 2 * Self.syncAgeNanoseconds < now }
                    #expect(found.count >= old.count, "life \(life), partition \(partition)")
                    answers.events[partition] = found
                    answers.times[partition] = Array(answers.times[partition].prefix(found.count))
                }
                try await node.close()
            }
            image = reborn.disk.image.flushed()
        }
    }

    @Test("a killed process takes nothing with it")
    func losesNothingByAKill() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let node = try await Node.open(Self.configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            for number in 1...300 { _ = try await node.tally("event \(number)", in: 1) }
        }
        try VirtualWorld(seed: 2, disk: world.disk.image.flushed()).run { seams in
            let node = try await Node.open(Self.configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            #expect(await node.tallied(1) == (1...300).map { "event \($0)" })
            try await node.close()
        }
    }

    @Test("it says so when it starts, and shows as durable what a sync covers")
    func saysSo() throws {
        try VirtualWorld(seed: 1).run { seams in
            let warnings = Warnings()
            let node = try await Node.open(
                Self.configuration, machine: TallyMachine.make, log: warnings, seams: seams)
            await node.lead(seams)
            #expect(
                warnings.texts == ["durability is relaxed: a power cut may take what was acknowledged last"])
            _ = try await node.tally("event", in: 1)
            #expect(node.durableIndex < node.status.commit)
            try await node.flush()
            #expect(node.durableIndex == node.status.commit)
            try await node.close()
        }
    }

    @Test("its logs go on through segments, are persisted and let go, as those of any node")
    func letsSegmentsGo() throws {
        let world = VirtualWorld(seed: 4)
        try world.run { seams in
            let node = try await Node.open(Self.configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            for number in 0..<600 {
                _ = try await node.tally(
                    String(repeating: "x", count: 1000) + "\(number)", in: PartitionID(UInt64(number % 4)))
            }
            await seams.clock.sleep(nanoseconds: 3_000_000_000)
            #expect(node.status.log.startIndex > 1)
            #expect(node.segments.count < 6)
        }
        try VirtualWorld(seed: 5, disk: world.crash()).run { seams in
            let node = try await Node.open(Self.configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            var found = 0
            for partition in 0..<4 { found += await node.tallied(PartitionID(UInt64(partition))).count }
            #expect(found == 600)
            try await node.close()
        }
    }

    @Test("a sync that fails stops the writes, keeps partition files behind the log, and reads go on")
    func survivesAFailedSync() throws {
        let world = VirtualWorld(seed: 6)
        try world.run { seams in
            let node = try await Node.open(Self.configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            for number in 1...10 { _ = try await node.tally("event \(number)", in: 1) }
            world.disk.inject(.inputOutputError(.sync, pathContains: ".seg"))
            await seams.clock.sleep(nanoseconds: 5 * Self.syncAgeNanoseconds)
            await #expect(throws: ProposalRejection.self) { try await node.tally("more", in: 1) }
            #expect(await node.tallied(1).count == 10)
            #expect(node.partitionLogStatistics.writtenBatches == 0)
            #expect(node.partitionLogStatistics.bufferedBytes > 0)
            world.disk.clearFaults()
            await #expect(throws: LogError.self) { try await node.close() }
        }
        try VirtualWorld(seed: 7, disk: world.crash()).run { seams in
            let node = try await Node.open(Self.configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            let found = await node.tallied(1)
            #expect(found == (1...10).prefix(found.count).map { "event \($0)" })
            try await node.close()
        }
    }

    @Test("an acknowledgement that promises durability is refused")
    func refusesDurableAcknowledgements() throws {
        try VirtualWorld(seed: 1).run { seams in
            let node = try await Node.open(Self.configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            let silent = SilentObserver()
            #expect(throws: ProposalRejection.unsyncedDurability) {
                try node.propose(Array("event".utf8), to: 1, acknowledgement: .durable, tag: 1, observer: silent)
            }
            try node.propose(Array("event".utf8), to: 1, acknowledgement: .buffered, tag: 2, observer: silent)
            try await node.close()
            #expect(silent.ended == [2])
        }
    }

    private final class SilentObserver: ProposalObserver {
        private(set) var ended: [UInt64] = []

        func proposalEnded(tag: UInt64, outcome: ProposalOutcome) { ended.append(tag) }
    }

    @Test("nobody may count on it: peers, another gate and the directory of a group are refused, members are not added")
    func staysAlone() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            func refusal(_ change: (inout NodeConfiguration) -> Void) async -> String {
                var configuration = Self.configuration
                change(&configuration)
                do {
                    try await Node.open(configuration, machine: TallyMachine.make, seams: seams).close()
                    return "opened"
                } catch { return "\(error)" }
            }
            #expect(await refusal { $0.peerAddress = SocketAddress(host: "a", port: 7001) }.contains("durability.sync"))
            #expect(await refusal { $0.log.ackGate = .partition }.contains("durability.sync"))
            #expect(
                await refusal { $0.group = .joining([SocketAddress(host: "b", port: 7001)]) }
                    .contains("durability.sync"))
            for node in try await GroupTests.found(["a", "b", "c"], seams) { try await node.close() }
            #expect(
                await refusal {
                    $0.directory = "a"
                    $0.name = "a"
                }.contains("belongs to a group of 3 members"))

            let node = try await Node.open(Self.configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            await #expect(throws: MemberOperationError.self) {
                try await node.operate(.add(name: "d", address: "d:7001", node: .none))
            }
            #expect(node.status.membership.members.count == 1)
            try await node.close()
        }
    }
}
