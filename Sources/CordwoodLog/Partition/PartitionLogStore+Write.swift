internal import CordwoodBase
internal import CordwoodIO
internal import CordwoodRaft

/// Writing: batches of records, grown files, rolls and seals. One writer at a time.
extension PartitionLogStore {
    private static let smallestAllocation: UInt64 = 64 << 10
    private static let largestStep: UInt64 = 8 << 20

    func lockWriting() async {
        while isWriting { await withUnsafeContinuation { writers.append($0) } }
        isWriting = true
    }

    func unlockWriting() {
        isWriting = false
        if !writers.isEmpty { writers.removeFirst().resume() }
    }

    /// Writes the records taken so far, as far as their verdicts are known. They are not durable yet.
    func writeOut() async throws(LogError) {
        await lockWriting()
        defer { unlockWriting() }
        guard openState == .open, let last = await pool.writableEnd(of: self) else { return }
        while !buffer.isEmpty, buffer.verdict(0) != .undecided, buffer.position(0).partitionIndex <= last {
            try await writeBatch(through: last)
        }
    }

    /// Makes everything that was written durable.
    func sync() async throws(LogError) {
        await lockWriting()
        defer { unlockWriting() }
        guard openState == .open else { return }
        if unsyncedEntries > 0 || tail.needsDirectorySync {
            try await syncTail()
            settlePersisted()
        }
        pool.settled(self)
    }

    func syncTail() async throws(LogError) {
        guard let segment = segments.last else { return }
        try await withFile(segment.path) { file throws(IOError) in try await file.sync() }
        pool.statisticsNow.syncs += 1
        if tail.needsDirectorySync {
            try await pool.syncDirectory(of: partition)
            tail.needsDirectorySync = false
        }
        tail.durable = StreamPosition(segment: segment.id, offset: segment.end)
    }

    func settlePersisted() {
        persistedIndex = writtenIndex
        persistedLine = SystemCheckpoint.Line(
            partition: partition, persisted: persistedIndex, raftIndex: tail.lastRaftIndex, chain: tail.last.chain)
        let persisted = PartitionLogPool.Persisted(
            partition: partition, through: persistedIndex, entryCount: unsyncedEntries, byteCount: unsyncedBytes)
        unsyncedEntries = 0
        unsyncedBytes = 0
        pool.onPersisted?(persisted)
    }

    private func writeBatch(through last: PartitionLogIndex) async throws(LogError) {
        let builder = try await beginBatch()
        defer { pool.giveBack(builder) }
        let limit = Int(clamping: pool.configuration.segmentBytes / 2)
        var chain = tail.last.chain
        var count = 0
        var payloadBytes = 0
        while count < buffer.count {
            let payload = buffer.payload(count)
            let verdict = buffer.verdict(count)
            let framed = BatchBuilder.framedBytes(ofPartitionPayload: payload.count)
            let position = buffer.position(count)
            guard verdict != .undecided, position.partitionIndex <= last,
                count == 0 || builder.hasRoom(forFramed: framed), count == 0 || builder.lengthBytes + framed <= limit
            else { break }
            chain = builder.append(position, payload: payload, after: chain, isRefused: verdict == .refused)
            payloadBytes += payload.count
            count += 1
        }
        let last = buffer.position(count - 1)
        try await place(
            builder, first: buffer.position(0).partitionIndex, count: count, payloadBytes: payloadBytes,
            last: PartitionPoint(
                partitionIndex: last.partitionIndex, raftIndex: last.raftIndex, term: last.term, chain: chain))
        // Dropped while it was written: another log takes this one's place, and nobody reads the bytes.
        guard buffer.count >= count else { throw openState.failure ?? .closed }
        let before = buffer.byteCount
        buffer.removeFirst(count)
        bufferStart += UInt64(count)
        buffered.remove(before - buffer.byteCount)
    }

    /// An empty batch for records, announcing the epoch that an opening began.
    func beginBatch() async throws(LogError) -> BatchBuilder {
        if segments.isEmpty { try await begin() }
        let builder = pool.borrowBuilder()
        if let epoch = tail.announces {
            builder.append(
                .recovery(
                    RecoveryRecord(epoch: epoch, acceptedEnd: tail.acceptedEnd, discardedBytes: tail.discardedBytes)))
        }
        return builder
    }

    /// Puts a batch of records at the end of the stream, in a new segment if need be.
    func place(
        _ builder: BatchBuilder, first: PartitionLogIndex, count: Int, payloadBytes: Int, last: PartitionPoint
    ) async throws(LogError) {
        try await makeRoom(for: builder.lengthBytes)
        let offset = segments[segments.count - 1].end
        tail.link = try await write(builder, commitHint: last.raftIndex)
        segments[segments.count - 1].batches.append(.init(firstIndex: first.rawValue, offset: offset))
        tail.last = LogBoundary(
            index: RaftIndex(last.partitionIndex.rawValue), term: last.term, chain: last.chain)
        tail.lastRaftIndex = last.raftIndex
        writtenIndex = last.partitionIndex
        unsyncedEntries += count
        unsyncedBytes += payloadBytes
    }

    /// Writes a control record as a batch of its own and returns its link.
    func writeControl(_ record: ControlRecord) async throws(LogError) {
        let builder = pool.borrowBuilder()
        defer { pool.giveBack(builder) }
        if let epoch = tail.announces, record.announcedEpoch == nil {
            builder.append(
                .recovery(
                    RecoveryRecord(epoch: epoch, acceptedEnd: tail.acceptedEnd, discardedBytes: tail.discardedBytes)))
        } else if let epoch = record.announcedEpoch {
            tail.announces = epoch
        }
        builder.append(record)
        tail.link = try await write(builder, commitHint: tail.lastRaftIndex)
    }

    /// Puts a finished batch at the end of the newest segment.
    private func write(_ builder: BatchBuilder, commitHint: RaftIndex) async throws(LogError) -> PhysicalLink {
        let at = segments.count - 1
        let offset = segments[at].end
        let length = builder.lengthBytes
        let link = builder.finish(
            at: BatchBuilder.Place(
                seed: segments[at].seed, offset: offset, epoch: tail.announces ?? tail.epoch, promise: tail.durable,
                previousLink: tail.link, commitHint: commitHint))
        try await grow(to: offset + UInt64(length))
        try await withFile(segments[at].path) { file throws(IOError) in
            try await file.write(builder.buffer, 0..<length, at: offset, durable: false)
        }
        if let epoch = tail.announces {
            tail.epoch = epoch
            tail.announces = nil
        }
        segments[at].end = offset + UInt64(length)
        pool.statisticsNow.writtenBatches += 1
        pool.statisticsNow.writtenBytes += UInt64(length)
        return link
    }

    /// Doubles the file until it holds so many bytes, by at most 8 MiB a step.
    private func grow(to bytes: UInt64) async throws(LogError) {
        let at = segments.count - 1
        var allocated = segments[at].allocatedBytes
        while allocated < bytes { allocated += min(allocated, Self.largestStep) }
        guard allocated > segments[at].allocatedBytes else { return }
        try await withFile(segments[at].path) { file throws(IOError) in try await file.resize(allocated) }
        segments[at].allocatedBytes = allocated
    }

    /// Rolls when a batch does not fit the newest segment, room for its seal included, and when a cut went back behind
    /// that segment's first record: a segment holds nothing below its first index.
    func makeRoom(for bytes: Int) async throws(LogError) {
        let seal = UInt64(segments[segments.count - 1].alignmentBytes)
        let segment = segments[segments.count - 1]
        let isFull =
            segment.end + UInt64(bytes) + seal > pool.configuration.segmentBytes && !segment.batches.isEmpty
        if isFull || writtenIndex.rawValue + 1 < segment.firstIndex { try await roll() }
    }

    /// The first segment of a log that has none.
    private func begin() async throws(LogError) {
        tail.logID = UniqueID(high: pool.seams.random.next(), low: pool.seams.random.next())
        let carry = CarryRecord(
            identity: identity, epoch: tail.epoch, commitHint: tail.lastRaftIndex, last: tail.last, firstSegment: 1)
        try await addSegment(SegmentID(1), carry)
        tail.durable = StreamPosition.zero
    }

    var identity: LogIdentity {
        var identity = pool.configuration.identity
        identity.log = tail.logID
        return identity
    }

    /// Successor durable first, then everything before the seal, then the seal; only then does the stream go on.
    func roll() async throws(LogError) {
        let old = segments[segments.count - 1]
        let predecessorLink = tail.link
        let carry = CarryRecord(
            identity: identity, epoch: tail.announces ?? tail.epoch, commitHint: tail.lastRaftIndex,
            predecessor: .init(segment: old.id, sealOffset: old.end, link: predecessorLink), last: tail.last,
            firstSegment: segments[0].id)
        try await syncTail()
        try await addSegment(old.id.next, carry)
        let new = segments.removeLast()
        let newLink = tail.link
        tail.link = predecessorLink
        try await writeControl(
            .seal(
                SealRecord(
                    successor: new.id, successorIncarnation: new.incarnation,
                    finalBytes: old.end + UInt64(old.alignmentBytes), successorLink: newLink)))
        try await syncTail()
        segments.append(new)
        tail.link = newLink
        tail.durable = StreamPosition(segment: new.id, offset: new.end)
    }

    /// Makes a segment file with header and carry record, durable with its name.
    private func addSegment(_ id: SegmentID, _ carry: CarryRecord) async throws(LogError) {
        let shard = try await pool.shard(of: partition)
        let incarnation = SegmentIncarnation(pool.seams.random.next())
        let header = SegmentHeader(
            identity: identity, kind: .partition, partition: partition, segment: id, incarnation: incarnation,
            allocatedBytes: Self.smallestAllocation, createdMicroseconds: pool.seams.clock.wallMicroseconds)
        let builder = pool.borrowBuilder()
        defer { pool.giveBack(builder) }
        builder.append(.carry(carry))
        let start = header.firstBatchOffset
        let length = builder.lengthBytes
        let link = builder.finish(
            at: BatchBuilder.Place(
                seed: LinkSeed(header), offset: start, epoch: carry.epoch, promise: tail.durable,
                previousLink: carry.predecessor.link, commitHint: carry.commitHint))
        let block = IOBuffer(count: Int(start))
        block.bytes.initializeMemory(as: UInt8.self, repeating: 0)
        header.encode(into: block.bytes)
        let path = shard.file(partition, id)
        do {
            try await pool.descriptors.with(path, FileMode(.createIfMissing, writable: true)) { file throws(IOError) in
                try await file.resize(0)
                try await file.resize(Self.smallestAllocation)
                try await file.write(block, 0..<block.count, at: 0, durable: false)
                try await file.write(builder.buffer, 0..<length, at: start, durable: false)
                if id > 1 { try await file.sync() }
            }
        } catch { throw pool.writeFailure(error) }
        if shard.segments[partition]?.last != id { shard.segments[partition, default: []].append(id) }
        shard.generation += 1
        segments.append(
            PartitionSegment(
                id: id, path: path, incarnation: incarnation, seed: LinkSeed(header),
                firstIndex: tail.last.index.rawValue + 1, base: tail.last, baseRaftIndex: tail.lastRaftIndex,
                isIndexed: true, end: start + UInt64(length),
                allocatedBytes: Self.smallestAllocation, alignmentBytes: header.alignmentBytes))
        tail.link = link
        if id > 1 { try await pool.syncDirectory(of: partition) } else { tail.needsDirectorySync = true }
    }

    func withFile<Value>(
        _ path: String, _ body: (any File) async throws(IOError) -> Value
    ) async throws(LogError) -> Value {
        do { return try await pool.descriptors.with(path, FileMode(.mustExist, writable: true), body) } catch {
            throw pool.writeFailure(error)
        }
    }
}
