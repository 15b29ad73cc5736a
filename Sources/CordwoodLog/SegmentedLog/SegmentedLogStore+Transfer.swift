public import CordwoodBase
public import CordwoodRaft

/// The transfer form of a range of entries: header, the position before the first entry, the entries as they are
/// stored, and a checksum over all of it.
enum LogExport {
    /// The magic is "CWXP".
    static let frame = TransferFrame(magic: 0x5058_5743, version: 1, headerBytes: 56, checksumSeed: 0x6578_706F_7274)

    static func encode(_ entries: [Entry], after previous: LogBoundary) -> [UInt8] {
        var bytes: [UInt8] = []
        frame.begin(&bytes)
        bytes.append(littleEndian: UInt64(entries.count))
        bytes.append(littleEndian: UInt64(0))
        bytes.append(boundary: previous)
        var chain = previous.chain
        for entry in entries {
            let length = EntryRecord.lengthBytes(slices: entry.slices.count, payload: entry.payload.count)
            let start = bytes.count
            bytes.append(contentsOf: repeatElement(0, count: BatchBuilder.framedBytes(length)))
            bytes.withUnsafeMutableBytes {
                chain = EntryRecord.encode(
                    entry, after: chain, into: UnsafeMutableRawBufferPointer(rebasing: $0[start..<start + length]))
            }
        }
        frame.finish(&bytes)
        return bytes
    }

    /// The transfer form of entries that are said to follow a position; `nil` when by their chain they do not.
    static func encodeRun(_ entries: [Entry], after previous: LogBoundary) -> [UInt8]? {
        let bytes = encode(entries, after: previous)
        let decoded = bytes.withUnsafeBytes { try? decode($0) }
        return decoded?.1.last?.chain == entries.last?.chain ? bytes : nil
    }

    static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> (previous: LogBoundary, [Entry]) {
        var reader = try frame.contents(of: bytes)
        let count = try reader.integer(UInt64.self)
        _ = try reader.integer(UInt64.self)
        let previous = try reader.boundary()
        var entries: [Entry] = []
        var chain = previous.chain
        var index = previous.index.next
        while reader.remaining > 0 {
            let start = reader.offset
            let header = try RecordHeader(decoding: &reader)
            reader.offset = start
            let record = RecordView(bytes: try reader.take(Int(header.lengthBytes)), header: header)
            _ = try reader.take(header.paddedBytes - Int(header.lengthBytes))
            let entry = try record.entry()
            guard entry.index == index, record.entryChain(after: chain) == entry.chain else {
                throw .invalid(field: "export entry", value: entry.index.rawValue)
            }
            chain = entry.chain
            index = index.next
            entries.append(entry)
        }
        guard UInt64(entries.count) == count else { throw .invalid(field: "export count", value: count) }
        return (previous, entries)
    }
}

/// Entries on their way to a replica that lacks them.
public enum LogRun {
    /// The transfer form of entries that follow a position; `nil` when by the entry chain they do not.
    public static func encode(_ entries: [Entry], after previous: LogBoundary) -> [UInt8]? {
        LogExport.encodeRun(entries, after: previous)
    }

    /// Reads and verifies entries that follow a position, each by the entry chain.
    public static func decode(_ bytes: [UInt8], after previous: LogBoundary) throws(DecodeError) -> [Entry] {
        let result: Result<(previous: LogBoundary, [Entry]), DecodeError> = bytes.withUnsafeBytes { raw in
            do throws(DecodeError) { return .success(try LogExport.decode(raw)) } catch { return .failure(error) }
        }
        let (found, entries) = try result.get()
        guard found == previous else { throw .invalid(field: "run's previous entry", value: found.index.rawValue) }
        guard !entries.isEmpty else { throw .invalid(field: "run's length", value: 0) }
        return entries
    }
}

extension SegmentedLogStore {
    public func export(_ range: Range<RaftIndex>) async throws(LogError) -> [UInt8] {
        guard range.lowerBound >= startIndex else { throw .purged(range.lowerBound) }
        let entries = try await entries(in: range, maxBytes: nil)
        let before = range.lowerBound.previous
        let previous: LogBoundary
        if before == contents.boundary.index {
            previous = contents.boundary
        } else {
            let entry = try await entry(at: before)
            previous = LogBoundary(index: before, term: entry.term, chain: entry.chain)
        }
        return LogExport.encode(entries, after: previous)
    }

    public func install(_ exported: [UInt8], at index: RaftIndex) async throws(LogError) {
        let commit = try requireWritable()
        let previous: LogBoundary
        var entries: [Entry]
        do {
            (previous, entries) = try exported.withUnsafeBytes { try LogExport.decode($0) }
        } catch {
            throw .invalidArgument("exported bytes are damaged: \(error)")
        }
        guard index >= startIndex else { throw .purged(index) }
        if index > nextIndex {
            guard contents.last.index == contents.boundary.index else {
                throw .invalidArgument("installation at \(index) where \(nextIndex) is next")
            }
            let boundary = LogBoundary(index: index.previous, term: previous.term, chain: previous.chain)
            if index != previous.index.next { entries = renumbered(entries, from: index, after: nil) }
            try checkInstallable(entries, behind: boundary)
            startOver(at: boundary, commit)
            _ = try append(entries)
        } else {
            if index != previous.index.next { entries = renumbered(entries, from: index, after: index.previous) }
            let held = try await heldCount(of: entries, from: index)
            _ = try replaceSuffix(from: index + UInt64(held), with: Array(entries[held...]))
        }
        try await flush()
    }

    /// How many of the entries, from the first on, are in the log as they are. They stay where they are: written once
    /// more behind a truncation they could be lost, acknowledged as they may be, until the last of them is durable.
    private func heldCount(of entries: [Entry], from index: RaftIndex) async throws(LogError) -> Int {
        while true {
            let before = revision
            let end = min(index + UInt64(entries.count), nextIndex)
            var held: [Entry] = []
            do throws(LogError) {
                if index < end { held = try await self.entries(in: index..<end, maxBytes: nil) }
            } catch {
                // What cannot be read is replaced.
            }
            // Otherwise the log was changed meanwhile.
            guard revision == before else { continue }
            return zip(entries, held).prefix { new, old in
                var same = new
                same.chain = old.chain
                return same == old
            }.count
        }
    }

    /// The entries as they stand when they begin at another index: partition indexes follow those of this log.
    private func renumbered(_ entries: [Entry], from index: RaftIndex, after last: RaftIndex?) -> [Entry] {
        var tails = contents.tails(after: last)
        var next = index
        return entries.map { entry in
            var moved = entry
            moved.index = next
            moved.slices = EntrySlices(
                entry.slices.map { slice in
                    let tail = tails[slice.partition]
                    var placed = slice
                    placed.partitionIndex = tail.partitionIndex.next
                    placed.previousRaftIndex = tail.raftIndex
                    tails.advance(placed, raftIndex: next)
                    return placed
                })
            next = next.next
            return moved
        }
    }

    private func checkInstallable(_ entries: [Entry], behind boundary: LogBoundary) throws(LogError) {
        var trial = contents
        trial.replaceAll(by: boundary)
        if let refusal = trial.admit(entries) { throw .invalidArgument(refusal) }
    }
}
