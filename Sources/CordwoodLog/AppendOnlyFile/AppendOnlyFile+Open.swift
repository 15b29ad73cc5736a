internal import CordwoodBase
public import CordwoodIO
public import CordwoodRaft

extension AppendOnlyFile {
    /// Begins a new stream in a directory that exists: its first segment, with `carry` as its state, is durable on
    /// return.
    public static func begin(
        directory: String, namePrefix: String = "", policy: FilePolicy, identity: LogIdentity, carry: CarryRecord,
        spares: [String] = [], seams: Seams
    ) async throws(LogError) -> AppendOnlyFile {
        let pool = makePool(directory, policy, seams)
        do throws(IOError) {
            try await pool.adopt(spares)
            let alignment = try await learnedAlignmentLog2(pool, seams)
            let first = StreamPosition(segment: 1, offset: 0)
            let (segment, link, carryEnd) = try await create(
                first.segment, directory: directory, namePrefix: namePrefix, policy: policy, identity: identity,
                epoch: carry.epoch, alignmentLog2: alignment, promise: .zero, previousLink: .zero,
                carry: carry, pool: pool, seams: seams)
            let stream = AppendOnlyFile(
                directory: directory, namePrefix: namePrefix, policy: policy, identity: identity, epoch: carry.epoch,
                end: first, link: link, segments: [], active: segment, pool: pool, seams: seams)
            stream.activate(segment, link: link, carryEnd: carryEnd)
            return stream
        } catch {
            throw error.reason == .noSpace ? .noSpace(error.description) : .unavailable(error.description)
        }
    }

    /// Goes on with a stream that was read and found clean or torn, in the order that a crash at any point allows: what
    /// was never promised and is discarded is copied, what was readable but not promised is made durable again, a torn
    /// batch at the accepted end is made invalid for good, and a recovery record begins a new epoch. Repeating it after
    /// a crash at any point gives the same stream.
    public static func resume(
        _ scan: StreamScan, directory: String, namePrefix: String = "", policy: FilePolicy, identity: LogIdentity,
        carry: CarrySource, seams: Seams
    ) async throws(LogError) -> AppendOnlyFile {
        guard let last = scan.segments.last, scan.damage == nil else {
            throw .invalidArgument("a damaged stream cannot be written")
        }
        let pool = makePool(directory, policy, seams)
        let copies: [KeptCopy]
        do throws(IOError) {
            try await pool.adopt(scan.spares)
            try await keepDiscarded(scan, last, seams.files)
            copies = try await harden(scan, directory, namePrefix, seams.files)
            try await scrub(scan, last, seams)
        } catch {
            throw error.reason == .noSpace ? .noSpace(error.description) : .unavailable(error.description)
        }
        let stream = AppendOnlyFile(
            directory: directory, namePrefix: namePrefix, policy: policy, identity: identity, epoch: scan.epoch,
            end: scan.end, link: scan.link, segments: scan.segments.map(summary),
            active: ActiveSegment(
                header: last.header, seed: LinkSeed(last.header), path: last.path, file: nil,
                fileBytes: last.fileBytes), pool: pool, seams: seams)
        stream.segments[stream.segments.count - 1].status = .active
        try await stream.recordRecovery(of: scan, carry: carry)
        for copy in copies { await copy.remove(seams.files) }
        return stream
    }

    private static func summary(_ segment: StreamScan.Segment) -> SegmentSummary {
        SegmentSummary(header: segment.header, path: segment.path, status: .finalised, endOffset: segment.endOffset)
    }

    private static func makePool(_ directory: String, _ policy: FilePolicy, _ seams: Seams) -> SegmentPool {
        SegmentPool(
            directory: directory, segmentBytes: policy.segmentBytes, spareCount: policy.spareCount,
            keepsReserve: policy.keepsReserve, seams: seams)
    }

    /// The alignment that direct I/O asks for in this directory, at least the default.
    private static func learnedAlignmentLog2(_ pool: SegmentPool, _ seams: Seams) async throws(IOError) -> UInt8 {
        let path = try await pool.take()
        let file = try await seams.files.open(path, FileMode(.mustExist, writable: true, direct: true))
        let alignment = file.alignmentBytes
        await file.close()
        pool.giveBack(path)
        var log2 = LogFormat.defaultAlignmentLog2
        while 1 << Int(log2) < alignment { log2 += 1 }
        return log2
    }

    /// Copies discarded bytes beside the segment. Without space for the copy the recovery goes on.
    private static func keepDiscarded(
        _ scan: StreamScan, _ last: StreamScan.Segment, _ files: any FileSystem
    ) async throws(IOError) {
        guard case .torn(let until, _, _) = scan.verdict, until > scan.end.offset else { return }
        let path = last.path + "." + hexadecimal(scan.end.offset) + ".broken"
        do throws(IOError) {
            let source = try await files.open(last.path, FileMode(.mustExist, writable: false))
            let copy = try await files.open(path, FileMode(.createIfMissing, writable: true))
            let buffer = IOBuffer(count: SegmentCursor.chunkBytes)
            var offset = scan.end.offset
            while offset < until {
                let wanted = Int(min(UInt64(buffer.count), until - offset))
                let count = try await source.read(into: buffer, 0..<wanted, at: offset)
                guard count > 0 else { break }
                try await copy.write(buffer, 0..<count, at: offset - scan.end.offset, durable: false)
                offset += UInt64(count)
            }
            try await copy.sync()
            await copy.close()
            await source.close()
        } catch {
            guard error.reason == .noSpace else { throw error }
            try? await files.remove(path)
        }
    }

    /// Writes what was readable but not promised again, in place and with identical bytes, through the durable path.
    /// Before a piece is written a copy of it is durable elsewhere; gives these copies, as far as there was room.
    private static func harden(
        _ scan: StreamScan, _ directory: String, _ prefix: String, _ files: any FileSystem
    ) async throws(IOError) -> [KeptCopy] {
        var copies: [KeptCopy] = []
        for segment in scan.segments where segment.position > scan.promise {
            let start =
                segment.header.segment == scan.promise.segment
                ? max(scan.promise.offset, segment.header.firstBatchOffset) : segment.header.firstBatchOffset
            let file = try await files.open(segment.path, FileMode(.mustExist, writable: true, direct: true))
            do throws(IOError) {
                let buffer = IOBuffer(count: SegmentCursor.chunkBytes)
                var offset = start
                while offset < segment.endOffset {
                    let wanted = Int(min(UInt64(buffer.count), segment.endOffset - offset))
                    let count = try await file.read(into: buffer, 0..<wanted, at: offset)
                    guard count == wanted else {
                        throw IOError(.device, operation: "read", subject: segment.path)
                    }
                    if let name = SegmentName(segment.name, prefix: prefix) {
                        let copy = KeptCopy(directory: directory, segment: name, offset: offset)
                        if try await copy.write(buffer[0..<count], files) { copies.append(copy) }
                    }
                    try await file.write(buffer, 0..<count, at: offset, durable: true)
                    offset += UInt64(count)
                }
                try await file.sync()
            } catch {
                await file.close()
                throw error
            }
            await file.close()
        }
        return copies
    }

    /// Makes a torn batch at the accepted end invalid for good, before anything is written over it: its first block is
    /// filled with bytes that nobody could foresee.
    ///
    /// A batch may lack nothing but zeros of its padding. What is written over it, torn by another crash, could bring
    /// just these, and the next recovery would keep what this one dropped. Behind this write it cannot: a sector of it
    /// that persists is none of the batch's, and the block's first sector is the batch's header.
    private static func scrub(
        _ scan: StreamScan, _ last: StreamScan.Segment, _ seams: Seams
    ) async throws(IOError) {
        guard case .torn = scan.verdict else { return }
        let block = IOBuffer(count: last.header.alignmentBytes)
        guard scan.end.offset + UInt64(block.count) <= last.fileBytes else { return }
        var offset = 0
        while offset < block.count {
            block.bytes.storeBytes(of: seams.random.next() | 1, toByteOffset: offset, as: UInt64.self)
            offset += 8
        }
        let file = try await seams.files.open(last.path, FileMode(.mustExist, writable: true, direct: true))
        do throws(IOError) {
            try await file.write(block, 0..<block.count, at: scan.end.offset, durable: true)
            try await file.sync()
        } catch {
            await file.close()
            throw error
        }
        await file.close()
    }

    private func recordRecovery(of scan: StreamScan, carry: CarrySource) async throws(LogError) {
        var discarded: UInt64 = 0
        if case .torn(let until, _, _) = scan.verdict { discarded = until - min(until, scan.end.offset) }
        let builder = BatchBuilder(capacityBytes: alignmentBytes, alignmentBytes: alignmentBytes)
        builder.append(
            .recovery(RecoveryRecord(epoch: scan.epoch.next, acceptedEnd: scan.end, discardedBytes: discarded)))
        try await makeRoom(for: builder.lengthBytes, carry: carry)
        epoch = scan.epoch.next
        let batch = place(builder, commitHint: 0)
        try await write(batch)
        if policy.syncsBatches { markDurable(to: batch.end, bytes: batch.lengthBytes) } else { try await sync() }
    }

    /// Removes files that a scan found to be no part of the stream, or keeps them as spares.
    public func discard(_ leftovers: [(path: String, bytes: UInt64)]) async throws(LogError) {
        guard !leftovers.isEmpty else { return }
        do throws(IOError) {
            for leftover in leftovers {
                try await pool.recycle(leftover.path, bytes: leftover.bytes)
            }
            try await seams.files.syncDirectory(directory)
        } catch {
            throw .unavailable(error.description)
        }
    }

    /// Frees the segments before `first`: their files are recycled or removed. A record that says so must be durable.
    public func release(before first: SegmentID) async throws(LogError) {
        var freed: [(path: String, bytes: UInt64)] = []
        while let segment = segments.first, segment.segment < first, segments.count > 1 {
            freed.append((segment.path, segment.header.allocatedBytes))
            segments.removeFirst()
        }
        try await discard(freed)
    }
}
