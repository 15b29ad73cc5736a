public import CordwoodBase
internal import CordwoodIO
public import CordwoodRaft

/// Giving runs of records to other replicas and taking runs from them, without looking at a record's payload.
extension PartitionLogStore {
    /// Records from `index` on as they are stored, verified: through `last` at most, about `maxBytes` at most, at least
    /// one. Only what is persisted is given.
    ///
    /// - Throws: `.purged` below the start, `.notFound` beyond what is persisted.
    public func export(
        from index: PartitionLogIndex, through last: PartitionLogIndex, maxBytes: Int
    ) async throws(LogError) -> [UInt8] {
        try await pool.open(self)
        guard index >= startIndex else { throw .purged(RaftIndex(startIndex.rawValue)) }
        let end = min(last, persistedIndex)
        guard index <= end, index > 0 else { throw .notFound(RaftIndex(index.rawValue)) }
        var bytes = PartitionExport.begin(
            partition, after: try await point(at: index.previous), capacityBytes: min(maxBytes, 4 << 20))
        var count = 0
        var next = index
        while next <= end, count == 0 || bytes.count < maxBytes {
            let taken = try await withBatch(holding: next) { view, counted in
                var taken = 0
                for record in view.records where record.header.rawKind == RecordKind.partitionEntry.rawValue {
                    guard let header = try? record.partitionHeader() else { break }
                    let found = header.position.partitionIndex
                    if found < next { continue }
                    if found > min(end, counted) || (count + taken > 0 && bytes.count + record.bytes.count > maxBytes) {
                        break
                    }
                    bytes.append(contentsOf: record.bytes)
                    let padding = record.header.paddedBytes - record.bytes.count
                    if padding > 0 { bytes.append(contentsOf: repeatElement(0, count: padding)) }
                    taken += 1
                }
                return taken
            }
            if taken == 0 { break }
            count += taken
            next = PartitionLogIndex(next.rawValue + UInt64(taken))
        }
        PartitionExport.finish(&bytes, count: count)
        return bytes
    }

    /// The point at a record that is held, or at the one before the first.
    public func point(at index: PartitionLogIndex) async throws(LogError) -> PartitionPoint {
        if index == 0 { return .start }
        try await pool.open(self)
        if index == writtenIndex { return tail.point }
        if index.next == startIndex, let before = segments.first?.before { return before }
        guard index >= startIndex else { throw .purged(RaftIndex(startIndex.rawValue)) }
        guard index <= writtenIndex else { throw .notFound(RaftIndex(index.rawValue)) }
        let batch = try await batch(holding: index)
        guard let record = batch.records(from: index, maxCount: 1).first,
            let line = batch.line(at: index, of: partition)
        else { throw .notFound(RaftIndex(index.rawValue)) }
        return PartitionPoint(
            partitionIndex: index, raftIndex: line.raftIndex, term: record.position.term, chain: line.chain)
    }

    /// Lets a log that holds nothing begin behind a point.
    public func begin(behind point: PartitionPoint) async throws(LogError) {
        try await pool.open(self)
        guard segments.isEmpty, buffer.isEmpty else {
            throw .invalidArgument("partition \(partition) holds records up to \(writtenIndex)")
        }
        tail.last = LogBoundary(
            index: RaftIndex(point.partitionIndex.rawValue), term: point.term, chain: point.chain)
        tail.lastRaftIndex = point.raftIndex
        startIndex = point.partitionIndex.next
        writtenIndex = point.partitionIndex
        persistedIndex = point.partitionIndex
        persistedLine = SystemCheckpoint.Line(
            partition: partition, persisted: point.partitionIndex, raftIndex: point.raftIndex, chain: point.chain)
    }

    /// Appends a run that another replica gave, as far as the log does not hold it. Written, not yet durable.
    ///
    /// - Parameter last: records behind this one are left out.
    /// - Throws: `.invalidArgument` when the run does not follow what the log holds.
    public func ingest(_ run: PartitionExport, through last: PartitionLogIndex? = nil) async throws(LogError) {
        try await pool.open(self)
        await lockWriting()
        defer { unlockWriting() }
        if let failure = openState.failure { throw failure }
        let next = writtenIndex.next
        let end = min(last ?? run.last.partitionIndex, run.last.partitionIndex)
        guard next <= end else { return }
        guard run.partition == partition, buffer.isEmpty, next >= run.first,
            run.point(at: Int(next.rawValue - run.first.rawValue) - 1).chain == tail.last.chain
        else {
            throw .invalidArgument(
                "records \(run.first) to \(run.last.partitionIndex) of partition \(run.partition) do not follow record "
                    + "\(writtenIndex) of partition \(partition)")
        }
        var position = Int(next.rawValue - run.first.rawValue)
        let limit = Int(end.rawValue - run.first.rawValue) + 1
        while position < limit { position = try await ingestBatch(run, position..<limit) }
    }

    private func ingestBatch(_ run: PartitionExport, _ rest: Range<Int>) async throws(LogError) -> Int {
        let builder = try await beginBatch()
        defer { pool.giveBack(builder) }
        let limit = Int(clamping: pool.configuration.segmentBytes / 2)
        var end = rest.lowerBound
        var framed = 0
        while end < rest.upperBound {
            let bytes = run.framedBytes(at: end)
            if end > rest.lowerBound {
                guard builder.hasRoom(forFramed: framed + bytes), builder.lengthBytes + framed + bytes <= limit else {
                    break
                }
            }
            framed += bytes
            end += 1
        }
        run.withFramed(rest.lowerBound..<end) { builder.append(framed: $0, count: UInt32(end - rest.lowerBound)) }
        try await place(
            builder, first: run.point(at: rest.lowerBound).partitionIndex, count: end - rest.lowerBound,
            payloadBytes: framed, last: run.point(at: end - 1))
        return end
    }

    /// Lets go of records that were taken and not written: whoever calls this gives them again.
    public func dropUnwritten() {
        buffered.remove(buffer.byteCount)
        buffer = RecordQueue()
        claims.removeAll()
        forwardedIndex = min(forwardedIndex, writtenIndex)
    }

    /// Gives up every record behind `index`, written or not: none of them is committed. Durable on return.
    public func truncate(after index: PartitionLogIndex) async throws(LogError) {
        try await pool.open(self)
        await lockWriting()
        defer { unlockWriting() }
        if let failure = openState.failure { throw failure }
        dropUnwritten()
        try await cut(after: index)
        forwardedIndex = min(forwardedIndex, index)
    }

    /// Makes everything durable that the log has taken.
    public func persist() async throws(LogError) {
        try await pool.open(self)
        try await writeOut()
        try await sync()
        if let failure = openState.failure { throw failure }
    }
}
