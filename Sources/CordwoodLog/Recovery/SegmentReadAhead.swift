internal import CordwoodBase
internal import CordwoodIO

/// The pieces of a file that follow the one being looked at, read in tasks of their own.
///
/// A piece's bytes stand behind a headroom, into which the caller copies what is left of the piece before it, so that a
/// batch that begins in one and ends in the next stands in one place.
final class SegmentReadAhead {
    /// A piece of the file that is being read or has been.
    final class Piece {
        let buffer: IOBuffer
        let headroom: Int
        fileprivate let start: UInt64
        /// Bytes read, none of them beyond the limit.
        fileprivate(set) var count = 0
        fileprivate var failure: IOError?
        fileprivate var isReading = true
        fileprivate var waiter: UnsafeContinuation<Void, Never>?

        fileprivate init(start: UInt64, headroom: Int, chunkBytes: Int) {
            self.start = start
            self.headroom = headroom
            buffer = IOBuffer(count: headroom + chunkBytes)
        }

        fileprivate func finish() async {
            if isReading { await withUnsafeContinuation { waiter = $0 } }
        }
    }

    /// Pieces read at a time: enough to keep a device busy while one is being verified.
    private static let depth = 2
    /// The largest rest of a piece that is carried over; a batch is seldom larger.
    private static let headroomBytes = 512 << 10

    private let file: any File
    private let limit: UInt64
    private let chunkBytes: Int
    private let alignment: UInt64
    private let scheduler: any Scheduler
    /// In the order of the file, without gaps.
    private var pieces: [Piece] = []

    init(_ file: any File, limit: UInt64, chunkBytes: Int, scheduler: any Scheduler) {
        self.file = file
        self.limit = limit
        alignment = UInt64(max(IOBuffer.alignment, file.alignmentBytes))
        self.chunkBytes = LogFormat.padded(chunkBytes, to: Int(alignment))
        self.scheduler = scheduler
    }

    /// The piece that begins at `offset`, if it was asked for and, with the `left` bytes before it, holds `minimum`
    /// bytes.
    func take(at offset: UInt64, behind left: Int, minimum: Int) async throws(IOError) -> Piece? {
        guard let piece = pieces.first, piece.start == offset, left <= piece.headroom else { return nil }
        await piece.finish()
        if let failure = piece.failure { throw failure }
        guard left + piece.count >= minimum else { return nil }
        pieces.removeFirst()
        return piece
    }

    /// Begins to read what follows `offset`, as far as it is not being read already.
    func proceed(from offset: UInt64) {
        var next = offset
        if let last = pieces.last { next = last.start + UInt64(chunkBytes) }
        while pieces.count < Self.depth, next < limit, next % alignment == 0 {
            let piece = Piece(start: next, headroom: Self.headroomBytes, chunkBytes: chunkBytes)
            pieces.append(piece)
            scheduler.spawn("read ahead") { await self.read(piece) }
            next += UInt64(chunkBytes)
        }
    }

    /// Forgets what was asked for, once nothing of it is being read any more.
    func abandon() async {
        for piece in pieces { await piece.finish() }
        pieces.removeAll()
    }

    private func read(_ piece: Piece) async {
        let rest = limit - piece.start
        // Past the limit only as far as the alignment makes it necessary.
        let wanted = Int(min(UInt64(chunkBytes), (rest + alignment - 1) / alignment * alignment))
        do throws(IOError) {
            let count = try await file.read(
                into: piece.buffer, piece.headroom..<piece.headroom + wanted, at: piece.start)
            piece.count = Int(min(UInt64(count), rest))
        } catch { piece.failure = error }
        piece.isReading = false
        piece.waiter?.resume()
        piece.waiter = nil
    }
}
