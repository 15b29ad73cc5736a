internal import CordwoodBase
internal import CordwoodIO
internal import CordwoodRaft

/// Reads a segment of a partition log batch by batch and says where and why it stops.
struct PartitionSegmentReader {
    enum End {
        /// No batch begins here.
        case none
        /// A batch begins here and does not verify.
        case broken(String)
        /// Sound bytes that this version cannot read.
        case unsupported(String)
    }

    let partition: PartitionID
    let path: String
    let file: any File
    let seed: LinkSeed
    let alignmentBytes: Int
    let fileBytes: UInt64

    private static let chunkBytes = 256 << 10

    /// Calls `body` with each batch from `start` on until it says stop, until `limit`, or until no batch verifies.
    /// Returns the offset behind the last batch taken, and what stands there.
    func scan(
        from start: UInt64, to limit: UInt64, _ body: (BatchView) throws(LogError) -> Bool
    ) async throws(LogError) -> (offset: UInt64, end: End) {
        var buffer = IOBuffer(count: Self.chunkBytes)
        var offset = start
        while offset < min(limit, fileBytes) {
            let wanted = Int(min(UInt64(buffer.count), min(limit, fileBytes) - offset))
            let got = try await read(into: buffer, wanted, at: offset)
            var taken = 0
            var needed = 0
            while taken < got {
                let here = UnsafeRawBufferPointer(rebasing: buffer[0..<got][taken...])
                switch BatchReading.decode(here, at: offset + UInt64(taken), seed: seed, alignmentBytes: alignmentBytes)
                {
                case .batch(let view):
                    let length = Int(view.header.lengthBytes)
                    guard try body(view) else { return (offset + UInt64(taken), .none) }
                    taken += length
                case .incomplete(_, let bytes): needed = bytes
                case .brokenBody(_, let reason): return (offset + UInt64(taken), .broken(reason))
                case .unsupported(_, let reason): return (offset + UInt64(taken), .unsupported(reason))
                case .none:
                    if got - taken >= LogFormat.batchHeaderBytes || offset + UInt64(got) >= min(limit, fileBytes) {
                        return (offset + UInt64(taken), .none)
                    }
                    needed = LogFormat.batchHeaderBytes
                }
                if needed > 0 { break }
            }
            offset += UInt64(taken)
            guard needed > 0 else { continue }
            if UInt64(needed) > min(limit, fileBytes) - offset {
                return (offset, .broken("batch passes the file's end"))
            }
            if needed > buffer.count { buffer = IOBuffer(count: LogFormat.padded(needed, to: 4096)) }
        }
        return (offset, .none)
    }

    /// The highest promise in any batch header that verifies at or behind `start`: one that shows that what stands
    /// before it was once durable.
    func highestPromise(from start: UInt64) async throws(LogError) -> StreamPosition {
        var highest = StreamPosition.zero
        var offset = UInt64(LogFormat.padded(Int(start), to: alignmentBytes))
        let buffer = IOBuffer(count: Self.chunkBytes)
        while offset < fileBytes {
            let got = try await read(into: buffer, Int(min(UInt64(buffer.count), fileBytes - offset)), at: offset)
            var at = 0
            while at < got {
                let here = UnsafeRawBufferPointer(rebasing: buffer[0..<got][at...])
                let header: BatchHeader? =
                    switch BatchReading.decode(
                        here, at: offset + UInt64(at), seed: seed, alignmentBytes: alignmentBytes)
                    {
                    case .batch(let view): view.header
                    case .incomplete(let header, _), .brokenBody(let header, _), .unsupported(let header, _): header
                    case .none: nil
                    }
                if let header { highest = max(highest, header.promise) }
                at += alignmentBytes
            }
            offset += UInt64(max(got, alignmentBytes))
        }
        return highest
    }

    /// What stands at `offset`, at most `count` bytes; the buffer is as large in whole blocks.
    func read(into buffer: IOBuffer, _ count: Int, at offset: UInt64) async throws(LogError) -> Int {
        // Direct reads are of whole blocks, and a file may end inside one.
        let wanted = min(buffer.count, LogFormat.padded(count, to: file.alignmentBytes))
        do throws(IOError) { return min(count, try await file.read(into: buffer, 0..<wanted, at: offset)) } catch {
            throw .unreadable(partition, path, offset..<offset + UInt64(count), error)
        }
    }
}

extension LogError {
    /// Part of a partition log that cannot be read. Memory and descriptors come back; what the device does not give is
    /// as good as damaged.
    static func unreadable(
        _ partition: PartitionID, _ path: String, _ offsets: Range<UInt64>, _ error: IOError
    ) -> LogError {
        guard error.reason == .device || error.reason == .notFound else { return .unavailable("\(error)") }
        return .corrupt(Damage(.corrupt, file: path, offsets: offsets, detail: "partition \(partition): \(error)"))
    }
}
