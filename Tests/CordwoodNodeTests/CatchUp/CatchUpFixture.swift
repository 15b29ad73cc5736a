import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft
import CordwoodVirtual

@testable import CordwoodNode

/// A snapshot with every piece that can be asked for, taken out of a source that is gone: worlds can be opened on it
/// again and again.
struct CatchUpFixture {
    var manifest: SnapshotManifest
    /// The entries up to the manifest's index.
    var entries: [Entry]
    /// What the machines hold there.
    var tallied: [[String]]
    /// The answer to a request for records, by partition and first index; each holds a single piece.
    private var runs: [PartitionID: [PieceAnswer]] = [:]
    private var snapshots: [PartitionID: [UInt8]] = [:]

    static let pieceBytes = 1 << 10

    /// - Parameter snapshotsAt: takes machine snapshots after so many events.
    static func make(events: Int = 24, bytes: Int = 300, snapshotsAt: Int? = nil) throws -> CatchUpFixture {
        let world = VirtualWorld(seed: 77)
        return try world.run { seams in
            // All of it stays in one segment, so that its entries can be told.
            let source = try await CatchUpSource.open(seams, events: snapshotsAt ?? events, bytes: bytes) {
                $0.log.segmentBytes = 1 << 20
            }
            if let snapshotsAt {
                for partition in CatchUpSource.partitions {
                    _ = await source.node.machines.snapshot(PartitionID(partition))
                }
                try await CatchUpSource.write(events - snapshotsAt, bytes, to: source.node)
            }
            let manifest = try await source.source.offer(for: 2)
            source.manifest = manifest
            var fixture = CatchUpFixture(
                manifest: manifest,
                entries: try await source.node.store.entries(in: 1..<manifest.boundary.index.next, maxBytes: nil),
                tallied: await source.talliedInManifest())
            for entry in manifest.partitions {
                var answers: [PieceAnswer] = []
                for index in 1...entry.line.persisted.rawValue {
                    let request = PieceRequest.log(
                        entry.partition, from: PartitionLogIndex(index), through: entry.line.persisted,
                        maxBytes: pieceBytes)
                    answers.append(try PieceAnswer(decoding: await source.source.serve(request.encoded(), from: 2)))
                }
                fixture.runs[entry.partition] = answers
                if let snapshot = entry.snapshot {
                    fixture.snapshots[entry.partition] = try await source.node.machines.snapshots.bytes(
                        of: entry.partition, snapshot.index, at: 0, count: Int(snapshot.byteCount))
                }
            }
            return fixture
        }
    }

    private init(manifest: SnapshotManifest, entries: [Entry], tallied: [[String]]) {
        self.manifest = manifest
        self.entries = entries
        self.tallied = tallied
    }

    func answer(_ body: [UInt8]) throws -> PieceAnswer {
        switch try PieceRequest(decoding: body) {
        case .log(let partition, let from, _, _): return runs[partition]?[Int(from.rawValue) - 1] ?? .gone
        case .snapshot(let partition, _, let offset, let maxBytes):
            guard let bytes = snapshots[partition] else { return .gone }
            return .data(Array(bytes[Int(offset)..<min(bytes.count, Int(offset) + maxBytes)]))
        case .failed: return .noted
        }
    }

    func call(_ peer: ReplicaID, _ body: [UInt8]) async throws -> [UInt8] { try answer(body).encoded() }
}

/// What can be seen of a replica that catches up.
struct CatchUpReading: Hashable {
    var boundary: LogBoundary
    var lines: [SystemCheckpoint.Line]
    var tallied: [[String]]
    var watermarks: [UInt64]

    init(_ stack: CatchUpStack) async throws {
        boundary = stack.store.state.boundary
        tallied = []
        watermarks = []
        for partition in CatchUpSource.partitions {
            tallied.append(await stack.tallied(PartitionID(partition)))
            watermarks.append(stack.machines.dispatcher.watermark(of: PartitionID(partition)))
        }
        try await stack.machines.logs.persistAll()
        lines = stack.machines.logs.lines
    }

    /// What a replica shows that holds a prefix of the fixture's entries, or all that its manifest names.
    static func expected(_ fixture: CatchUpFixture, prefix: Int?) -> CatchUpReading {
        var reading = CatchUpReading(
            boundary: prefix == nil ? fixture.manifest.boundary : .zero,
            lines: prefix == nil ? fixture.manifest.lines : [])
        for partition in CatchUpSource.partitions.map({ PartitionID($0) }) {
            var texts = fixture.tallied[Int(partition.rawValue)]
            if let prefix {
                texts = Array(
                    texts.prefix(
                        fixture.entries.prefix(prefix).filter { $0.slices.contains { $0.partition == partition } }.count
                    ))
            }
            reading.tallied.append(texts)
            reading.watermarks.append(UInt64(texts.count))
        }
        return reading
    }

    private init(boundary: LogBoundary, lines: [SystemCheckpoint.Line]) {
        self.boundary = boundary
        self.lines = lines
        tallied = []
        watermarks = []
    }

    /// The same but for the persisted lines, which an old state may or may not have.
    func isLike(_ other: CatchUpReading) -> Bool {
        boundary == other.boundary && tallied == other.tallied && watermarks == other.watermarks
    }
}
