public import CordwoodBase
public import CordwoodRaft

extension SegmentedLogStore {
    public func compact(through index: RaftIndex, boundary: LogBoundary?) async throws(LogError) {
        let commit = try requireWritable()
        if index <= contents.boundary.index {
            try await flush()
            return
        }
        if let boundary, boundary.index != index {
            throw .invalidArgument("a boundary at \(boundary.index) for a compaction through \(index)")
        }
        if index > contents.last.index {
            guard let boundary else {
                throw .invalidArgument("compaction through \(index) beyond \(contents.last.index) needs a boundary")
            }
            startOver(at: boundary, commit)
        } else {
            pendingStart = max(pendingStart, index.next)
            let known = try await boundaryEntry(at: index)
            if let boundary, boundary != known {
                throw .invalidArgument("the entry at \(index) is of term \(known.term) and chain \(known.chain)")
            }
            // Another compaction may have gone further meanwhile.
            if known.index > contents.boundary.index {
                appendControl(.boundary(known), try requireWritable()) { $0.compact(through: known) }
            }
        }
        recent.dropFirst(through: min(contents.boundary.index, durable)) {
            recentBytes -= $0.payload.count + EntryRecord.slicesOffset
        }
        try await flush()
        try await freeSegments()
    }

    /// Term and chain of an entry that is held.
    private func boundaryEntry(at index: RaftIndex) async throws(LogError) -> LogBoundary {
        if let term = contents.terms.term(at: index), let chain = contents.chain(at: index) {
            return LogBoundary(index: index, term: term, chain: chain)
        }
        let found = try await readBack(index..<index.next, room: .max, isFirst: true)
        guard let entry = found.first, index <= contents.last.index else {
            throw .invalidArgument("the entry at \(index) was dropped during the compaction")
        }
        return LogBoundary(index: index, term: entry.term, chain: entry.chain)
    }

    /// The log goes on behind a boundary beyond its end.
    func startOver(at boundary: LogBoundary, _ commit: GroupCommit) {
        replaceAll(by: boundary, commit) { $0.replaceAll(by: boundary) }
        appendControl(.boundary(boundary), commit)
    }

    /// Everything that is held gives way to a boundary.
    private func replaceAll(
        by boundary: LogBoundary, _ commit: GroupCommit, _ change: (inout LogContents) -> Void
    ) {
        commit.close()
        commit.truncate(after: boundary.index)
        commit.forgetEntries()
        change(&contents)
        recent.reset(firstIndex: boundary.index.next)
        recentBytes = 0
        durable = min(durable, boundary.index)
        hardened = min(hardened, boundary.index)
        committed = max(committed, boundary.index)
        revision += 1
        followsReplacement = true
    }

    // MARK: Installation and checkpoint

    /// Records that a Raft snapshot takes the place of the log up to `boundary` and of everything behind it: the commit
    /// point of an installation. Durable on return; `installation` names it until a system checkpoint follows.
    public func recordInstallation(_ boundary: LogBoundary, manifest: [UInt8]) async throws(LogError) {
        _ = try placeInstallation(boundary, manifest: manifest)
        try await flush()
    }

    /// The same, in its place in the order of writes; durable when the ticket is settled.
    public func placeInstallation(_ boundary: LogBoundary, manifest: [UInt8]) throws(LogError) -> LogTicket {
        let commit = try requireWritable()
        guard boundary.index >= contents.boundary.index else {
            throw .invalidArgument("installation at \(boundary.index) of a log from \(startIndex)")
        }
        guard manifest.count <= Int(options.segmentBytes / 4) else {
            throw .invalidArgument("a manifest of \(manifest.count) bytes")
        }
        let record = InstallRecord(boundary: boundary, epoch: contents.epoch.next, manifest: manifest)
        replaceAll(by: boundary, commit) { $0.install(record) }
        committed = boundary.index
        contents.epoch = record.epoch
        while let newest = truncations.last, newest.index >= boundary.index { truncations.removeLast() }
        truncations.append((record.epoch, boundary.index))
        appendControl(.install(record), commit)
        return currentTicket
    }

    /// Puts a system checkpoint into the stream. Durable on return; segments before it may be freed then.
    public func writeSystemCheckpoint(_ checkpoint: SystemCheckpoint) async throws(LogError) {
        let commit = try requireWritable()
        let pieceBytes = min(256 << 10, Int(options.segmentBytes / 8), options.batchBytes / 2)
        contents.checkpointNumber += 1
        let pieces = checkpoint.pieces(number: contents.checkpointNumber, pieceBytes: pieceBytes)
        for (position, piece) in pieces.enumerated() {
            let batch = appendControl(.checkpoint(piece), commit)
            if position == 0 { batch.beginsCheckpoint = true }
            if position == pieces.count - 1 { batch.endsCheckpoint = true }
        }
        contents.take(checkpoint)
        contents.closeGap()
        try await flush()
        try await freeSegments()
    }

    // MARK: Floor

    /// Raises the lowest index that must stay on disk. Whole segments below it, below the log's start and before the
    /// newest durable system checkpoint are freed.
    public func raiseFloor(to index: RaftIndex) async throws(LogError) {
        _ = try requireWritable()
        floor = max(floor, index)
        try await freeSegments()
    }

    private func freeSegments() async throws(LogError) {
        guard let stream, let commit, !isFreeing else { return }
        let first = firstNeededSegment(stream)
        guard let oldest = stream.segments.first?.segment, first > oldest else { return }
        isFreeing = true
        defer { isFreeing = false }
        if first > contents.firstSegment {
            appendControl(.release(first), commit) { $0.firstSegment = first }
            try await flush()
        }
        contents.index.release(before: first)
        for segment in stream.segments where segment.segment < first { await readers.retire(segment.segment) }
        try await stream.release(before: first)
    }

    /// The oldest segment that holds anything needed.
    private func firstNeededSegment(_ stream: AppendOnlyFile) -> SegmentID {
        let limit = min(floor, startIndex)
        var first = stream.segments.first?.segment ?? .none
        guard let checkpoint = durableCheckpoint?.segment else { return first }
        for segment in stream.segments.dropLast() {
            let id = segment.segment
            guard id < checkpoint, contents.index.firstEntry(behind: id) ?? nextIndex <= limit else { break }
            first = id.next
        }
        return first
    }

    /// The last index of the newest finished segment whose entries all lie below `index`, if there is one.
    public func lastFinishedIndex(below index: RaftIndex) -> RaftIndex? {
        guard let stream else { return nil }
        var last: RaftIndex?
        for segment in stream.segments.dropLast() {
            let behind = contents.index.firstEntry(behind: segment.segment) ?? nextIndex
            guard behind <= index else { break }
            last = behind > 1 ? behind.previous : nil
        }
        return last
    }

    /// Bytes of finished segments from the one on that holds `index`.
    public func finishedBytes(from index: RaftIndex) -> UInt64 {
        finishedBytes(below: nextIndex) - min(finishedBytes(below: nextIndex), finishedBytes(below: index))
    }

    /// Bytes of finished segments whose entries all lie below `index`.
    public func finishedBytes(below index: RaftIndex) -> UInt64 {
        guard let stream else { return 0 }
        return stream.segments.dropLast().prefix {
            contents.index.firstEntry(behind: $0.segment) ?? nextIndex <= index
        }.reduce(0) { $0 + $1.header.allocatedBytes }
    }

    /// The last index of the newest segment that lies wholly below the floor and could go, if there is one.
    public var reclaimableThrough: RaftIndex? {
        guard let stream else { return nil }
        let first = firstNeededSegment(stream)
        guard let oldest = stream.segments.first?.segment, first > oldest, first.rawValue > 1 else { return nil }
        return (contents.index.firstEntry(behind: first.previous) ?? nextIndex).previous
    }
}
