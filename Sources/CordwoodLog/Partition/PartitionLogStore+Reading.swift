internal import CordwoodBase
internal import CordwoodIO
internal import CordwoodRaft

/// Reading what is in the files: the place of a record by the places of the batches, the batch at it, verified anew,
/// and what is said when it does not verify. A file may be replaced while it is read; whoever meets that opens the log
/// again and reads once more.
extension PartitionLogStore {
    /// Where the batch that holds a record ends, as an index: what stands behind it in the batch was cut.
    func endOfBatch(holding index: PartitionLogIndex) -> UInt64 {
        var end = writtenIndex.rawValue + 1
        guard let at = segments.lastIndex(where: { $0.firstIndex <= index.rawValue }) else { return end }
        for later in segments[(at + 1)...] { end = min(end, later.firstIndex) }
        let next = segments[at].batches.firstPlace(behind: index.rawValue)
        if next < segments[at].batches.count { end = min(end, segments[at].batches[next].firstIndex) }
        return end
    }

    /// The batch that holds a written record.
    func batch(holding index: PartitionLogIndex) async throws(LogError) -> PartitionBatch {
        while true {
            let generation = fileGeneration
            do throws(LogError) {
                let found = try await find(index)
                let place = PartitionBatch.Place(
                    partition: partition, segment: found.segment.id, offset: found.offsets.lowerBound)
                if let cached = pool.cache[place] { return cached }
                let batch: PartitionBatch? = try await read(found) { view in try? PartitionBatch(view) }
                guard let batch else { throw brokenBatch(found, "its records cannot be read") }
                if generation == fileGeneration { pool.cache.insert(batch, at: place) }
                return batch
            } catch {
                if generation == fileGeneration { throw told(error) }
                try await pool.open(self)
            }
        }
    }

    /// Calls `body` with the batch that holds a written record, read and verified anew, and with the index of the last
    /// record that counts in it: what stands behind was truncated.
    func withBatch<Value>(
        holding index: PartitionLogIndex, _ body: (BatchView, PartitionLogIndex) -> Value
    ) async throws(LogError) -> Value {
        while true {
            let generation = fileGeneration
            do throws(LogError) {
                let found = try await find(index)
                return try await read(found) { body($0, found.lastIndex) }
            } catch {
                if generation == fileGeneration { throw told(error) }
                try await pool.open(self)
            }
        }
    }

    /// Where the batch of a record stands.
    private struct FoundBatch {
        var index: PartitionLogIndex
        var segment: PartitionSegment
        var offsets: Range<UInt64>
        var lastIndex: PartitionLogIndex
    }

    private func find(_ index: PartitionLogIndex) async throws(LogError) -> FoundBatch {
        guard let at = segments.lastIndex(where: { $0.firstIndex <= index.rawValue }) else {
            throw .purged(RaftIndex(index.rawValue))
        }
        if !segments[at].isIndexed { try await indexSegment(segments[at].id) }
        guard let at = segments.lastIndex(where: { $0.firstIndex <= index.rawValue }) else {
            throw .purged(RaftIndex(index.rawValue))
        }
        let segment = segments[at]
        let low = segment.batches.firstPlace(behind: index.rawValue)
        guard low > 0 else { throw lacking(index) }
        let end = low < segment.batches.count ? segment.batches[low].offset : segment.end
        return FoundBatch(
            index: index, segment: segment, offsets: segment.batches[low - 1].offset..<end,
            lastIndex: PartitionLogIndex(endOfBatch(holding: index) - 1))
    }

    private func read<Value>(_ found: FoundBatch, _ body: (BatchView) -> Value) async throws(LogError) -> Value {
        let offset = found.offsets.lowerBound
        let buffer = IOBuffer(count: found.offsets.count)
        let got: Int
        do throws(IOError) {
            got = try await pool.descriptors.with(found.segment.path, FileMode(.mustExist, writable: true)) {
                file throws(IOError) in
                try await file.read(into: buffer, 0..<buffer.count, at: offset)
            }
        } catch {
            throw .unreadable(partition, found.segment.path, found.offsets, error)
        }
        guard
            case .batch(let view) = BatchReading.decode(
                buffer[0..<got], at: offset, seed: found.segment.seed, alignmentBytes: found.segment.alignmentBytes)
        else { throw brokenBatch(found, "it does not verify") }
        return body(view)
    }

    private func brokenBatch(_ found: FoundBatch, _ reason: String) -> LogError {
        .corrupt(
            damage(.corrupt, found.segment.path, found.offsets, "the batch of record \(found.index): \(reason)"))
    }

    /// A record that should be there and is in none of the batches that can be read.
    func lacking(_ index: PartitionLogIndex) -> LogError {
        let segment = segments.last { $0.firstIndex <= index.rawValue }
        return damaged(
            damage(
                .corrupt, segment?.path ?? "", 0..<(segment?.end ?? 0),
                "record \(index) is in no batch that verifies"))
    }

    /// Damage that was found in files that are in use: whoever can mend it hears of it.
    func damaged(_ damage: Damage) -> LogError { told(.corrupt(damage)) }

    private func told(_ error: LogError) -> LogError {
        if case .corrupt(let damage) = error, openState != .opening { pool.onDamage?(partition, damage) }
        return error
    }

    /// Finds the batches of a sealed segment, verifying each.
    private func indexSegment(_ id: SegmentID) async throws(LogError) {
        guard let segment = segments.first(where: { $0.id == id }) else { return }
        var batches: [PartitionSegment.BatchPlace] = []
        var end = segment.end
        _ = try await reader(of: segment) { reader throws(LogError) in
            try await reader.scan(from: segment.end, to: .max) { view throws(LogError) in
                for record in view.records {
                    if case .truncation(let record)? = try? record.control() {
                        batches.removeAll { $0.firstIndex > record.last.index.rawValue }
                    }
                    guard record.header.rawKind == RecordKind.partitionEntry.rawValue else { continue }
                    guard let header = try? record.partitionHeader() else { break }
                    batches.append(
                        .init(firstIndex: header.position.partitionIndex.rawValue, offset: view.offset))
                    break
                }
                end = view.end
                return true
            }
        }
        guard let at = segments.firstIndex(where: { $0.id == id }) else { return }
        segments[at].batches = batches
        segments[at].end = end
        segments[at].isIndexed = true
    }

    func line(at index: PartitionLogIndex, reading: Bool) async throws(LogError) -> SystemCheckpoint.Line? {
        try await batch(holding: index).line(at: index, of: partition)
    }

    func reader<Value>(
        of segment: PartitionSegment, _ body: (PartitionSegmentReader) async throws(LogError) -> Value
    ) async throws(LogError) -> Value {
        let result: Result<Value, LogError>
        do throws(IOError) {
            result = try await pool.descriptors.with(segment.path, FileMode(.mustExist, writable: true)) {
                file throws(IOError) in
                let reader = PartitionSegmentReader(
                    partition: partition, path: segment.path, file: file, seed: segment.seed,
                    alignmentBytes: segment.alignmentBytes, fileBytes: try await file.size())
                do throws(LogError) { return Result<Value, LogError>.success(try await body(reader)) } catch {
                    return .failure(error)
                }
            }
        } catch { throw .unreadable(partition, segment.path, 0..<segment.end, error) }
        return try result.get()
    }

    // MARK: Reports

    func damage(_ kind: DamageClass, _ path: String, _ offsets: Range<UInt64>, _ detail: String) -> Damage {
        Damage(kind, file: path, offsets: offsets, detail: "partition \(partition): \(detail)")
    }

    func report(_ level: LogLevel, _ message: String, _ path: String) {
        pool.log.write(
            LogEvent(
                level, "log", message,
                fields: [.init("partition", "\(partition)"), .init("path", path)]))
    }
}
