import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft
import CordwoodVirtual
import Testing

@testable import CordwoodNode

/// A group of three in one world, whose files can be damaged while a member is away.
final class RepairGroup {
    static let names = ["a", "b", "c"]

    let world: VirtualWorld
    let seams: Seams
    private(set) var nodes: [String: Node] = [:]
    private let change: (inout NodeConfiguration) -> Void

    /// Founds the group.
    init(
        _ world: VirtualWorld, _ seams: Seams, _ change: @escaping (inout NodeConfiguration) -> Void = { _ in }
    ) async throws {
        self.world = world
        self.seams = seams
        self.change = change
        try await open(Self.names)
    }

    func configuration(_ name: String) -> NodeConfiguration {
        var configuration = GroupTests.configuration(name, .founding(GroupTests.founders(Self.names)))
        configuration.catchUp.pieceBytes = 16 << 10
        change(&configuration)
        return configuration
    }

    subscript(name: String) -> Node {
        get throws { try #require(nodes[name], "node \(name) is not open") }
    }

    /// Opens members at once, each of which may need the others.
    func open(_ names: [String]) async throws {
        var failure: (any Error)?
        for name in names {
            let configuration = configuration(name)
            seams.scheduler.spawn("open \(name)") { [self] in
                do {
                    nodes[name] = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
                } catch { failure = error }
            }
        }
        let deadline = seams.clock.monotonicNanoseconds + 60_000_000_000
        while names.contains(where: { nodes[$0] == nil }) {
            if let failure { throw failure }
            if seams.clock.monotonicNanoseconds > deadline { throw TallyError.notApplied }
            await seams.clock.sleep(nanoseconds: 10_000_000)
        }
    }

    func close(_ name: String) async throws { try await nodes.removeValue(forKey: name)?.close() }

    func closeAll() async throws {
        for name in Self.names { try await close(name) }
    }

    var leader: Node {
        get async { await GroupTests.leader(of: nodes.values.sorted { $0.replica < $1.replica }, seams) }
    }

    /// A member that does not lead.
    var follower: String {
        get async throws {
            _ = await leader
            return try #require(Self.names.first { nodes[$0]?.isLeader == false })
        }
    }

    /// Whoever leads now, a member that can still write.
    private var writer: Node {
        get async {
            while true {
                if let leader = nodes.values.first(where: { $0.isLeader && $0.storeFailure == nil }) { return leader }
                await seams.clock.sleep(nanoseconds: 10_000_000)
            }
        }
    }

    /// Writes events of a kilobyte to partitions 0 to 3 in turn.
    func write(_ count: Int) async throws {
        for number in 1...count {
            let node = await writer
            _ = try await node.tally(
                "\(number) " + String(repeating: "x", count: 1000), in: PartitionID(UInt64(number % 4)))
        }
    }

    /// Has a member purge what its partitions hold of its log. Gives the last index that is gone.
    func purge(_ name: String) async throws -> RaftIndex {
        let node = try self[name]
        try await node.partitionLogs.persistAll()
        try await node.writeCheckpoint()
        let last = min(node.dispatcher.floor.previous, node.maintenance.checkpointCovers)
        node.step(.compacted(through: last))
        try await node.store.compact(through: last, boundary: nil)
        return last
    }

    func file(_ name: String, _ partition: UInt64, _ segment: UInt64) -> String {
        "\(name)/partitions/0\(partition)/"
            + PartitionFileName(partition: PartitionID(partition), segment: SegmentID(segment)).description
    }

    /// The segments of a member's log of a partition, oldest first.
    func files(_ name: String, _ partition: UInt64) -> [String] {
        var paths: [String] = []
        world.disk.damage { image in paths = image.paths.filter { $0.hasPrefix("/\(name)/partitions/0\(partition)/") } }
        return paths
    }

    func damage(_ name: String, _ partition: UInt64, segment: UInt64, at offset: UInt64) {
        world.disk.damage { $0.flip(file(name, partition, segment), at: offset, mask: 0x40) }
    }

    /// The segments of a member's log, oldest first. Their names begin with their numbers.
    func logFiles(_ name: String) -> [String] {
        var paths: [String] = []
        world.disk.damage { image in
            paths = image.paths.filter { $0.hasPrefix("/\(name)/log/") && $0.hasSuffix(".seg") }
        }
        return paths
    }

    func damageLog(_ name: String, segment: Int, at offset: UInt64) {
        let files = logFiles(name)
        let path = files[segment >= 0 ? min(segment, files.count - 1) : max(0, files.count + segment)]
        world.disk.damage { $0.flip(path, at: offset, mask: 0x11) }
    }

    func wait(_ seconds: UInt64 = 30, until isDone: () async throws -> Bool) async throws -> Bool {
        let deadline = seams.clock.monotonicNanoseconds + seconds * 1_000_000_000
        while try await !isDone() {
            if seams.clock.monotonicNanoseconds > deadline { return false }
            await seams.clock.sleep(nanoseconds: 20_000_000)
        }
        return true
    }

    /// The last record that each node has on disk of a partition, with the chain there, once all nodes have persisted
    /// everything.
    func lines(_ partition: UInt64) async throws -> [SystemCheckpoint.Line?] {
        var lines: [SystemCheckpoint.Line?] = []
        for name in Self.names {
            guard let node = nodes[name] else { continue }
            try await node.partitionLogs.persistAll()
            lines.append(node.partitionLogs.store(of: PartitionID(partition)).persistedLine)
        }
        return lines
    }

    /// Everything that the members hold of a partition is equal, sound, and applied.
    func expectWhole(_ partition: UInt64, events: Int) async throws {
        try await expectWhole(partition, events...events)
    }

    func expectWhole(_ partition: UInt64, atLeast events: Int) async throws {
        try await expectWhole(partition, events...(events + 2))
    }

    private func expectWhole(_ partition: UInt64, _ events: ClosedRange<Int>) async throws {
        let index = try await leader.readIndex()
        let expected = await leader.tallied(PartitionID(partition)).count
        #expect(events.contains(expected), "\(expected) events of \(events)")
        for name in Self.names {
            let node = try self[name]
            #expect(
                try await wait {
                    node.status.dispatched >= index && node.watermark(of: PartitionID(partition)) == expected
                },
                "\(name) shows \(node.watermark(of: PartitionID(partition))) of \(expected) events")
            #expect(await node.tallied(PartitionID(partition)).count == expected, "\(name)")
            let log = node.partitionLogs.store(of: PartitionID(partition))
            #expect(try await log.verify() == [], "\(name)")
        }
        let lines = try await lines(partition)
        #expect(lines.allSatisfy { $0 != nil && $0 == lines[0] }, "\(lines)")
    }
}
