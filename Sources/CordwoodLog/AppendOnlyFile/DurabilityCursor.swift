/// How much of a stream was asked to be durable and how much is, in bytes since the stream was opened.
public struct DurabilityCursor: Hashable, Sendable {
    public var requestedBytes: UInt64
    public var durableBytes: UInt64

    public init(requestedBytes: UInt64 = 0, durableBytes: UInt64 = 0) {
        self.requestedBytes = requestedBytes
        self.durableBytes = durableBytes
    }

    public var isSettled: Bool { requestedBytes == durableBytes }
}

/// What a stream's newest segment is going through.
public enum TailEvent: Hashable, Sendable {
    /// Batches go to this segment from now on.
    case activated(SegmentID)
    /// The segment takes no more batches; its successor is being made.
    case sealing(SegmentID)
    /// The segment is finished, durably.
    case sealed(SegmentID)
}

/// Whether a segment still takes batches.
public enum SegmentStatus: String, Hashable, Sendable {
    case active
    case finalised
}

/// One segment of an open stream.
public struct SegmentSummary: Hashable, Sendable {
    public var header: SegmentHeader
    public var path: String
    public var status: SegmentStatus
    /// Where its last batch ends, in bytes.
    public var endOffset: UInt64

    public init(header: SegmentHeader, path: String, status: SegmentStatus, endOffset: UInt64) {
        self.header = header
        self.path = path
        self.status = status
        self.endOffset = endOffset
    }

    public var segment: SegmentID { header.segment }
}
