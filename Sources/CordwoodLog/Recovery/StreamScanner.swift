public import CordwoodBase
public import CordwoodIO
public import CordwoodRaft

/// Reads a stream from its files, segment by segment, and finds where it ends. Takes no lock and writes nothing.
///
/// A batch is accepted when it verifies at its place, its link names the batch before it, and its epoch is the current
/// one or one that its own first record announces. At the first batch that is not accepted, every aligned offset behind
/// it, in this segment and in all later ones, is probed for headers that verify: the highest promise among all that
/// were seen decides. Below it the stream is damaged; at or above it the rest was never acknowledged and is torn, or
/// was never written and the end is clean.
public final class StreamScanner {
    public struct Options: Sendable {
        /// Judge what the device holds instead of what the system has cached.
        public var readsPastCaches = true
        /// A place known to have been durable, from outside the stream.
        public var knownPromise = StreamPosition.zero
        /// How the stream's files are named.
        public var naming = SegmentNaming.segmented
        /// Names in the directory that belong to the caller.
        public var knownNames: Set<String> = []

        public init() {}
    }

    private let directory: String
    private let prefix: String
    private let kind: LogKind
    private let partition: PartitionID
    private let files: any FileSystem
    private let options: Options
    private let scheduler: (any Scheduler)?
    private var catalog = SegmentCatalog()
    private var scan = StreamScan()
    /// The highest Raft index seen behind the accepted end.
    private var highestIndex: RaftIndex = 0

    /// - Parameter scheduler: reads ahead while what was read is being verified; without one nothing is read ahead.
    public init(
        directory: String, prefix: String = "", kind: LogKind, partition: PartitionID = 0, files: any FileSystem,
        options: Options = Options(), scheduler: (any Scheduler)? = nil
    ) {
        self.directory = directory
        self.prefix = prefix
        self.kind = kind
        self.partition = partition
        self.files = files
        self.options = options
        self.scheduler = scheduler
    }

    /// Reads everything. `makeVisitor` may be called more than once; the visitor returned has seen exactly what the
    /// scan accepted. Throws when files cannot be read or are of a version that this one does not know.
    public func run<Visitor: StreamVisitor>(
        _ makeVisitor: () -> Visitor
    ) async throws(LogError) -> (StreamScan, Visitor) {
        do {
            catalog = try await SegmentCatalog.read(
                directory: directory, prefix: prefix, naming: options.naming, pastCaches: options.readsPastCaches,
                ignoring: options.knownNames, files: files)
        } catch {
            throw .unavailable(error.description)
        }
        try refuseUnknownVersions()
        var visitor = makeVisitor()
        resetScan()
        guard !catalog.candidates.isEmpty else { return (scan, visitor) }
        if let damage = mixedFiles() ?? noReadableHeader() {
            scan.verdict = .damaged(damage)
            return (scan, visitor)
        }
        // From the newest segment back, as far as the numbers are without a gap.
        var first = newest
        while best(first.previous) != nil { first = first.previous }
        try await scanRun(from: first, visitor)
        if first > visitor.firstSegment, !scan.segments.isEmpty {
            // Older segments that are still needed are missing: what is intact before the gap is the prefix.
            let promise = scan.promise
            let needed = visitor.firstSegment
            visitor = makeVisitor()
            resetScan()
            scan.promise = promise
            try await scanRun(from: needed, visitor)
        }
        return (scan, visitor)
    }

    private func resetScan() {
        scan = StreamScan()
        scan.unknown = catalog.unknown
        scan.spares = catalog.spares
        scan.promise = options.knownPromise
    }

    // MARK: Candidates

    private var newest: SegmentID {
        catalog.candidates.compactMap { try? $0.header.get().segment }.max() ?? .none
    }

    /// The file of a segment, when one with a sound header exists; of several, the one that the seal names.
    private func best(_ id: SegmentID, incarnation: SegmentIncarnation? = nil) -> SegmentCatalog.Candidate? {
        let sound = catalog.candidates.filter { (try? $0.header.get().segment) == id }
        guard let incarnation else { return sound.first }
        return sound.first { (try? $0.header.get().incarnation) == incarnation }
    }

    private func refuseUnknownVersions() throws(LogError) {
        for candidate in catalog.candidates {
            if case .failure(.unsupported(let what)) = candidate.header {
                throw .unsupportedVersion("\(candidate.path): \(what)")
            }
        }
    }

    /// Files of more than one log, or of another kind, in one directory.
    private func mixedFiles() -> Damage? {
        var known: (identity: LogIdentity, path: String)?
        for candidate in catalog.candidates {
            guard let header = try? candidate.header.get() else { continue }
            guard header.kind == kind, header.partition == partition else {
                return Damage(
                    .foreign, file: candidate.path, offsets: 0..<candidate.fileBytes,
                    detail: "a \(header.kind) segment of partition \(header.partition)")
            }
            if let known, known.identity != header.identity {
                return Damage(
                    .foreign, file: candidate.path, offsets: 0..<candidate.fileBytes,
                    detail: "belongs to log \(header.identity.log) of store \(header.identity.store); "
                        + "\(known.path) belongs to log \(known.identity.log) of store \(known.identity.store)")
            }
            known = (header.identity, candidate.path)
        }
        return nil
    }

    private func noReadableHeader() -> Damage? {
        guard newest == .none, let candidate = catalog.candidates.last else { return nil }
        // A file gets a segment's name only when its header is durable, so this is no interrupted creation.
        return headerDamage(candidate)
    }

    private func headerDamage(_ candidate: SegmentCatalog.Candidate) -> Damage {
        var detail = "no segment header"
        if case .failure(.damaged(let what)) = candidate.header { detail = what }
        return Damage(
            candidate.fileBytes == 0 ? .missing : .corrupt, file: candidate.path,
            offsets: 0..<max(candidate.fileBytes, UInt64(LogFormat.segmentHeaderBytes)), detail: detail)
    }

    /// A segment of which no file with a sound header exists.
    private func missing(_ id: SegmentID, detail: String, from index: RaftIndex?) -> Damage {
        if let candidate = catalog.candidates.first(where: { $0.hint.segment == id && (try? $0.header.get()) == nil }) {
            var damage = headerDamage(candidate)
            damage.kind = .missing
            damage.detail += "; " + detail
            damage.indexes = untrusted(from: index)
            return damage
        }
        return Damage(
            .missing, file: directory + "/" + prefix + hexadecimal(id.rawValue), offsets: 0..<0,
            indexes: untrusted(from: index), detail: detail)
    }

    // MARK: The run of segments

    private func scanRun(from first: SegmentID, _ visitor: some StreamVisitor) async throws(LogError) {
        var id = first
        var seal: SealRecord?
        var used: Set<String> = []
        while true {
            guard let candidate = best(id, incarnation: seal?.successorIncarnation) else {
                if let seal {
                    scan.verdict = .damaged(
                        missing(
                            id, detail: "segment \(seal.successor) is named by its predecessor's seal",
                            from: visitor.nextIndex))
                } else if id == first {
                    scan.verdict = .damaged(missing(id, detail: "segment \(id) is still needed", from: nil))
                }
                break
            }
            used.insert(candidate.path)
            let outcome = try await scanSegment(candidate, expecting: seal, isFirst: id == first, visitor)
            if case .sealed(let next) = outcome {
                seal = next
                id = next.successor
                continue
            }
            if case .rejected = outcome { used.remove(candidate.path) }
            break
        }
        for candidate in catalog.candidates where !used.contains(candidate.path) {
            let isLater = (try? candidate.header.get().segment).map { $0 > scan.end.segment } ?? true
            if case .damaged = scan.verdict, isLater { continue }
            if case .failure(.damaged) = candidate.header {
                // Nothing names it, but it holds something: whoever knows what may look at it.
                scan.unknown.append(candidate.name)
            } else if candidate.hint.segment < visitor.firstSegment || isLater
                || best(candidate.hint.segment) != nil
            {
                scan.leftovers.append((candidate.path, candidate.fileBytes))
            }
        }
    }

    private enum Outcome {
        /// The stream goes on in the successor.
        case sealed(SealRecord)
        /// The verdict has been given.
        case ended
        /// The file is not part of the stream.
        case rejected
    }

    private func scanSegment(
        _ candidate: SegmentCatalog.Candidate, expecting seal: SealRecord?, isFirst: Bool, _ visitor: some StreamVisitor
    ) async throws(LogError) -> Outcome {
        guard let header = try? candidate.header.get() else { return .rejected }
        do {
            let file = try await SegmentCatalog.open(candidate.path, pastCaches: options.readsPastCaches, files: files)
            let cursor = SegmentCursor(
                file: file, header: header, limit: candidate.fileBytes, from: header.firstBatchOffset,
                scheduler: scheduler)
            do {
                let outcome = try await scanSegment(
                    cursor, candidate, header, expecting: seal, isFirst: isFirst, visitor)
                await cursor.close()
                return outcome
            } catch {
                await cursor.close()
                throw error
            }
        } catch let error as IOError {
            throw .unavailable(error.description)
        } catch {
            throw error as? LogError ?? .unavailable("\(error)")
        }
    }

    private func scanSegment(
        _ cursor: SegmentCursor, _ candidate: SegmentCatalog.Candidate, _ header: SegmentHeader,
        expecting seal: SealRecord?, isFirst: Bool, _ visitor: some StreamVisitor
    ) async throws -> Outcome {
        guard candidate.fileBytes >= header.allocatedBytes else {
            let damage = Damage(
                .corrupt, file: candidate.path, offsets: candidate.fileBytes..<header.allocatedBytes,
                indexes: untrusted(from: visitor.nextIndex),
                detail: "\(candidate.fileBytes) bytes, the header says \(header.allocatedBytes)")
            scan.verdict = .damaged(damage)
            return .ended
        }
        guard
            let (carry, carryBatch) = try await readCarry(cursor), carry.identity == header.identity,
            isFirst || (carryBatch.header.previousLink == scan.link && carryBatch.header.epoch == scan.epoch),
            seal.map({ $0.successorLink == carryBatch.link }) ?? true
        else {
            scan.verdict = .damaged(
                Damage(
                    .corrupt, file: candidate.path, offsets: header.firstBatchOffset..<candidate.fileBytes,
                    indexes: untrusted(from: visitor.nextIndex),
                    detail: "segment \(header.segment) does not begin with the carry record that its place asks for"))
            return .ended
        }
        do { try visitor.begin(header, carry: carry, isFirst: isFirst) } catch {
            return contradiction(error, candidate.path, header.firstBatchOffset..<carryBatch.end, visitor)
        }
        scan.epoch = carryBatch.header.epoch
        scan.segments.append(
            StreamScan.Segment(
                name: candidate.name, path: candidate.path, header: header, fileBytes: candidate.fileBytes,
                carry: carry, epoch: scan.epoch, batchCount: 0, endOffset: header.firstBatchOffset, seal: nil))
        accepted(carryBatch, cursor)
        var stop: (reason: String, isMisdirected: Bool)
        scanning: while true {
            switch try await cursor.read() {
            case .batch(let batch):
                if let reason = rejection(of: batch) {
                    stop = (reason, batch.header.epoch >= scan.epoch)
                    break scanning
                }
                if let (next, isAlone) = Self.seal(of: batch) {
                    guard next.finalBytes == batch.end, next.successor == header.segment.next else {
                        return contradiction(
                            StreamFault("the seal names segment \(next.successor) and \(next.finalBytes) bytes"),
                            candidate.path, batch.offset..<batch.end, visitor)
                    }
                    if !isAlone {
                        do { try visitor.accept(batch, in: header) } catch {
                            return contradiction(error, candidate.path, batch.offset..<batch.end, visitor)
                        }
                    }
                    accepted(batch, cursor)
                    // The successor's carry batch names the batch before the seal.
                    scan.link = batch.header.previousLink
                    scan.segments[scan.segments.count - 1].seal = next
                    return .sealed(next)
                }
                do { try visitor.accept(batch, in: header) } catch {
                    return contradiction(error, candidate.path, batch.offset..<batch.end, visitor)
                }
                accepted(batch, cursor)
            case .brokenBody(_, let reason):
                stop = (reason, false)
                break scanning
            case .unsupported(let found, let reason):
                guard found.epoch >= scan.epoch else {
                    stop = (reason, false)
                    break scanning
                }
                throw LogError.unsupportedVersion("\(candidate.path) at \(cursor.offset): \(reason)")
            case .incomplete, .none:
                stop = ("no batch header verifies", false)
                break scanning
            }
        }
        try await judge(cursor, candidate, stop, visitor)
        return .ended
    }

    private func accepted(_ batch: BatchView, _ cursor: SegmentCursor) {
        scan.link = batch.link
        scan.epoch = batch.header.epoch
        scan.promise = max(scan.promise, batch.header.promise)
        cursor.offset = batch.end
        scan.end = StreamPosition(segment: scan.segments[scan.segments.count - 1].header.segment, offset: batch.end)
        scan.segments[scan.segments.count - 1].endOffset = batch.end
        scan.segments[scan.segments.count - 1].batchCount += 1
        scan.segments[scan.segments.count - 1].epoch = batch.header.epoch
    }

    private func readCarry(_ cursor: SegmentCursor) async throws(IOError) -> (CarryRecord, BatchView)? {
        guard case .batch(let batch) = try await cursor.read(), let record = batch.records.first(where: { _ in true }),
            let control = try? record.control(), case .carry(let carry) = control, carry.epoch == batch.header.epoch
        else { return nil }
        return (carry, batch)
    }

    /// Why a batch that verifies is not the next one of the stream.
    private func rejection(of batch: BatchView) -> String? {
        let header = batch.header
        if header.epoch < scan.epoch { return "a batch of epoch \(header.epoch), before the current \(scan.epoch)" }
        if header.previousLink != scan.link {
            return "the batch follows \(header.previousLink), not \(scan.link)"
        }
        if header.epoch > scan.epoch {
            guard let record = batch.records.first(where: { _ in true }), let control = try? record.control(),
                control.announcedEpoch == header.epoch
            else { return "epoch \(header.epoch) is not announced" }
        }
        return nil
    }

    /// The seal in a segment's last batch: by itself, or behind the record that announces the batch's epoch, where the
    /// first thing that was written after an opening is a roll.
    private static func seal(of batch: BatchView) -> (seal: SealRecord, isAlone: Bool)? {
        var isAlone = true
        for record in batch.records {
            guard let control = try? record.control() else { return nil }
            if case .seal(let seal) = control { return (seal, isAlone) }
            guard isAlone, control.announcedEpoch != nil else { return nil }
            isAlone = false
        }
        return nil
    }

    private func contradiction(
        _ fault: StreamFault, _ path: String, _ offsets: Range<UInt64>, _ visitor: some StreamVisitor
    ) -> Outcome {
        scan.verdict = .damaged(
            Damage(
                .corrupt, file: path, offsets: offsets,
                indexes: untrusted(from: visitor.nextIndex), detail: fault.reason))
        return .ended
    }

    // MARK: The verdict

    /// What the headers behind the accepted end say.
    private struct Probe {
        /// Headers of the current or a later epoch that verify.
        var batches = 0
        /// Where the last of them would end.
        var until: UInt64 = 0
        var sawNonZero = false
    }

    private func judge(
        _ cursor: SegmentCursor, _ candidate: SegmentCatalog.Candidate,
        _ stop: (reason: String, isMisdirected: Bool), _ visitor: some StreamVisitor
    ) async throws {
        let end = scan.end
        let probe = try await probe(cursor)
        for later in catalog.candidates {
            guard let header = try? later.header.get(), header.segment > end.segment else { continue }
            let file = try await SegmentCatalog.open(later.path, pastCaches: options.readsPastCaches, files: files)
            let cursor = SegmentCursor(
                file: file, header: header, limit: later.fileBytes, from: header.firstBatchOffset,
                scheduler: scheduler)
            do {
                _ = try await self.probe(cursor)
            } catch {
                await cursor.close()
                throw error
            }
            await cursor.close()
        }
        if scan.promise > end {
            let until = scan.promise.segment == end.segment ? scan.promise.offset : candidate.fileBytes
            scan.verdict = .damaged(
                Damage(
                    stop.isMisdirected ? .misdirected : .corrupt, file: candidate.path, offsets: end.offset..<until,
                    indexes: untrusted(from: visitor.nextIndex),
                    detail: "\(stop.reason); durable up to \(scan.promise)"))
        } else if probe.batches > 0 {
            scan.verdict = .torn(until: probe.until, batches: probe.batches, reason: stop.reason)
        } else {
            scan.verdict = .clean
        }
    }

    private func noteIndexes(_ batch: BatchView) {
        batch.forEachRecord { record in
            let index: RaftIndex?
            switch record.header.kind {
            case .entry: index = try? record.entryHeader().raftIndex
            case .partitionEntry: index = try? record.partitionHeader().position.raftIndex
            case .carry:
                guard let control = try? record.control(), case .carry(let carry) = control else { return }
                index = carry.last.index
            default: index = nil
            }
            if let index { highestIndex = max(highestIndex, index) }
        }
    }

    /// The indexes that damage behind the accepted end concerns: up to the highest one seen behind it, at least one.
    private func untrusted(from index: RaftIndex?) -> Range<RaftIndex>? {
        index.map { $0..<max($0, highestIndex).next }
    }

    /// Looks at every aligned offset from the cursor on for headers that verify.
    private func probe(_ cursor: SegmentCursor) async throws(IOError) -> Probe {
        var probe = Probe()
        while try await cursor.advanceToMarker(nonZero: &probe.sawNonZero) {
            let header: BatchHeader?
            switch try await cursor.read() {
            case .batch(let batch):
                header = batch.header
                if batch.header.epoch >= scan.epoch { noteIndexes(batch) }
            case .brokenBody(let found, _), .unsupported(let found, _), .incomplete(let found, _): header = found
            case .none: header = nil
            }
            if let header {
                scan.promise = max(scan.promise, header.promise)
                if header.epoch >= scan.epoch {
                    probe.batches += 1
                    let end = cursor.offset + UInt64(header.lengthBytes)
                    probe.until = max(probe.until, min(end, cursor.limit))
                }
            }
            cursor.offset += UInt64(cursor.alignmentBytes)
        }
        return probe
    }
}
