public import CordwoodBase
internal import CordwoodIO
public import CordwoodRaft

extension SegmentedLogStore {
    public func entry(at index: RaftIndex) async throws(LogError) -> Entry {
        if health == .closed { throw .closed }
        if index >= startIndex, let entry = recent[index] { return entry }
        let found = try await entries(in: index..<index.next, maxBytes: nil)
        guard let entry = found.first else { throw .notFound(index) }
        return entry
    }

    public func entries(in range: Range<RaftIndex>, maxBytes: Int?) async throws(LogError) -> [Entry] {
        if health == .closed { throw .closed }
        var result: [Entry] = []
        var bytes = 0
        var next = range.lowerBound
        var seen = revision
        while next < range.upperBound {
            if revision != seen {
                // What was read may have been dropped while a read awaited: begin again.
                seen = revision
                result = []
                bytes = 0
                next = range.lowerBound
            }
            guard range.lowerBound >= startIndex else { throw .purged(range.lowerBound) }
            guard next < nextIndex else { throw .notFound(next) }
            let room = maxBytes.map { $0 - bytes } ?? .max
            var part: [Entry]
            if next >= recent.firstIndex {
                part = takeRecent(next..<min(range.upperBound, nextIndex), room: room, isFirst: result.isEmpty)
            } else {
                let end = min(range.upperBound, recent.firstIndex)
                part = try await readBack(next..<end, room: room, isFirst: result.isEmpty)
                if revision != seen { continue }
            }
            guard let last = part.last else { break }
            next = last.index.next
            for entry in part { bytes += entry.payload.count }
            if result.isEmpty { swap(&result, &part) } else { result.append(contentsOf: part) }
            if let maxBytes, bytes > maxBytes { break }
        }
        return result
    }

    /// The longest prefix of a range of recent entries that fits; at least one when it is the first part.
    func takeRecent(_ range: Range<RaftIndex>, room: Int, isFirst: Bool) -> [Entry] {
        var left = room
        var end = range.lowerBound
        while end < range.upperBound, let entry = recent[end] {
            left -= entry.payload.count
            if left < 0, !(isFirst && end == range.lowerBound) { break }
            end = end.next
        }
        return Array(recent.values(in: range.lowerBound..<end))
    }

    /// Reads every durable entry back from its segment and checks the entry chain through them. Gives the payload bytes
    /// that were checked, and what is damaged.
    public func verify() async throws(LogError) -> (checkedBytes: UInt64, damages: [Damage]) {
        var checkedBytes: UInt64 = 0
        var damages: [Damage] = []
        var next = startIndex
        var previous: ChainValue?
        while next <= durable {
            if health == .closed { throw .closed }
            if next < startIndex { (next, previous) = (startIndex, nil) }
            do throws(LogError) {
                let entries = try await readBack(next..<durable.next, room: 4 << 20, isFirst: true)
                guard let first = entries.first, let last = entries.last else { continue }
                let anchor = previous.map { LogBoundary(index: next.previous, term: 0, chain: $0) }
                let rest = anchor == nil ? Array(entries.dropFirst()) : entries
                let before = anchor ?? LogBoundary(index: first.index, term: 0, chain: first.chain)
                if !rest.isEmpty, LogExport.encodeRun(rest, after: before) == nil {
                    throw .corrupt(
                        Damage(
                            .corrupt, file: directory, offsets: 0..<0, indexes: first.index..<last.index.next,
                            detail: "the entry chain breaks"))
                }
                checkedBytes += entries.reduce(0) { $0 + UInt64($1.payload.count) }
                (next, previous) = (last.index.next, last.chain)
            } catch {
                if case .purged = error { continue }
                guard case .corrupt(let damage) = error else { throw error }
                damages.append(damage)
                guard let following = contents.index.lookup(next)?.next else { break }
                (next, previous) = (following.first, nil)
            }
        }
        return (checkedBytes, damages)
    }

    /// Where a range stands as far as one reading goes, from its first entry up to the next mark.
    func place(of range: Range<RaftIndex>, room: Int, isFirst: Bool) -> SegmentRead {
        guard let (mark, following) = contents.index.lookup(range.lowerBound),
            let segment = segments.first(where: { $0.segment == mark.position.segment })
        else { brokenInvariant("no place known for entry \(range.lowerBound) from \(startIndex)") }
        let limit =
            following.map(\.position).flatMap { $0.segment == mark.position.segment ? $0.offset : nil }
            ?? (segment.status == .active ? stream?.durable.offset ?? segment.endOffset : segment.endOffset)
        let upper = min(range.upperBound, following?.first ?? range.upperBound)
        return SegmentRead(
            segment: segment, mark: mark, limit: limit, range: range.lowerBound..<upper, room: room, isFirst: isFirst)
    }

    /// Whether a segment is read past the page cache: the one that is written so.
    func isDirect(_ segment: SegmentSummary) -> Bool { segment.status == .active && stream != nil }

    /// Reads entries back from their segment and verifies them: a prefix of the range, up to the next mark.
    func readBack(_ range: Range<RaftIndex>, room: Int, isFirst: Bool) async throws(LogError) -> [Entry] {
        let read = place(of: range, room: room, isFirst: isFirst)
        let segment = read.segment
        let before = revision
        do {
            let outcome = try await readers.read(segment.segment, path: segment.path, direct: isDirect(segment)) {
                (file) async throws(IOError) in try await read.run(file)
            }
            switch outcome {
            case .entries(let entries): return entries
            case .damaged(let damage):
                if range.lowerBound < startIndex { throw LogError.purged(range.lowerBound) }
                if revision != before { return [] }
                throw LogError.corrupt(damage)
            }
        } catch let error as IOError {
            if range.lowerBound < startIndex { throw .purged(range.lowerBound) }
            throw .unavailable(error.description)
        } catch {
            throw error as? LogError ?? .unavailable("\(error)")
        }
    }
}

/// One verified read of entries from a part of a segment.
struct SegmentRead {
    var segment: SegmentSummary
    var mark: SparseIndex.Mark
    /// The part ends here, in bytes.
    var limit: UInt64
    var range: Range<RaftIndex>
    /// Payload bytes that fit.
    var room: Int
    /// The first entry is taken however large it is.
    var isFirst: Bool

    enum Outcome {
        case entries([Entry])
        case damaged(Damage)
    }

    func run(_ file: any File) async throws(IOError) -> Outcome {
        let cursor = SegmentCursor(
            file: file, header: segment.header, limit: limit, from: mark.position.offset,
            chunkBytes: Int(SparseIndex.strideBytes) * 2)
        var link = mark.previousLink
        var entries: [Entry] = []
        var left = room
        var next = range.lowerBound
        while !cursor.isAtLimit {
            guard case .batch(let batch) = try await cursor.read() else {
                return .damaged(damage(.corrupt, cursor, next, "a batch does not verify"))
            }
            guard batch.header.previousLink == link else {
                return .damaged(damage(.misdirected, cursor, next, "the batch follows another one"))
            }
            link = batch.link
            for record in batch.records where record.header.kind == .entry {
                do {
                    let header = try record.entryHeader()
                    guard header.raftIndex >= next else { continue }
                    guard header.raftIndex == next else {
                        return .damaged(damage(.corrupt, cursor, next, "entry \(header.raftIndex) stands here"))
                    }
                    left -= header.payloadBytes
                    if left < 0, !(isFirst && entries.isEmpty) { return .entries(entries) }
                    entries.append(try record.entry())
                    next = next.next
                    if next >= range.upperBound || left < 0 { return .entries(entries) }
                } catch {
                    return .damaged(damage(.corrupt, cursor, next, "\(error)"))
                }
            }
            cursor.offset = batch.end
        }
        return .damaged(damage(.corrupt, cursor, next, "the entry is not where the index says"))
    }

    private func damage(_ kind: DamageClass, _ cursor: SegmentCursor, _ index: RaftIndex, _ detail: String) -> Damage {
        Damage(
            kind, file: segment.path, offsets: cursor.offset..<max(limit, cursor.offset),
            indexes: index..<max(range.upperBound, index.next), detail: detail)
    }
}
