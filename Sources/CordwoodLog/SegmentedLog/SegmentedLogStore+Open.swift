internal import CordwoodBase
public import CordwoodIO
public import CordwoodRaft

extension SegmentedLogStore {
    package static let lockName = "lock"

    /// Opens the log in a directory, or makes one in an empty or missing directory. Recovers: what was acknowledged is
    /// there and durable on return, and `recovery` says what was found and done. Refuses with the damage where
    /// acknowledged data cannot be trusted, or opens the intact prefix for reading if the options say so.
    ///
    /// - Parameter identity: whose log it must be. `nil` takes the one that is there; a new one is then drawn, for
    ///   replica 1.
    public static func open(
        directory: String, identity: StoreIdentity? = nil, options: LogStoreOptions = LogStoreOptions(), seams: Seams
    ) async throws(LogError) -> SegmentedLogStore {
        try check(options)
        do {
            try await seams.files.makeDurableDirectory(directory)
        } catch {
            throw .unavailable(error.description)
        }
        let lock = try await takeLock(directory + "/" + lockName, options, seams)
        do throws(LogError) {
            return try await open(directory, identity, options, lock, seams)
        } catch {
            lock.release()
            throw error
        }
    }

    private static func check(_ options: LogStoreOptions) throws(LogError) {
        guard options.segmentBytes >= 32 << 10, options.segmentBytes % UInt64(IOBuffer.alignment) == 0 else {
            throw .invalidArgument("segments of \(options.segmentBytes) bytes")
        }
        guard options.spareSegments >= 1 else {
            throw .invalidArgument("without a spare segment nothing is admitted behind the first one")
        }
        guard (1...4).contains(options.depth) else { throw .invalidArgument("depth \(options.depth)") }
        let framed = BatchBuilder.framedBytes(
            EntryRecord.lengthBytes(slices: 1, payload: options.maximumEntryBytes))
        guard options.maximumEntryBytes <= LogFormat.maximumPayloadBytes,
            UInt64(framed + LogFormat.batchHeaderBytes) <= options.segmentBytes / 2
        else {
            throw .invalidArgument(
                "entries of \(options.maximumEntryBytes) bytes do not fit half a segment of \(options.segmentBytes)")
        }
    }

    /// A process that died may hold its lock for a moment longer: asks again for a while.
    private static func takeLock(
        _ path: String, _ options: LogStoreOptions, _ seams: Seams
    ) async throws(LogError) -> any FileLock {
        let deadline = seams.clock.monotonicNanoseconds + options.lockWaitNanoseconds
        while true {
            do {
                return try await seams.files.lock(path)
            } catch {
                guard error.reason == .locked else { throw .unavailable(error.description) }
                guard seams.clock.monotonicNanoseconds < deadline else { throw .locked(path) }
            }
            await seams.clock.sleep(nanoseconds: 10_000_000)
        }
    }

    private static func open(
        _ directory: String, _ identity: StoreIdentity?, _ options: LogStoreOptions, _ lock: any FileLock,
        _ seams: Seams
    ) async throws(LogError) -> SegmentedLogStore {
        let copies: [KeptCopy]
        do { copies = try await KeptCopy.restore(directory, prefix: "", seams.files) } catch {
            throw .unavailable(error.description)
        }
        var scanOptions = StreamScanner.Options()
        scanOptions.knownNames = [lockName]
        let scanner = StreamScanner(
            directory: directory, kind: .segmented, files: seams.files, options: scanOptions,
            scheduler: seams.scheduler)
        var (scan, replay) = try await scanner.run { LogReplay() }
        if scan.verdict == .absent {
            return try await make(directory, identity, options, scan, lock, seams)
        }
        if scan.damage == nil, replay.contents.boundary.index < replay.unreadThrough, let first = scan.segments.first {
            scan.verdict = .damaged(
                Damage(
                    .missing, file: first.path, offsets: 0..<first.endOffset,
                    indexes: replay.contents.startIndex..<replay.unreadThrough.next,
                    detail:
                        "the log starts at \(replay.contents.startIndex), its segments behind \(replay.unreadThrough)"
                ))
        }
        var report = report(of: scan, replay)
        guard let found = scan.segments.first?.header.identity else {
            throw refusal(scan.damage, directory)
        }
        if let identity,
            found.cluster != identity.cluster || found.node != identity.node || found.replica != identity.replica
        {
            throw .wrongIdentity(
                "\(directory) belongs to replica \(found.replica) of node \(found.node) in cluster \(found.cluster)")
        }
        if let damage = scan.damage {
            guard options.opensDamagedReadOnly, damage.kind != .foreign else { throw .corrupt(damage) }
            return SegmentedLogStore(
                directory: directory, identity: found, options: options, recovery: report, stream: nil,
                segments: scan.segments.map {
                    SegmentSummary(
                        header: $0.header, path: $0.path, status: .finalised, endOffset: $0.endOffset)
                }, contents: replay.contents, checkpoint: replay.checkpointPosition, failure: .corrupt(damage),
                lock: lock, seams: seams)
        }
        let contents = replay.contents
        let checkpoint = replay.checkpointPosition
        let stream = try await AppendOnlyFile.resume(
            scan, directory: directory, policy: policy(options), identity: found,
            carry: { predecessor in
                CarryRecord(
                    identity: found, epoch: scan.epoch, vote: contents.vote, commitHint: contents.commitHint,
                    boundary: contents.boundary, predecessor: predecessor, last: contents.last,
                    checkpoint: checkpoint, firstSegment: contents.firstSegment, gates: contents.gates)
            }, seams: seams)
        for copy in copies { await copy.remove(seams.files) }
        try await stream.discard(scan.leftovers)
        try await stream.release(before: contents.firstSegment)
        replay.resumed(in: stream.epoch)
        report.epoch = stream.epoch
        return SegmentedLogStore(
            directory: directory, identity: found, options: options, recovery: report, stream: stream, segments: [],
            contents: replay.contents, checkpoint: checkpoint, failure: nil, lock: lock, seams: seams)
    }

    private static func refusal(_ damage: Damage?, _ directory: String) -> LogError {
        damage.map { .corrupt($0) } ?? .unavailable("\(directory): no segment could be read")
    }

    private static func policy(_ options: LogStoreOptions) -> FilePolicy {
        FilePolicy(
            segmentBytes: options.segmentBytes, spareCount: options.spareSegments, keepsReserve: options.keepsReserve,
            syncsBatches: options.syncsBatches)
    }

    /// Makes a log in a directory without one.
    private static func make(
        _ directory: String, _ identity: StoreIdentity?, _ options: LogStoreOptions, _ scan: StreamScan,
        _ lock: any FileLock, _ seams: Seams
    ) async throws(LogError) -> SegmentedLogStore {
        func draw() -> UniqueID { UniqueID(high: seams.random.next(), low: seams.random.next()) }
        let owner = identity ?? StoreIdentity(cluster: draw(), node: draw(), replica: 1)
        let full = LogIdentity(
            cluster: owner.cluster, node: owner.node, replica: owner.replica, store: draw(), log: draw())
        let gates = [GateRecord(gate: options.ackGate, from: 1)]
        let carry = CarryRecord(identity: full, epoch: 1, firstSegment: 1, gates: gates)
        var report = RecoveryReport()
        report.unknownFiles = scan.unknown
        return try await make(directory, carry, options, report, spares: scan.spares, lock, seams)
    }

    /// Makes a log whose state at its start is that of a carry record.
    static func make(
        _ directory: String, _ carry: CarryRecord, _ options: LogStoreOptions, _ report: RecoveryReport,
        spares: [String], _ lock: any FileLock, _ seams: Seams
    ) async throws(LogError) -> SegmentedLogStore {
        let stream = try await AppendOnlyFile.begin(
            directory: directory, policy: policy(options), identity: carry.identity, carry: carry, spares: spares,
            seams: seams)
        var contents = LogContents()
        contents.begin(with: carry)
        var report = report
        report.isNew = true
        report.epoch = carry.epoch
        report.segmentCount = 1
        return SegmentedLogStore(
            directory: directory, identity: carry.identity, options: options, recovery: report, stream: stream,
            segments: [], contents: contents, checkpoint: nil, failure: nil, lock: lock, seams: seams)
    }

    private static func report(of scan: StreamScan, _ replay: LogReplay) -> RecoveryReport {
        var report = RecoveryReport()
        report.entries = replay.contents.startIndex..<replay.contents.nextIndex
        report.segmentCount = scan.segments.count
        report.scannedBytes = scan.acceptedBytes
        report.acceptedEnd = scan.end
        report.promise = scan.promise
        report.epoch = scan.epoch
        report.unknownFiles = scan.unknown
        report.removedFiles = scan.leftovers.map(\.path)
        if replay.highestHint > replay.contents.last.index { report.clampedHint = replay.highestHint }
        for segment in scan.segments where segment.position > scan.promise {
            report.hardenedBytes +=
                segment.endOffset - (segment.header.segment == scan.promise.segment ? scan.promise.offset : 0)
        }
        switch scan.verdict {
        case .absent, .clean: report.outcome = .clean
        case .torn(let until, let batches, let reason):
            report.outcome = .torn
            report.discardedBytes = until - min(until, scan.end.offset)
            report.discardedBatches = batches
            report.reason = reason
        case .damaged(let damage):
            report.outcome = damage.kind
            report.damage = damage
            report.reason = damage.detail
        }
        return report
    }
}
