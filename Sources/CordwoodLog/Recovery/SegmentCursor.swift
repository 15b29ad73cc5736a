internal import CordwoodBase
internal import CordwoodIO

/// Reads a segment's file forward in large pieces and verifies what stands there, in place. With a scheduler the next
/// pieces are read while this one is being verified.
///
/// A batch that it returns stays valid until the next read.
final class SegmentCursor {
    static let chunkBytes = 512 << 10

    let file: any File
    let seed: LinkSeed
    let alignmentBytes: Int
    /// Reading ends here: the file's length, or less.
    let limit: UInt64
    /// What the next read looks at.
    var offset: UInt64

    private let ahead: SegmentReadAhead?
    private var buffer: IOBuffer
    /// Where in the buffer the window begins: the bytes of the file from `windowStart` on.
    private var windowBase = 0
    private var windowStart: UInt64 = 0
    private var windowCount = 0

    init(
        file: any File, header: SegmentHeader, limit: UInt64, from offset: UInt64,
        chunkBytes: Int = SegmentCursor.chunkBytes, scheduler: (any Scheduler)? = nil
    ) {
        self.file = file
        seed = LinkSeed(header)
        alignmentBytes = header.alignmentBytes
        self.limit = limit
        self.offset = offset
        let chunkBytes = max(chunkBytes, 2 * IOBuffer.alignment)
        ahead = scheduler.map { SegmentReadAhead(file, limit: limit, chunkBytes: chunkBytes, scheduler: $0) }
        buffer = IOBuffer(count: chunkBytes)
    }

    /// Closes the file, once nothing reads it any more.
    func close() async {
        await ahead?.abandon()
        await file.close()
    }

    var isAtLimit: Bool { offset >= limit }

    /// What stands at `offset`. Does not advance.
    func read() async throws(IOError) -> BatchReading {
        var wanted = LogFormat.batchHeaderBytes
        while true {
            guard let bytes = try await bytes(wanted) else { return .none }
            let reading = BatchReading.decode(bytes, at: offset, seed: seed, alignmentBytes: alignmentBytes)
            guard case .incomplete(let header, let needed) = reading else { return reading }
            guard UInt64(needed) <= limit - offset else {
                return .brokenBody(header, reason: "\(needed) bytes reach beyond the file's end at \(limit)")
            }
            wanted = needed
        }
    }

    /// Moves on to the next aligned offset at which a batch's marker stands, at or behind `offset`. False when there is
    /// none up to the limit. Counts every byte that is not zero on the way.
    func advanceToMarker(nonZero: inout Bool) async throws(IOError) -> Bool {
        while let bytes = try await bytes(LogFormat.batchHeaderBytes) {
            var step = 0
            while step + LogFormat.batchHeaderBytes <= bytes.count {
                let marker = bytes.loadUnaligned(fromByteOffset: step + 8, as: UInt32.self)
                if UInt32(littleEndian: marker) == LogFormat.batchMarker {
                    offset += UInt64(step)
                    return true
                }
                let block = UnsafeRawBufferPointer(
                    rebasing: bytes[step..<min(step + alignmentBytes, bytes.count)])
                if !nonZero, !BatchReading.isZero(block) { nonZero = true }
                step += alignmentBytes
            }
            offset += UInt64(max(step, alignmentBytes))
        }
        return false
    }

    /// The bytes from `offset` on, as many as are in memory but at least `minimum`; `nil` at the end.
    private func bytes(_ minimum: Int) async throws(IOError) -> UnsafeRawBufferPointer? {
        guard offset < limit, limit - offset >= UInt64(minimum) else { return nil }
        let windowEnd = windowStart + UInt64(windowCount)
        if offset < windowStart || offset + UInt64(minimum) > windowEnd {
            try await fill(minimum)
            guard windowStart + UInt64(windowCount) >= offset + UInt64(minimum) else { return nil }
        }
        return buffer[windowBase + Int(offset - windowStart)..<windowBase + windowCount]
    }

    private func fill(_ minimum: Int) async throws(IOError) {
        let windowEnd = windowStart + UInt64(windowCount)
        if let ahead, offset >= windowStart, offset < windowEnd || windowCount > 0 && offset == windowEnd,
            let piece = try await ahead.take(at: windowEnd, behind: Int(windowEnd - offset), minimum: minimum)
        {
            // What is left of the window goes in front of the piece that follows it.
            let left = Int(windowEnd - offset)
            let base = piece.headroom - left
            if left > 0 {
                UnsafeMutableRawBufferPointer(rebasing: piece.buffer.bytes[base..<piece.headroom])
                    .copyMemory(from: buffer[windowBase + windowCount - left..<windowBase + windowCount])
            }
            buffer = piece.buffer
            windowBase = base
            windowStart = offset
            windowCount = left + piece.count
        } else {
            await ahead?.abandon()
            try await read(minimum)
        }
        ahead?.proceed(from: windowStart + UInt64(windowCount))
    }

    /// Reads the window at `offset` and waits for it.
    private func read(_ minimum: Int) async throws(IOError) {
        let alignment = UInt64(max(IOBuffer.alignment, file.alignmentBytes))
        windowBase = 0
        windowStart = offset / alignment * alignment
        windowCount = 0
        let needed = LogFormat.padded(Int(offset - windowStart) + minimum, to: Int(alignment))
        if needed > buffer.count { buffer = IOBuffer(count: needed) }
        let rest = limit - windowStart
        // Past the limit only as far as the alignment makes it necessary.
        let wanted = min(UInt64(buffer.count), (rest + alignment - 1) / alignment * alignment)
        let count = try await file.read(into: buffer, 0..<Int(wanted), at: windowStart)
        windowCount = Int(min(UInt64(count), rest))
    }
}
