public import CordwoodBase
public import CordwoodIO
public import CordwoodRaft

/// What can still be read of a segmented log that cannot be opened: every batch that verifies at its place, and what
/// the log must have been according to them.
///
/// Batches are taken in the order of the stream, by themselves. One that follows the one before it must name it; behind
/// a gap one of the current or a later epoch is taken, so that what a recovery had discarded is not. A segment whose
/// header is damaged is read by what its name and the other headers say. What the batches make of the log is the same
/// as in any reading of it, with holes where entries are lacking; the entry chain says of whatever fills them whether
/// it is what stood there.
///
/// Two things a hole may have swallowed that no other replica knows: a vote, and entries at the end of the log.
/// `isVoteCertain` and `isTailCertain` say when that can be ruled out.
public final class LogSalvage {
    public private(set) var identity: LogIdentity
    /// The newest vote that can be read.
    public private(set) var vote = Vote.none
    /// False when a later vote may have been lost.
    public private(set) var isVoteCertain = true
    /// False when entries behind `last` may have been lost.
    public private(set) var isTailCertain = true
    /// The log starts behind this entry.
    public private(set) var boundary = LogBoundary.zero
    /// The last entry that can be read.
    public private(set) var last = LogBoundary.zero
    public private(set) var commitHint: RaftIndex = 0
    public private(set) var gates: [GateRecord] = []
    public private(set) var epoch: StreamEpoch = 0
    /// The newest system checkpoint that is complete, and the last entry before it.
    public private(set) var checkpoint: (value: SystemCheckpoint, behind: RaftIndex)?
    /// A Raft snapshot's installation that no checkpoint has followed.
    public private(set) var installation: InstallRecord?

    private struct Place {
        var first: RaftIndex
        var last: RaftIndex
        var path: String
        var offsets: Range<UInt64>
        var seed: LinkSeed
        var alignmentBytes: Int
    }

    /// Where the entries of the log stand, ascending and without overlap.
    private var places: [Place] = []
    private var pieces = CheckpointAssembly()
    private var end = StreamPosition.zero
    private var promise = StreamPosition.zero
    /// The last record of the last segment read was a seal.
    private var isSealed = false
    private let files: any FileSystem

    private init(_ identity: LogIdentity, _ files: any FileSystem) {
        self.identity = identity
        self.files = files
    }

    /// Looks through the segments of a directory. `nil` when not even one tells whose log it is.
    public static func read(_ directory: String, files: any FileSystem) async throws(LogError) -> LogSalvage? {
        do throws(IOError) {
            let catalog = try await SegmentCatalog.read(
                directory: directory, prefix: "", naming: .segmented, pastCaches: true,
                ignoring: [SegmentedLogStore.lockName], files: files)
            let headers = catalog.candidates.compactMap { try? $0.header.get() }.filter { $0.kind == .segmented }
            guard let identity = headers.max(by: { $0.segment < $1.segment })?.identity else { return nil }
            let salvage = LogSalvage(identity, files)
            try await salvage.read(catalog)
            return salvage
        } catch { throw .unavailable(error.description) }
    }

    private func read(_ catalog: SegmentCatalog) async throws(IOError) {
        var segments: [SegmentID: (header: SegmentHeader, candidate: SegmentCatalog.Candidate)] = [:]
        for candidate in catalog.candidates {
            let header = header(of: candidate)
            if header.identity != identity || header.kind != .segmented { continue }
            // Of two files of one number the one with a header that verifies is more likely to be the one in use.
            if segments[header.segment] != nil, (try? candidate.header.get()) == nil { continue }
            segments[header.segment] = (header, candidate)
        }
        var previous: SegmentID?
        for id in segments.keys.sorted() {
            guard let (header, candidate) = segments[id] else { continue }
            if let previous, id != previous.next || !isSealed { noteHole() }
            try await read(header, candidate)
            previous = id
        }
        // What is lacking at the end may have been a vote as well.
        if promise > end || isSealed { (isTailCertain, isVoteCertain) = (false, false) }
        commitHint = min(commitHint, last.index)
    }

    /// The header, or what it must have said.
    private func header(of candidate: SegmentCatalog.Candidate) -> SegmentHeader {
        if let header = try? candidate.header.get() { return header }
        return SegmentHeader(
            identity: identity, kind: .segmented, segment: candidate.hint.segment,
            incarnation: candidate.hint.incarnation, allocatedBytes: candidate.fileBytes, createdMicroseconds: 0)
    }

    // MARK: Reading

    private func read(_ header: SegmentHeader, _ candidate: SegmentCatalog.Candidate) async throws(IOError) {
        let file = try await SegmentCatalog.open(candidate.path, pastCaches: true, files: files)
        let cursor = SegmentCursor(
            file: file, header: header, limit: candidate.fileBytes, from: header.firstBatchOffset)
        isSealed = false
        var expected = header.firstBatchOffset
        var link: PhysicalLink?
        var sawNonZero = false
        while !cursor.isAtLimit, !isSealed {
            do throws(IOError) {
                guard try await cursor.advanceToMarker(nonZero: &sawNonZero) else { break }
                let reading = try await cursor.read()
                guard case .batch(let batch) = reading else {
                    if let header = reading.header, header.epoch >= epoch { promise = max(promise, header.promise) }
                    cursor.offset += UInt64(cursor.alignmentBytes)
                    continue
                }
                let follows = batch.offset == expected && (link == nil || batch.header.previousLink == link)
                // What stands right behind the end and does not follow it was discarded, and all behind it.
                if batch.offset == expected, !follows { break }
                if batch.header.epoch < epoch {
                    cursor.offset = batch.end
                    continue
                }
                if !follows { noteHole() }
                take(
                    batch,
                    Place(
                        first: 0, last: 0, path: candidate.path, offsets: batch.offset..<batch.end, seed: cursor.seed,
                        alignmentBytes: cursor.alignmentBytes))
                end = StreamPosition(segment: header.segment, offset: batch.end)
                expected = batch.end
                link = batch.link
                cursor.offset = batch.end
            } catch {
                guard error.reason == .device else {
                    await cursor.close()
                    throw error
                }
                cursor.offset += UInt64(cursor.alignmentBytes)
            }
        }
        await cursor.close()
    }

    /// Something is lacking here: it may have been anything.
    private func noteHole() {
        isVoteCertain = false
        pieces = CheckpointAssembly()
    }

    private func take(_ batch: BatchView, _ place: Place) {
        epoch = batch.header.epoch
        promise = max(promise, batch.header.promise)
        commitHint = max(commitHint, batch.header.commitHint)
        for record in batch.records {
            if record.header.kind == .entry {
                guard let entry = try? record.entryHeader() else { return }
                take(entry, place)
            } else if record.header.kind != nil, let control = try? record.control() {
                take(control, end.segment, batch.offset)
            }
        }
    }

    private func take(_ entry: SegmentedRecordHeader, _ place: Place) {
        drop(from: entry.raftIndex)
        if let at = places.indices.last, places[at].path == place.path, places[at].offsets == place.offsets {
            places[at].last = entry.raftIndex
        } else {
            var place = place
            (place.first, place.last) = (entry.raftIndex, entry.raftIndex)
            places.append(place)
        }
        last = LogBoundary(index: entry.raftIndex, term: entry.term, chain: entry.chain)
    }

    /// Entries from an index on are none of the log any more.
    private func drop(from index: RaftIndex) {
        while let place = places.last, place.last >= index {
            if place.first < index {
                places[places.count - 1].last = index.previous
                break
            }
            places.removeLast()
        }
    }

    private func take(_ control: ControlRecord, _ segment: SegmentID, _ offset: UInt64) {
        switch control {
        case .vote(let vote): restate(vote)
        case .carry(let carry):
            restate(carry.vote)
            gates = carry.gates
            boundary = carry.boundary
            commitHint = max(commitHint, carry.commitHint)
            end(at: carry.last)
        case .truncation(let record): end(at: record.last)
        case .boundary(let record):
            boundary = record
            if record.index > last.index { end(at: record) }
        case .install(let record):
            drop(from: 0)
            (boundary, last, installation) = (record.boundary, record.boundary, record)
            commitHint = record.boundary.index
        case .checkpoint(let piece):
            if let found = try? pieces.add(piece, segment, offset) {
                checkpoint = (found.value, last.index)
                installation = nil
            }
        case .recovery: pieces = CheckpointAssembly()
        case .gate(let gate): gates.append(gate)
        case .seal: isSealed = true
        case .promise, .release: break
        }
    }

    private func restate(_ vote: Vote) {
        self.vote = vote
        isVoteCertain = true
    }

    private func end(at position: LogBoundary) {
        drop(from: position.index.next)
        last = position
    }

    // MARK: Giving

    /// Entries that go on from a position by the entry chain, through `limit` at most, at most `maxBytes` of payload or
    /// one. Empty when the next one cannot be read.
    public func entries(
        after position: LogBoundary, through limit: RaftIndex, maxBytes: Int
    ) async throws(LogError) -> [Entry] {
        var found: [Entry] = []
        var chain = position.chain
        var next = position.index.next
        var bytes = 0
        while next <= limit, bytes < maxBytes, let place = place(of: next) {
            let buffer = IOBuffer(count: place.offsets.count)
            guard try await fill(buffer, from: place),
                case .batch(let batch) = BatchReading.decode(
                    buffer[0..<buffer.count], at: place.offsets.lowerBound, seed: place.seed,
                    alignmentBytes: place.alignmentBytes)
            else { return found }
            let before = next
            for record in batch.records where record.header.kind == .entry {
                guard let entry = try? record.entry() else { return found }
                if entry.index < next { continue }
                guard entry.index == next, next <= min(limit, place.last),
                    record.entryChain(after: chain) == entry.chain,
                    found.isEmpty || bytes + entry.payload.count <= maxBytes
                else { return found }
                chain = entry.chain
                bytes += entry.payload.count
                next = next.next
                found.append(entry)
            }
            if next == before { return found }
        }
        return found
    }

    private func place(of index: RaftIndex) -> Place? {
        var low = 0
        var high = places.count
        while low < high {
            let middle = (low + high) / 2
            if places[middle].last < index { low = middle + 1 } else { high = middle }
        }
        return low < places.count && places[low].first <= index ? places[low] : nil
    }

    private func fill(_ buffer: IOBuffer, from place: Place) async throws(LogError) -> Bool {
        do throws(IOError) {
            let file = try await files.open(place.path, FileMode(.mustExist, writable: false))
            do throws(IOError) {
                let count = try await file.read(into: buffer, 0..<buffer.count, at: place.offsets.lowerBound)
                await file.close()
                return count == buffer.count
            } catch {
                await file.close()
                if error.reason == .device { return false }
                throw error
            }
        } catch { throw .unavailable("\(error)") }
    }
}

extension BatchReading {
    /// The header of what begins here, if it verifies.
    fileprivate var header: BatchHeader? {
        switch self {
        case .batch(let batch): batch.header
        case .incomplete(let header, _), .brokenBody(let header, _), .unsupported(let header, _): header
        case .none: nil
        }
    }
}
