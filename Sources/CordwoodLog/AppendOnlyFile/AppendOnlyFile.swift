public import CordwoodBase
public import CordwoodIO
public import CordwoodRaft

/// The writing end of the segmented log's stream of batches.
///
/// The stream only grows. A batch is first *placed*, which fixes its offset, promise and link without waiting, and then
/// written; batches reach the disk in any order, but count as durable only as a prefix: `markDurable` moves the promise
/// that later batches carry. `makeRoom` finishes a full segment and begins the next in the order that a crash at any
/// point allows: successor with header and carry record durable under its final name, then the seal, then the first
/// batch in the successor. A failed write or sync poisons the stream: nothing more is written until it is reopened.
/// Lack of space where a file is made refuses and does not poison.
///
/// Where durability is relaxed, batches are written without being synced. `sync` makes durable what is written, and so
/// does the end of a segment; the promise moves by nothing else.
public final class AppendOnlyFile {
    public let directory: String
    public let namePrefix: String
    public let policy: FilePolicy
    public let identity: LogIdentity

    /// What the next batches are written under.
    public var epoch: StreamEpoch
    /// Where the next batch goes.
    public internal(set) var end: StreamPosition
    /// Link of the last batch placed.
    public internal(set) var link: PhysicalLink
    /// Everything before this place is durable.
    public internal(set) var durable: StreamPosition
    /// Oldest first; the last one is active.
    public internal(set) var segments: [SegmentSummary]
    public internal(set) var cursor = DurabilityCursor()
    /// The first failure that poisoned the stream.
    public internal(set) var failure: LogError?
    public var onTailEvent: ((TailEvent) -> Void)?

    let seams: Seams
    let pool: SegmentPool
    var active: ActiveSegment

    struct ActiveSegment {
        var header: SegmentHeader
        var seed: LinkSeed
        var path: String
        /// `nil` until the stream is opened for writing, and when it has been closed.
        var file: (any File)?
        /// Length of the file, in bytes.
        var fileBytes: UInt64
    }

    init(
        directory: String, namePrefix: String, policy: FilePolicy, identity: LogIdentity, epoch: StreamEpoch,
        end: StreamPosition, link: PhysicalLink, segments: [SegmentSummary], active: ActiveSegment,
        pool: SegmentPool, seams: Seams
    ) {
        self.directory = directory
        self.namePrefix = namePrefix
        self.policy = policy
        self.identity = identity
        self.epoch = epoch
        self.end = end
        self.link = link
        durable = end
        self.segments = segments
        self.active = active
        self.pool = pool
        self.seams = seams
    }

    public var activeSegment: SegmentID { active.header.segment }
    public var alignmentBytes: Int { active.header.alignmentBytes }

    /// What a seal takes at the end of a segment, always kept free.
    var sealBytes: UInt64 { UInt64(alignmentBytes) }

    /// Bytes that batches can still take in the active segment.
    public var remainingBytes: UInt64 {
        let used = end.offset + sealBytes
        return active.fileBytes > used ? active.fileBytes - used : 0
    }

    /// True when a batch of so many bytes can be placed now. Otherwise `makeRoom` comes first.
    public func hasRoom(for lengthBytes: Int) -> Bool { UInt64(lengthBytes) <= remainingBytes }

    /// A batch whose place is fixed: what `write` needs.
    public struct PlacedBatch {
        public let buffer: IOBuffer
        public let lengthBytes: Int
        public let position: StreamPosition
        public let previousLink: PhysicalLink
        let file: any File

        public var end: StreamPosition {
            StreamPosition(segment: position.segment, offset: position.offset + UInt64(lengthBytes))
        }
    }

    /// Fixes a batch's place at the end of the stream. The builder's memory belongs to the batch until it is written.
    public func place(_ builder: BatchBuilder, commitHint: RaftIndex) -> PlacedBatch {
        let length = builder.lengthBytes
        invariant(hasRoom(for: length), "batch of \(length) bytes at \(end) of \(active.fileBytes)")
        guard let file = active.file else { brokenInvariant("a batch placed in \(active.path), which is not open") }
        let position = end
        let previousLink = link
        link = builder.finish(
            at: .init(
                seed: active.seed, offset: end.offset, epoch: epoch, promise: durable, previousLink: previousLink,
                commitHint: commitHint))
        end.offset += UInt64(length)
        segments[segments.count - 1].endOffset = end.offset
        cursor.requestedBytes += UInt64(length)
        return PlacedBatch(
            buffer: builder.buffer, lengthBytes: length, position: position, previousLink: previousLink, file: file)
    }

    /// Writes a placed batch; it is durable by itself on return where the policy says so.
    public func write(_ batch: PlacedBatch) async throws(LogError) {
        if let failure { throw failure }
        do {
            try await batch.file.write(
                batch.buffer, 0..<batch.lengthBytes, at: batch.position.offset, durable: policy.syncsBatches)
        } catch {
            throw poison(error)
        }
        if let failure { throw failure }
    }

    /// Makes durable whatever was placed. All of it must be written, and nothing may be placed before it returns.
    public func sync() async throws(LogError) {
        if let failure { throw failure }
        guard durable < end else { return }
        guard let file = active.file else { brokenInvariant("\(active.path) is not open") }
        let covered = end
        do { try await file.sync() } catch { throw poison(error) }
        if let failure { throw failure }
        invariant(end == covered, "a batch was placed up to \(end) while what lies before \(covered) was synced")
        durable = covered
        cursor.durableBytes = cursor.requestedBytes
    }

    /// Tells that everything before `position` is durable.
    public func markDurable(to position: StreamPosition, bytes: Int) {
        invariant(position >= durable && position <= end, "durable \(durable) to \(position) of \(end)")
        durable = position
        cursor.durableBytes += UInt64(bytes)
        prepareSpare()
    }

    /// Has the next segment made in the background when none is ready. After a failure for want of space only
    /// `retryingSpace` tries again.
    public func prepareSpare(retryingSpace: Bool = false) {
        guard retryingSpace || !pool.isSpaceShort else { return }
        pool.refill()
    }

    /// Records the first failure and returns it. Later calls return that one.
    @discardableResult
    func poison(_ error: IOError) -> LogError {
        if let failure { return failure }
        let first = LogError.poisoned(error.description)
        failure = first
        return first
    }

    func openActive() async throws(LogError) {
        guard active.file == nil else { return }
        do {
            active.file = try await seams.files.open(
                active.path, FileMode(.mustExist, writable: true, direct: true))
        } catch {
            throw .unavailable(error.description)
        }
    }

    public func close() async {
        await active.file?.close()
        active.file = nil
        await pool.close()
    }
}
