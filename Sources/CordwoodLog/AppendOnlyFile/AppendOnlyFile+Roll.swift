internal import CordwoodBase
internal import CordwoodIO
public import CordwoodRaft

extension AppendOnlyFile {
    /// What a new segment's carry record says beyond what the stream itself knows.
    public typealias CarrySource = (CarryRecord.Predecessor) -> CarryRecord

    /// Makes sure that a batch of `lengthBytes` can be placed: takes a descriptor if there is none, or finishes the
    /// segment and begins the next. Every batch placed before must be durable. Throws `.noSpace` when no file can be
    /// made; nothing has changed then and the call may be repeated.
    public func makeRoom(for lengthBytes: Int, carry: CarrySource) async throws(LogError) {
        if let failure { throw failure }
        try await openActive()
        if !hasRoom(for: lengthBytes) { try await roll(carry: carry) }
    }

    /// Finishes the active segment and begins its successor.
    private func roll(carry: CarrySource) async throws(LogError) {
        let old = active
        guard let oldFile = old.file else { brokenInvariant("\(old.path) is not open") }
        if !policy.syncsBatches { try await sync() }
        onTailEvent?(.sealing(old.header.segment))
        invariant(durable == end, "roll of \(end) with \(durable) durable")

        let predecessor = CarryRecord.Predecessor(segment: old.header.segment, sealOffset: end.offset, link: link)
        let (successor, carryLink, carryEnd) = try await createSegment(
            old.header.segment.next, predecessor: predecessor, promise: durable, carry: carry)

        let seal = BatchBuilder(capacityBytes: alignmentBytes, alignmentBytes: alignmentBytes)
        seal.append(
            .seal(
                SealRecord(
                    successor: successor.header.segment, successorIncarnation: successor.header.incarnation,
                    finalBytes: end.offset + sealBytes, successorLink: carryLink)))
        _ = seal.finish(
            at: .init(
                seed: old.seed, offset: end.offset, epoch: epoch, promise: durable, previousLink: link, commitHint: 0))
        do {
            try await oldFile.write(seal.buffer, 0..<seal.lengthBytes, at: end.offset, durable: true)
        } catch {
            await successor.file?.close()
            throw poison(error)
        }
        segments[segments.count - 1].status = .finalised
        segments[segments.count - 1].endOffset = end.offset + sealBytes
        await oldFile.close()
        activate(successor, link: carryLink, carryEnd: carryEnd)
        onTailEvent?(.sealed(old.header.segment))
        onTailEvent?(.activated(successor.header.segment))
        pool.refill()
    }

    func activate(_ segment: ActiveSegment, link: PhysicalLink, carryEnd: UInt64) {
        active = segment
        self.link = link
        end = StreamPosition(segment: segment.header.segment, offset: carryEnd)
        durable = end
        segments.append(
            SegmentSummary(header: segment.header, path: segment.path, status: .active, endOffset: carryEnd))
    }

    /// Makes a segment's file with header and carry record durable under its final name, its directory synced.
    private func createSegment(
        _ id: SegmentID, predecessor: CarryRecord.Predecessor, promise: StreamPosition, carry: CarrySource
    ) async throws(LogError) -> (ActiveSegment, PhysicalLink, UInt64) {
        do {
            return try await AppendOnlyFile.create(
                id, directory: directory, namePrefix: namePrefix, policy: policy, identity: identity, epoch: epoch,
                alignmentLog2: active.header.alignmentLog2, promise: promise, previousLink: link,
                carry: carry(predecessor), pool: pool, seams: seams)
        } catch {
            throw refusalOrPoison(error)
        }
    }

    private func refusalOrPoison(_ error: IOError) -> LogError {
        switch error.reason {
        case .noSpace, .tooManyFiles: .noSpace(error.description)
        default: poison(error)
        }
    }

    /// Makes a segment's file: header and carry record are durable before the file gets its name, and the name is
    /// durable on return. Gives the segment, the link of its carry batch and where that batch ends.
    static func create(
        _ id: SegmentID, directory: String, namePrefix: String, policy: FilePolicy, identity: LogIdentity,
        epoch: StreamEpoch, alignmentLog2: UInt8, promise: StreamPosition, previousLink: PhysicalLink,
        carry: CarryRecord, pool: SegmentPool, seams: Seams
    ) async throws(IOError) -> (ActiveSegment, PhysicalLink, UInt64) {
        let alignment = 1 << Int(alignmentLog2)
        let builder = BatchBuilder(capacityBytes: 4 * alignment, alignmentBytes: alignment)
        builder.append(.carry(carry))
        let firstBatch = LogFormat.padded(LogFormat.segmentHeaderBytes, to: alignment)
        let header = SegmentHeader(
            identity: identity, kind: .segmented, partition: 0, segment: id,
            incarnation: SegmentIncarnation(seams.random.next()), allocatedBytes: policy.segmentBytes,
            alignmentLog2: alignmentLog2, createdMicroseconds: seams.clock.wallMicroseconds)
        let seed = LinkSeed(header)
        let link = builder.finish(
            at: .init(
                seed: seed, offset: UInt64(firstBatch), epoch: epoch, promise: promise, previousLink: previousLink,
                commitHint: carry.commitHint))
        let start = IOBuffer(count: firstBatch + builder.lengthBytes)
        start.bytes.initializeMemory(as: UInt8.self, repeating: 0)
        header.encode(into: start.bytes)
        UnsafeMutableRawBufferPointer(rebasing: start.bytes[firstBatch...]).copyMemory(
            from: builder.buffer[0..<builder.lengthBytes])

        let name = SegmentName(prefix: namePrefix, segment: id, incarnation: header.incarnation).description
        let path = directory + "/" + name
        let spare = try await pool.take()
        do throws(IOError) {
            let file = try await seams.files.open(
                spare, FileMode(.createIfMissing, writable: true, direct: true))
            do throws(IOError) {
                try await file.write(start, 0..<start.count, at: 0, durable: true)
                try await file.sync()
            } catch {
                await file.close()
                throw error
            }
            await file.close()
            try await seams.files.rename(spare, to: path)
        } catch {
            if error.reason == .noSpace || error.reason == .tooManyFiles { pool.giveBack(spare) }
            throw error
        }
        try await seams.files.syncDirectory(directory)
        let file = try await seams.files.open(path, FileMode(.mustExist, writable: true, direct: true))
        let segment = ActiveSegment(
            header: header, seed: seed, path: path, file: file, fileBytes: policy.segmentBytes)
        return (segment, link, UInt64(start.count))
    }
}
