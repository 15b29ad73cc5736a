import CordwoodBase
import CordwoodEvents
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual

@testable import cordwood_inspect

/// A small data directory as a node writes it: the segmented log, partition logs behind it, a system checkpoint.
enum InspectedWorld {
    static let identity = StoreIdentity(
        cluster: UniqueID(high: 1, low: 2), node: UniqueID(high: 3, low: 4), replica: 5)

    struct Shape {
        var entries: UInt64 = 300
        var partitions: UInt64 = 3
        /// Entries up to this one are in the partition logs, synced.
        var persisted: UInt64 = 200
        var committed: UInt64 = 260
        var hasCheckpoint = true
        var closes = true
        var partitionSegmentBytes: UInt64 = 64 << 20
        /// How long the writer rests after every tenth entry.
        var pauseNanoseconds: UInt64 = 0
        /// The partition logs are written and synced whenever so many entries have been taken.
        var persistsEvery: UInt64 = 1000
        /// The partition logs are closed and opened again whenever so many entries have been taken.
        var reopensEvery: UInt64 = 1000
    }

    /// Makes the directory and gives the disk that holds it.
    static func make(_ shape: Shape = Shape(), seed: UInt64 = 1) throws -> DiskImage {
        let world = VirtualWorld(seed: seed)
        try world.run { try await write(shape, $0) }
        return world.disk.image.flushed()
    }

    static func write(_ shape: Shape, _ seams: Seams) async throws {
        var options = LogStoreOptions()
        options.segmentBytes = 64 << 10
        options.maximumEntryBytes = 16 << 10
        options.batchBytes = 16 << 10
        try await seams.files.makeDirectory("/data")
        let log = try await SegmentedLogStore.open(
            directory: "/data/log", identity: identity, options: options, seams: seams)
        try await fill(log, shape, seams)
        if shape.closes { try await log.close() }
    }

    private static func makePool(_ shape: Shape, _ seams: Seams) -> PartitionLogPool {
        PartitionLogPool(
            configuration: .init(
                directory: "/data/partitions",
                identity: LogIdentity(
                    cluster: identity.cluster, node: identity.node, replica: identity.replica,
                    store: UniqueID(high: 5, low: 6), log: UniqueID(high: 7, low: 8)),
                segmentBytes: shape.partitionSegmentBytes),
            seams: seams, partitionCount: Int(shape.partitions))
    }

    private static func fill(_ log: SegmentedLogStore, _ shape: Shape, _ seams: Seams) async throws {
        var pool = makePool(shape, seams)
        var last: [PartitionID: RaftIndex] = [:]
        var next: [PartitionID: PartitionLogIndex] = [:]
        for number in 1...shape.entries {
            let index = RaftIndex(number)
            let partition = PartitionID(number % shape.partitions)
            let entry = entry(
                index, partition, next[partition, default: 1], previous: last[partition] ?? 0,
                payload: command(number))
            next[partition] = next[partition, default: 1].next
            last[partition] = index
            let ticket = try log.append([entry])
            if number % 7 == 0 || number == shape.entries { log.endBatch() }
            if number % 70 == 0 { try await log.waitUntilDurable(ticket) }
            if number % 10 == 0, shape.pauseNanoseconds > 0 {
                log.endBatch()
                await seams.clock.sleep(nanoseconds: shape.pauseNanoseconds)
            }
            if number <= shape.persisted { take(entry, pool) }
            if number <= shape.persisted, number % shape.persistsEvery == 0 { try await pool.persistAll() }
            if number < shape.persisted, number % shape.reopensEvery == 0 {
                try await pool.close()
                pool = makePool(shape, seams)
            }
            if number == shape.persisted {
                try await log.flush()
                try await pool.persistAll()
                if shape.hasCheckpoint { try await log.writeSystemCheckpoint(checkpoint(pool, shape)) }
            }
            if number == shape.committed { log.updateCommit(index) }
        }
        try await log.flush()
        try await pool.close()
    }

    private static func take(_ entry: Entry, _ pool: PartitionLogPool) {
        for slice in entry.slices {
            pool.store(of: slice.partition).append(
                PartitionLogRecord(
                    position: PartitionRecordPosition(
                        partitionIndex: slice.partitionIndex, raftIndex: entry.index, term: entry.term,
                        timestampMicroseconds: entry.timestampMicroseconds, type: entry.type),
                    payload: entry.payload[...]))
        }
    }

    private static func checkpoint(_ pool: PartitionLogPool, _ shape: Shape) -> SystemCheckpoint {
        SystemCheckpoint(
            partitions: (0..<shape.partitions).compactMap { pool.store(of: PartitionID($0)).persistedLine })
    }

    private static func entry(
        _ index: RaftIndex, _ partition: PartitionID, _ partitionIndex: PartitionLogIndex, previous: RaftIndex,
        payload: [UInt8]
    ) -> Entry {
        Entry(
            index: index, term: Term(1 + index.rawValue / 200), type: .application,
            timestampMicroseconds: 1_700_000_000_000_000 + Int64(index.rawValue),
            slices: .one(
                EntrySlice(
                    partition: partition, partitionIndex: partitionIndex, previousRaftIndex: previous, offset: 0,
                    length: UInt32(payload.count))),
            payload: payload)
    }

    /// An append of one event, every tenth of which is refused when it is applied.
    private static func command(_ number: UInt64) -> [UInt8] {
        let key = PartitionKey(defaultFor: "orders")
        return Array("orders".utf8).withUnsafeBytes { stream in
            [UInt8](repeating: 7, count: 400).withUnsafeBytes { payload in
                AppendCommand.encode(
                    key: key,
                    event: EventDraft(
                        streamID: stream, name: stream,
                        id: EventID(milliseconds: number, partitionHash: key.hash, random: number),
                        idIsSupplied: false, expectedVersion: number % 10 == 0 ? .exactly(1 << 40) : .any,
                        payload: payload))
            }
        }
    }
}

/// What one run of the inspector said.
struct Inspection {
    var code: ExitCode
    var rows: [String]
    var notes: [String]
    var damage: [Damage]

    /// Rows of a kind, as JSON.
    func rows(_ kind: String) -> [String] { rows.filter { $0.hasPrefix("{\"kind\":\"\(kind)\"") } }

    static func run(
        _ command: Inspector.Command, on image: DiskImage, directory: String = "/data",
        filter: DumpFilter = DumpFilter(), isJSON: Bool = true
    ) throws -> Inspection {
        let world = VirtualWorld(seed: 1, disk: image)
        let before = Dictionary(uniqueKeysWithValues: image.paths.map { ($0, image.contents($0)) })
        let inspection = try world.run { seams in
            var rows: [String] = []
            var notes: [String] = []
            let inspector = Inspector(
                directory: directory, files: seams.files,
                output: Output(isJSON: isJSON, write: { rows.append($0) }, note: { notes.append($0) }))
            let code = await inspector.run(command, filter: filter)
            return Inspection(code: code, rows: rows, notes: notes, damage: inspector.damage)
        }
        let after = world.disk.image
        precondition(after.paths.allSatisfy { after.contents($0) == before[$0] } && after.paths.count == before.count)
        return inspection
    }
}
