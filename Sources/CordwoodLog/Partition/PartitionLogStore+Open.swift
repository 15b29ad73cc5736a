internal import CordwoodBase
internal import CordwoodIO
internal import CordwoodRaft

/// Opening: finds the log's valid end, makes durable again what was readable but not promised, and compares the
/// records taken meanwhile, which come from the segmented log, with what the files hold.
///
/// | found | action |
/// |---|---|
/// | an invalid batch above every promise and the system checkpoint's line | torn: written over under a new epoch |
/// | an invalid batch below that, and the records taken reach back to it | derived: rewritten from them, reported |
/// | the same, and they do not | corrupt: the partition fails, its bytes are left |
/// | shorter than the system checkpoint says, or absent | as damage at the first index that is lacking |
/// | a record of an entry that a durable truncation record has dropped | partition-ahead: cut in front of it |
/// | more records than the segmented log knows entries, without one | missing: that log has lost promised data |
/// | a record that differs from the one taken at its index | the same |
extension PartitionLogStore {
    /// A segment whose header and carry record verify.
    private struct Opened {
        var segment: PartitionSegment
        var header: SegmentHeader
        var carry: CarryRecord
    }

    /// What reading the newest segment found.
    private struct Scan {
        var end: UInt64
        var promise = StreamPosition.zero
        var damage: String?
        var release: SegmentID = .none
        var sealed: SealRecord?
        var lines: SystemCheckpoint.Line?
    }

    func load() async throws(LogError) {
        let shard = try await pool.shardIfThere(of: partition)
        var found: [Opened] = []
        if let newest = shard.segments[partition]?.last { try await readPastCache(shard.file(partition, newest)) }
        for id in shard.segments[partition] ?? [] {
            if let opened = try await openSegment(id, shard) {
                found.append(opened)
            } else if id == shard.segments[partition]?.last {
                try await undoCreation(id, shard, after: found.last?.segment)
            } else {
                throw .corrupt(damage(.corrupt, shard.file(partition, id), 0..<4096, "segment header does not verify"))
            }
        }
        if found.count > 1, let last = found.last, try await !isSealed(found[found.count - 2].segment, for: last) {
            let segment = last.segment
            guard try await !holdsRecords(segment) else {
                let path = found[found.count - 2].segment.path
                let offset = last.carry.predecessor.sealOffset
                throw .corrupt(
                    damage(.corrupt, path, offset..<offset + 4096, "the seal before segment \(segment.id) is broken"))
            }
            try await undoCreation(segment.id, shard, after: nil)
            found.removeLast()
        }
        guard let newest = found.last else {
            if let expected, expected.persisted > 0 {
                try accept(upTo: 0, "the system checkpoint knows records up to \(expected.persisted)", shard.path, 0)
            }
            writtenIndex = 0
            persistedIndex = 0
            persistedLine = nil
            return try await reconcile()
        }
        segments = found.map(\.segment)
        tail.logID = newest.header.identity.log
        let scan = try await scanTail(newest.carry)
        try checkContiguous(first: max(scan.release, newest.carry.firstSegment))
        startIndex = PartitionLogIndex(segments[0].firstIndex)
        try await judge(scan)
        try await settleAhead()
        try await reconcile()
    }

    // MARK: Segments

    /// Header and carry record of a segment; `nil` when they do not verify.
    private func openSegment(_ id: SegmentID, _ shard: PartitionShard) async throws(LogError) -> Opened? {
        let path = shard.file(partition, id)
        let buffer = IOBuffer(count: 16 << 10)
        let (size, got) = try await withFile(path) { file throws(IOError) in
            (try await file.size(), try await file.read(into: buffer, 0..<buffer.count, at: 0))
        }
        let header: SegmentHeader
        do throws(SegmentHeader.Fault) { header = try SegmentHeader(decoding: buffer[0..<got]) } catch {
            if case .unsupported(let reason) = error { throw .unsupportedVersion("\(path): \(reason)") }
            return nil
        }
        let mine = pool.configuration.identity
        guard header.kind == .partition, header.partition == partition, header.segment == id,
            header.identity.store == mine.store, header.identity.cluster == mine.cluster
        else { throw .wrongIdentity("\(path) belongs to another log") }
        if size < header.allocatedBytes {
            throw .corrupt(
                damage(.corrupt, path, size..<header.allocatedBytes, "file is shorter than its header says"))
        }
        let start = header.firstBatchOffset
        guard start < UInt64(got) else { return nil }
        let first = UnsafeRawBufferPointer(rebasing: buffer[0..<got][Int(start)...])
        guard
            case .batch(let view) = BatchReading.decode(
                first, at: start, seed: LinkSeed(header), alignmentBytes: header.alignmentBytes),
            let record = view.records.first(where: { _ in true }), case .carry(let carry)? = try? record.control()
        else { return nil }
        let segment = PartitionSegment(
            id: id, path: path, incarnation: header.incarnation, seed: LinkSeed(header),
            firstIndex: carry.last.index.rawValue + 1, base: carry.last, baseRaftIndex: carry.commitHint, end: start,
            allocatedBytes: size, alignmentBytes: header.alignmentBytes)
        return Opened(segment: segment, header: header, carry: carry)
    }

    /// Whether a segment ends with a seal that names its successor.
    private func isSealed(_ segment: PartitionSegment, for successor: Opened) async throws(LogError) -> Bool {
        var seal: SealRecord?
        let offset = successor.carry.predecessor.sealOffset
        _ = try await reader(of: segment) { reader throws(LogError) in
            try await reader.scan(from: offset, to: segment.allocatedBytes) { view throws(LogError) in
                for record in view.records {
                    if case .seal(let found)? = try? record.control() { seal = found }
                }
                return false
            }
        }
        return seal?.successor == successor.segment.id
            && seal?.successorIncarnation == successor.header.incarnation
    }

    private func holdsRecords(_ segment: PartitionSegment) async throws(LogError) -> Bool {
        var count = 0
        _ = try await reader(of: segment) { reader throws(LogError) in
            try await reader.scan(from: segment.end, to: .max) { view throws(LogError) in
                for record in view.records where record.header.rawKind == RecordKind.partitionEntry.rawValue {
                    count += 1
                }
                return count == 0
            }
        }
        return count > 0
    }

    /// Takes back a newest segment whose making was interrupted: no seal names it, no checkpoint knows a record of
    /// it, so nothing in it was ever relied on. What it holds is kept under another name.
    private func undoCreation(
        _ id: SegmentID, _ shard: PartitionShard, after predecessor: PartitionSegment?
    ) async throws(LogError) {
        let path = shard.file(partition, id)
        var isNamed = id == 1 && (expected?.persisted ?? 0) > 0 && (buffer.isEmpty || bufferStart > 1)
        if let predecessor {
            _ = try await reader(of: predecessor) { reader throws(LogError) in
                try await reader.scan(from: predecessor.end, to: .max) { view throws(LogError) in
                    for record in view.records {
                        if case .seal(let seal)? = try? record.control(), seal.successor == id { isNamed = true }
                    }
                    return true
                }
            }
        }
        if isNamed { throw .corrupt(damage(.corrupt, path, 0..<4096, "the segment's header does not verify")) }
        await pool.descriptors.forget(path)
        do { try await pool.seams.files.rename(path, to: path + ".broken") } catch { throw .unavailable("\(error)") }
        shard.segments[partition]?.removeAll { $0 == id }
        if shard.segments[partition]?.isEmpty == true { shard.segments[partition] = nil }
        shard.generation += 1
        report(.info, "interrupted creation of a partition segment set aside", path)
    }

    /// Segments before `first` may be gone; from there on none may be missing.
    private func checkContiguous(first: SegmentID) throws(LogError) {
        let newest = segments.last?.id
        segments.removeAll { $0.id < first && $0.id != newest }
        guard let oldest = segments.first, oldest.id <= first || first == .none else {
            throw .corrupt(damage(.missing, segments.first?.path ?? "", 0..<0, "segment \(first) is missing"))
        }
        for (one, next) in zip(segments, segments.dropFirst()) where next.id != one.id.next {
            throw .corrupt(damage(.missing, next.path, 0..<0, "segment \(one.id.next) is missing"))
        }
    }

    // MARK: The newest segment

    private func scanTail(_ carry: CarryRecord) async throws(LogError) -> Scan {
        let at = segments.count - 1
        let segment = segments[at]
        tail.epoch = carry.epoch
        tail.link = carry.predecessor.link
        tail.last = carry.last
        tail.lastRaftIndex = carry.commitHint
        segments[at].isIndexed = true
        var scan = Scan(end: segment.end)
        let start = segment.end
        let stopped = try await reader(of: segment) { reader throws(LogError) in
            let stopped = try await reader.scan(from: start, to: .max) { view throws(LogError) in
                self.take(view, &scan)
            }
            let later = try await reader.highestPromise(from: stopped.offset)
            scan.promise = max(scan.promise, later)
            return stopped
        }
        segments[at].end = scan.end
        if scan.damage == nil {
            switch stopped.end {
            case .none: break
            case .broken(let reason): scan.damage = reason
            case .unsupported(let reason): throw .unsupportedVersion("\(segment.path): \(reason)")
            }
        }
        return scan
    }

    /// Takes one verified batch of the newest segment into the stream's state. Returns false where the stream ends.
    private func take(_ view: BatchView, _ scan: inout Scan) -> Bool {
        guard view.header.previousLink == tail.link else {
            scan.damage = "link \(view.header.previousLink), expected \(tail.link)"
            return false
        }
        var epoch = tail.epoch
        var last = tail.last
        var lastRaft = tail.lastRaftIndex
        var first: UInt64?
        var truncated = false
        for record in view.records {
            if record.header.rawKind == RecordKind.partitionEntry.rawValue {
                guard let header = try? record.partitionHeader(),
                    header.position.partitionIndex.rawValue == last.index.rawValue + 1,
                    header.chain == record.partitionChain(after: last.chain)
                else {
                    scan.damage = "the partition chain breaks behind record \(last.index)"
                    return false
                }
                last = LogBoundary(
                    index: RaftIndex(header.position.partitionIndex.rawValue), term: header.position.term,
                    chain: header.chain)
                lastRaft = header.position.raftIndex
                first = first ?? header.position.partitionIndex.rawValue
            } else if let control = try? record.control() {
                if let announced = control.announcedEpoch { epoch = max(epoch, announced) }
                switch control {
                case .truncation(let record):
                    last = record.last
                    lastRaft = view.header.commitHint
                    truncated = true
                case .release(let segment): scan.release = max(scan.release, segment)
                case .seal(let seal): scan.sealed = seal
                default: break
                }
            }
        }
        guard view.header.epoch == epoch else {
            scan.damage = "epoch \(view.header.epoch), expected \(epoch)"
            return false
        }
        let at = segments.count - 1
        if truncated { segments[at].batches.removeAll { $0.firstIndex > last.index.rawValue } }
        if let first { segments[at].batches.append(.init(firstIndex: first, offset: view.offset)) }
        tail.epoch = epoch
        tail.last = last
        tail.lastRaftIndex = lastRaft
        tail.link = view.link
        scan.promise = max(scan.promise, view.header.promise)
        scan.end = view.end
        if let expected, expected.persisted.rawValue <= last.index.rawValue, scan.lines == nil {
            scan.lines = expected
        }
        return scan.sealed == nil
    }

    /// Decides what the end of the newest segment means.
    private func judge(_ scan: Scan) async throws(LogError) {
        let at = segments.count - 1
        let segment = segments[at]
        writtenIndex = PartitionLogIndex(tail.last.index.rawValue)
        if let sealed = scan.sealed {
            let path = try await pool.shard(of: partition).file(partition, sealed.successor)
            throw .corrupt(damage(.missing, path, 0..<0, "a seal names segment \(sealed.successor)"))
        }
        let end = StreamPosition(segment: segment.id, offset: scan.end)
        if scan.promise > end {
            let reason = scan.damage ?? "the stream ends at \(end), promised up to \(scan.promise)"
            try accept(upTo: tail.last.index.rawValue, reason, segment.path, scan.end)
        }
        if let expected, expected.persisted > writtenIndex {
            try accept(
                upTo: tail.last.index.rawValue, "the system checkpoint knows records up to \(expected.persisted)",
                segment.path, scan.end)
        }
        if let expected, expected.persisted > 0, expected.persisted <= writtenIndex, expected.persisted >= startIndex {
            let line = try await line(at: expected.persisted, reading: true)
            guard line == expected else {
                throw .corrupt(
                    damage(
                        .missing, segment.path, 0..<scan.end,
                        "record \(expected.persisted) is not the one that the system checkpoint knows"))
            }
        }
        if let reason = scan.damage { report(.info, "torn end of a partition log discarded: \(reason)", segment.path) }
        try await syncNames()
        tail.announces = tail.epoch.next
        tail.acceptedEnd = end
        tail.durable = end
        persistedIndex = writtenIndex
        persistedLine =
            writtenIndex == 0
            ? nil
            : SystemCheckpoint.Line(
                partition: partition, persisted: writtenIndex, raftIndex: tail.lastRaftIndex, chain: tail.last.chain)
    }

    /// From here on the newest segment is read from the device: its pages are written back and forgotten. What can be
    /// read is durable then, and need not be written again, which a second power cut could spoil: there may be no other
    /// copy of it. Segments before it were synced when they were sealed.
    private func readPastCache(_ path: String) async throws(LogError) {
        try await withFile(path) { file throws(IOError) in
            try await file.sync()
            try await file.dropCache()
        }
        pool.statisticsNow.syncs += 1
    }

    /// The files' names are as durable as what was read from them.
    private func syncNames() async throws(LogError) {
        let shard = try await pool.shard(of: partition)
        shard.generation += 1
        try await pool.syncDirectory(of: partition)
    }

    // MARK: Agreement

    /// Takes a shorter log than was promised when the records taken since reach back to its end; otherwise fails.
    private func accept(upTo last: UInt64, _ reason: String, _ path: String, _ offset: UInt64) throws(LogError) {
        guard !buffer.isEmpty, bufferStart <= last + 1 else {
            throw .corrupt(damage(last == 0 ? .missing : .corrupt, path, offset..<offset, reason))
        }
        report(.warn, "partition log rewritten from the segmented log: \(reason)", path)
        expected = nil
    }

    /// Cuts what the segmented log has dropped under a durable truncation record, and refuses what it does not know
    /// without one: it has lost promised data then.
    private func settleAhead() async throws(LogError) {
        if let first = try await firstDropped(pool.dropped[partition] ?? []) {
            report(
                .warn, "partition-ahead: records from \(first) on were dropped from the segmented log, and are cut",
                segments[segments.count - 1].path)
            try await cut(after: first.previous)
        }
        guard let known = pool.tailInLog(partition), known.partitionIndex < writtenIndex else { return }
        contradictsLog = true
        throw .corrupt(
            damage(
                .missing, segments[segments.count - 1].path, 0..<segments[segments.count - 1].end,
                "records up to \(writtenIndex), the segmented log knows \(known.partitionIndex) of them"))
    }

    /// Compares the records taken before the files were open with what they hold, and drops those that are there.
    private func reconcile() async throws(LogError) {
        guard let first = buffer.first else { return }
        let path = segments.last?.path ?? pool.configuration.directory
        guard first.partitionIndex <= writtenIndex.next else {
            throw .corrupt(
                damage(
                    .missing, path, 0..<0,
                    "records \(writtenIndex.next) to \(first.partitionIndex.previous) are in neither log"))
        }
        while let taken = buffer.first, taken.partitionIndex <= writtenIndex {
            try await compare(taken)
            let before = buffer.byteCount
            buffer.removeFirst(1)
            bufferStart += 1
            buffered.remove(before - buffer.byteCount)
        }
    }

    /// Compares a record of the segmented log with the one that the files hold at its index.
    func compare(_ taken: PartitionLogRecord) async throws(LogError) {
        guard taken.partitionIndex >= startIndex else { return }
        let batch = try await batch(holding: taken.partitionIndex)
        // Its batch cannot be read: the files are damaged, and the segmented log is not to blame.
        guard let held = batch.records(from: taken.partitionIndex, maxCount: 1).first else {
            throw lacking(taken.partitionIndex)
        }
        guard held.position == taken.position, held.payload == taken.payload else {
            contradictsLog = true
            throw .corrupt(
                damage(
                    .missing, segments.last?.path ?? "", 0..<0,
                    "record \(taken.partitionIndex) differs from Raft entry \(taken.position.raftIndex)"))
        }
    }
}
