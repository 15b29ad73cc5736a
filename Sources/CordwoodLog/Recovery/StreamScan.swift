public import CordwoodBase
public import CordwoodRaft

/// What reading a stream from its files found: the accepted part, where it ends and why it ends there.
public struct StreamScan {
    /// A segment that is part of the accepted stream.
    public struct Segment {
        public var name: String
        public var path: String
        public var header: SegmentHeader
        public var fileBytes: UInt64
        public var carry: CarryRecord
        /// The epoch at the end of the segment.
        public var epoch: StreamEpoch
        public var batchCount: Int
        /// Where its last accepted batch ends, in bytes; the seal included.
        public var endOffset: UInt64
        public var seal: SealRecord?

        var position: StreamPosition { StreamPosition(segment: header.segment, offset: endOffset) }
    }

    /// Why the accepted stream ends where it ends.
    public enum Verdict: Hashable, Sendable {
        /// No file of the stream exists.
        case absent
        /// Nothing of the current epoch follows.
        case clean
        /// What follows was never promised: the bytes up to `until` of the last segment are discarded, with `batches`
        /// headers that still verify.
        case torn(until: UInt64, batches: Int, reason: String)
        /// What follows was promised, or the stream contradicts itself.
        case damaged(Damage)
    }

    /// In order; the last one is active.
    public internal(set) var segments: [Segment] = []
    /// Where the accepted stream ends.
    public internal(set) var end = StreamPosition.zero
    /// Link of the last accepted batch.
    public internal(set) var link = PhysicalLink.zero
    public internal(set) var epoch: StreamEpoch = 0
    /// The highest promise found anywhere.
    public internal(set) var promise = StreamPosition.zero
    public internal(set) var verdict = Verdict.absent
    /// Files of this stream that are not part of it: freed, or successors of an interrupted roll. Paths.
    public internal(set) var leftovers: [(path: String, bytes: UInt64)] = []
    /// Ready or unfinished files for segments to come, by name.
    public internal(set) var spares: [String] = []
    /// Names of files that are none of ours.
    public internal(set) var unknown: [String] = []

    public var damage: Damage? {
        if case .damaged(let damage) = verdict { damage } else { nil }
    }

    /// Bytes accepted, headers and padding included.
    public var acceptedBytes: UInt64 { segments.reduce(0) { $0 + $1.endOffset } }
}

/// Takes the batches of a stream in order as they are accepted: the meaning of the log is built from them.
public protocol StreamVisitor: AnyObject {
    /// A segment begins. `isFirst` tells that reading begins with it, so that the state is what its carry record says.
    func begin(_ header: SegmentHeader, carry: CarryRecord, isFirst: Bool) throws(StreamFault)

    /// A batch that follows physically: its place, link and epoch have been checked. Its bytes are valid in the call.
    func accept(_ batch: BatchView, in segment: SegmentHeader) throws(StreamFault)

    /// The oldest segment that may still be needed, as far as it has been read.
    var firstSegment: SegmentID { get }

    /// The Raft index behind the last one accepted: where damage begins.
    var nextIndex: RaftIndex? { get }
}

/// A batch that verifies but contradicts the stream.
public struct StreamFault: Error, Hashable, Sendable {
    public var reason: String

    public init(_ reason: String) { self.reason = reason }

    init(_ error: DecodeError) { reason = "\(error)" }
}
