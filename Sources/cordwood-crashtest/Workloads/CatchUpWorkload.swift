import CordwoodBase
import CordwoodConformance
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodNode
import CordwoodRaft
import CordwoodVirtual

/// What a replica shows that catches up.
private struct Reading: Hashable, Sendable, CustomStringConvertible {
    var boundary: RaftIndex
    var states: [[UInt8]]

    var description: String { "boundary \(boundary), states of \(states.map(\.count)) bytes" }
}

/// A replica that is behind fetches what a manifest names, piece by piece, and installs it. Whoever opens its directory
/// after a power cut finds the old state or the new one, and can go on to the new one from either.
extension CrashWorkload {
    static let catchUp = catchUp("catch up from nothing", behind: 0, withSnapshots: false)
    static let catchUpWithSnapshots = catchUp("catch up from a prefix, with snapshots", behind: 7, withSnapshots: true)

    private static func catchUp(_ name: String, behind prefix: Int, withSnapshots: Bool) -> CrashWorkload {
        CrashWorkload(name) {
            let source = try CatchUpPieces(withSnapshots: withSnapshots)
            let world = VirtualWorld(seed: 12)
            let start = try world.run { seams in
                let replica = try await MachineReplica.open(TallyMachine.subject, seams)
                try await replica.take(prefix)
                try await replica.machines.logs.persistAll()
                let reading = try await Reading(replica)
                try await replica.close()
                return reading
            }
            var subject = CrashSubject(
                on: world.disk.image.flushed(), from: start,
                run: { seams, ledger in
                    let replica = try await source.open(seams)
                    let step = ledger.begin(source.reading)
                    try await source.bringUp(replica, seams)
                    ledger.acknowledge(step)
                },
                read: { seams in
                    let replica = try await source.open(seams)
                    let found = try await Reading(replica)
                    if found.boundary < source.manifest.boundary.index { try await source.bringUp(replica, seams) }
                    let end = try await Reading(replica)
                    guard end == source.reading else {
                        throw ConformanceFailure("brought up from \(found) to \(end), expected \(source.reading)")
                    }
                    return found
                })
            subject.mayMoveOn = { _, second in second == source.reading }
            return subject
        }
    }
}

extension Reading {
    fileprivate init(_ replica: MachineReplica) async throws {
        boundary = replica.store.state.boundary.index
        states = try await replica.states().map { state in
            guard let state else { throw ConformanceFailure("a partition stands still: \(replica.frozenReasons)") }
            return state
        }
    }
}

extension MachineReplica {
    /// Takes so many commands.
    fileprivate func take(_ count: Int) async throws {
        for number in 0..<count {
            let partition = PartitionID(UInt64(number % MachineReplica.partitionCount))
            _ = try begin(TallyMachine.subject.command(number, partition), in: partition)
        }
        try await settle()
    }
}

/// A manifest with every piece that can be asked for, taken out of a source that is gone: worlds can be opened on it
/// again and again.
private struct CatchUpPieces: Sendable {
    private static let pieceBytes = 2 << 10
    private static let commandCount = 18

    let manifest: SnapshotManifest
    let reading: Reading
    /// Answers to requests for records, by partition and first index, and the snapshots' files.
    private var runs: [PartitionID: [PieceAnswer]] = [:]
    private var snapshots: [PartitionID: [UInt8]] = [:]

    init(withSnapshots: Bool) throws {
        self = try VirtualWorld(seed: 11).run { seams in
            try await CatchUpPieces(seams, withSnapshots: withSnapshots)
        }
    }

    private init(_ seams: Seams, withSnapshots: Bool) async throws {
        let replica = try await MachineReplica.open(TallyMachine.subject, seams)
        try await replica.take(CatchUpPieces.commandCount)
        if withSnapshots {
            for number in 0..<MachineReplica.partitionCount {
                _ = await replica.machines.snapshot(PartitionID(UInt64(number)))
            }
        }
        let source = SnapshotSource(
            store: replica.store, machines: replica.machines, configuration: CatchUpConfiguration(), log: SilentLog(),
            seams: seams, membership: { Membership.single("source", partitionCount: MachineReplica.partitionCount) },
            timestamp: { 1 })
        manifest = try await source.offer(for: 2)
        reading = Reading(boundary: manifest.boundary.index, states: try await Reading(replica).states)
        for entry in manifest.partitions {
            var answers: [PieceAnswer] = []
            for index in 1...entry.line.persisted.rawValue {
                let request = PieceRequest.log(
                    entry.partition, from: PartitionLogIndex(index), through: entry.line.persisted,
                    maxBytes: CatchUpPieces.pieceBytes)
                answers.append(try PieceAnswer(decoding: await source.serve(request.encoded(), from: 2)))
            }
            runs[entry.partition] = answers
            guard let snapshot = entry.snapshot else { continue }
            let request = PieceRequest.snapshot(
                entry.partition, snapshot.index, offset: 0, maxBytes: Int(snapshot.byteCount))
            if case .data(let bytes) = try PieceAnswer(decoding: await source.serve(request.encoded(), from: 2)) {
                snapshots[entry.partition] = bytes
            }
        }
    }

    /// Answers as the source would have.
    private func call(_ body: [UInt8]) throws -> [UInt8] {
        let answer: PieceAnswer =
            switch try PieceRequest(decoding: body) {
            case .log(let partition, let from, _, _): runs[partition]?[Int(from.rawValue) - 1] ?? .gone
            case .snapshot(let partition, _, let offset, let maxBytes):
                snapshots[partition].map {
                    .data(Array($0[Int(offset)..<min($0.count, Int(offset) + maxBytes)]))
                } ?? .gone
            case .failed: .noted
            }
        return answer.encoded()
    }

    // MARK: The side that is behind

    private static let staging = "\(MachineReplica.directory)/staging"

    /// Opens a replica as a node does: an installation that was cut off is completed first.
    func open(_ seams: Seams) async throws -> MachineReplica {
        try await MachineReplica.open(TallyMachine.subject, seams) { store in
            guard let installation = store.installation else { return }
            _ = try await CatchUp.complete(
                installation, store: store, directory: CatchUpPieces.staging, logs: MachineReplica.logs(of: store),
                snapshots: MachineReplica.snapshots(seams), log: SilentLog(), seams: seams)
        }
    }

    func bringUp(_ replica: MachineReplica, _ seams: Seams) async throws {
        var configuration = CatchUpConfiguration()
        configuration.bytesPerSecond = nil
        configuration.pieceBytes = CatchUpPieces.pieceBytes
        let catchUp = CatchUp(
            directory: CatchUpPieces.staging, store: replica.store, machines: replica.machines,
            configuration: configuration, log: SilentLog(), seams: seams, call: { _, body in try call(body) })
        try await catchUp.fetch(manifest, from: [1])
        try await catchUp.install(manifest)
        await catchUp.close()
    }
}
