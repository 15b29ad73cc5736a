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
            try await pool?.adopt(spares)
            let alignment = try await learnedAlignmentLog2(directory, policy, pool, seams)
            let first = StreamPosition(segment: 1, offset: 0)
            let (segment, link, carryEnd) = try await create(
                first.segment, directory: directory, namePrefix: namePrefix, policy: policy, identity: identity,
                epoch: carry.epoch, alignmentLog2: alignment, holding: 0, promise: .zero, previousLink: .zero,
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
    /// was never promised and is discarded is copied, what was readable but not promised is made durable again, and a
    /// recovery record begins a new epoch. Repeating it after a crash gives the same stream.
    public static func resume(
        _ scan: StreamScan, directory: String, namePrefix: String = "", policy: FilePolicy, identity: LogIdentity,
        carry: CarrySource, seams: Seams
    ) async throws(LogError) -> AppendOnlyFile {
        guard let last = scan.segments.last, scan.damage == nil else {
            throw .invalidArgument("a damaged stream cannot be written")
        }
        let pool = makePool(directory, policy, seams)
        do throws(IOError) {
            if let pool {
                try await pool.adopt(scan.spares)
            } else {
                for name in scan.spares { try await seams.files.remove(directory + "/" + name) }
            }
            try await keepDiscarded(scan, last, seams.files)
            try await harden(scan, seams.files)
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
        return stream
    }

    private static func summary(_ segment: StreamScan.Segment) -> SegmentSummary {
        SegmentSummary(header: segment.header, path: segment.path, status: .finalised, endOffset: segment.endOffset)
    }

    private static func makePool(_ directory: String, _ policy: FilePolicy, _ seams: Seams) -> SegmentPool? {
        guard policy.isPreallocated else { return nil }
        return SegmentPool(
            directory: directory, segmentBytes: policy.segmentBytes, spareCount: policy.spareCount,
            keepsReserve: policy.keepsReserve, seams: seams)
    }

    /// The alignment that direct I/O asks for in this directory, at least the default.
    private static func learnedAlignmentLog2(
        _ directory: String, _ policy: FilePolicy, _ pool: SegmentPool?, _ seams: Seams
    ) async throws(IOError) -> UInt8 {
        guard let pool else { return LogFormat.defaultAlignmentLog2 }
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
    private static func harden(_ scan: StreamScan, _ files: any FileSystem) async throws(IOError) {
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
        if !policy.isDurablePerWrite { try await sync() } else { markDurable(to: batch.end, bytes: batch.lengthBytes) }
    }

    /// Removes files that a scan found to be no part of the stream, or keeps them as spares.
    public func discard(_ leftovers: [(path: String, bytes: UInt64)]) async throws(LogError) {
        guard !leftovers.isEmpty else { return }
        do throws(IOError) {
            for leftover in leftovers {
                if let pool {
                    try await pool.recycle(leftover.path, bytes: leftover.bytes)
                } else {
                    try await seams.files.remove(leftover.path)
                }
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
