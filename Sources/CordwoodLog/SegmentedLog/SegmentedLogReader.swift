public import CordwoodBase
internal import CordwoodIO
public import CordwoodRaft

/// Reads the segmented log from any thread, beside appends, truncations and compactions.
///
/// The loop does what only the loop may: it finds the place of a range, holds its segment so that the file is not
/// recycled, and reads the bytes. Everything that costs time with them, verifying and decoding, happens on the caller's
/// own thread. Recent entries come from the loop's memory as they are. So many readers take little from the loop, and
/// nothing of the log is shared between threads.
///
/// What a call returns is what the log held at one moment during the call: when a truncation drops what was read
/// meanwhile, the call begins again. The errors are the store's; behind its `close`, `.closed`.
public struct SegmentedLogReader: Sendable {
    /// The store, for use on its loop alone. Weak, so that no reader keeps it.
    private final class Home: @unchecked Sendable {
        private(set) weak var store: SegmentedLogStore?

        init(_ store: SegmentedLogStore) { self.store = store }
    }

    private let home: Home
    private let scheduler: any Scheduler

    init(_ store: SegmentedLogStore) {
        home = Home(store)
        scheduler = store.seams.scheduler
    }

    /// The entry at an index: `.notFound` from the log's end on, `.purged` below its start, `.corrupt` when damaged.
    public func entry(at index: RaftIndex) async throws(LogError) -> Entry {
        guard let entry = try await entries(in: index..<index.next, maxBytes: nil).first else {
            throw .notFound(index)
        }
        return entry
    }

    /// Entries of a half-open range: the longest prefix whose payloads fit `maxBytes`, at least one entry. Any index of
    /// that prefix that is missing or damaged is the error.
    public func entries(in range: Range<RaftIndex>, maxBytes: Int?) async throws(LogError) -> [Entry] {
        while true {
            if let entries = try await attempt(range, maxBytes) { return entries }
        }
    }

    /// `nil` when a truncation fell in between.
    private func attempt(_ range: Range<RaftIndex>, _ maxBytes: Int?) async throws(LogError) -> [Entry]? {
        var result: [Entry] = []
        var bytes = 0
        var revision: Int?
        while result.count < Int(range.upperBound - range.lowerBound) {
            let next = range.lowerBound + UInt64(result.count)
            let part = try await part(next..<range.upperBound, maxBytes.map { $0 - bytes } ?? .max, result.isEmpty)
            if let revision, revision != part.revision { return nil }
            revision = part.revision
            let entries: [Entry]
            switch part.contents {
            case .entries(let found): entries = found
            case .bytes(let image): entries = try await image.verified()
            }
            if entries.isEmpty { break }
            for entry in entries { bytes += entry.payload.count }
            result.append(contentsOf: entries)
            if let maxBytes, bytes > maxBytes { break }
        }
        return result
    }

    private func part(
        _ range: Range<RaftIndex>, _ room: Int, _ isFirst: Bool
    ) async throws(LogError) -> SegmentedLogStore.ReadPart {
        let result: Result<SegmentedLogStore.ReadPart, LogError> = await withUnsafeContinuation { continuation in
            scheduler.submit { [home, scheduler] in
                scheduler.spawn("read for another thread") {
                    guard let store = home.store else { return continuation.resume(returning: .failure(.closed)) }
                    do throws(LogError) {
                        continuation.resume(
                            returning: .success(try await store.readPart(range, room: room, isFirst: isFirst)))
                    } catch { continuation.resume(returning: .failure(error)) }
                }
            }
        }
        return try result.get()
    }
}

extension SegmentedLogStore {
    /// A reader of this log for any thread.
    public var reader: SegmentedLogReader { SegmentedLogReader(self) }

    /// The first part of a range: entries from memory, or the bytes in which they stand.
    struct ReadPart: Sendable {
        enum Contents: Sendable {
            case entries([Entry])
            case bytes(SegmentImage)
        }

        var contents: Contents
        /// The store's `revision` when the part was taken.
        var revision: Int
    }

    fileprivate func readPart(
        _ range: Range<RaftIndex>, room: Int, isFirst: Bool
    ) async throws(LogError) -> ReadPart {
        if health == .closed { throw .closed }
        guard range.lowerBound >= startIndex else { throw .purged(range.lowerBound) }
        guard range.lowerBound < nextIndex else { throw .notFound(range.lowerBound) }
        let before = revision
        if range.lowerBound >= recent.firstIndex {
            let end = min(range.upperBound, nextIndex)
            return ReadPart(
                contents: .entries(takeRecent(range.lowerBound..<end, room: room, isFirst: isFirst)), revision: before)
        }
        let read = place(of: range.lowerBound..<min(range.upperBound, recent.firstIndex), room: room, isFirst: isFirst)
        let image: SegmentImage
        do {
            image = try await readers.read(
                read.segment.segment, path: read.segment.path, direct: isDirect(read.segment)
            ) { (file) async throws(IOError) in try await SegmentImage(read, from: file) }
        } catch {
            if range.lowerBound < startIndex { throw .purged(range.lowerBound) }
            throw .unavailable(error.description)
        }
        if range.lowerBound < startIndex { throw .purged(range.lowerBound) }
        return ReadPart(contents: .bytes(image), revision: before)
    }
}

/// The bytes of a part of a segment, and what is to be read from them. Owned by one thread at a time: the loop lets go
/// of it when it hands it over.
struct SegmentImage: @unchecked Sendable {
    private let read: SegmentRead
    private let buffer: IOBuffer
    /// Where in the file the buffer begins, and how much of it was there.
    private let start: UInt64
    private let count: Int

    init(_ read: SegmentRead, from file: any File) async throws(IOError) {
        self.read = read
        let alignment = UInt64(max(IOBuffer.alignment, file.alignmentBytes))
        start = read.mark.position.offset / alignment * alignment
        let end = (max(read.limit, start + 1) + alignment - 1) / alignment * alignment
        buffer = IOBuffer(count: Int(end - start))
        count = try await file.read(into: buffer, 0..<buffer.count, at: start)
    }

    /// The entries, verified and decoded here.
    func verified() async throws(LogError) -> [Entry] {
        let outcome: SegmentRead.Outcome
        do {
            outcome = try await read.run(ImageFile(path: read.segment.path, start: start, bytes: buffer[0..<count]))
        } catch { throw .unavailable(error.description) }
        switch outcome {
        case .entries(let entries): return entries
        case .damaged(let damage): throw .corrupt(damage)
        }
    }
}

/// Bytes in memory as the part of a file that they are. Read only; outlived by the bytes.
private final class ImageFile: File {
    let path: String
    let isDirect = false
    let alignmentBytes = 1
    private let start: UInt64
    private let bytes: UnsafeRawBufferPointer

    init(path: String, start: UInt64, bytes: UnsafeRawBufferPointer) {
        self.path = path
        self.start = start
        self.bytes = bytes
    }

    func size() -> UInt64 { start + UInt64(bytes.count) }

    func read(into buffer: IOBuffer, _ range: Range<Int>, at offset: UInt64) throws(IOError) -> Int {
        guard offset >= start else { throw IOError(.other, operation: "read", subject: path) }
        let from = Int(min(offset - start, UInt64(bytes.count)))
        let count = min(range.count, bytes.count - from)
        UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[range]).copyMemory(
            from: UnsafeRawBufferPointer(rebasing: bytes[from..<from + count]))
        return count
    }

    func write(_ buffer: IOBuffer, _ range: Range<Int>, at offset: UInt64, durable: Bool) throws(IOError) {
        throw IOError(.other, operation: "write", subject: path)
    }

    func sync() {}

    func resize(_ size: UInt64) throws(IOError) { throw IOError(.other, operation: "resize", subject: path) }

    func dropCache() {}

    func close() {}
}
