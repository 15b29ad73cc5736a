public import CordwoodBase

/// The physical link: the check value of a batch, bound to its place and to the batch before it.
///
/// A batch's header and body checksums are seeded with (store, log, segment, incarnation, epoch, offset); the header
/// covers the link of the batch before it and the body's checksum. The header's checksum is the batch's own link. So a
/// batch that is torn, left over from an earlier use of the file, written to or read from another place, or followed by
/// a batch that never followed it, does not verify.
@frozen
public struct PhysicalLink: Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt64

    @inlinable
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Before the first batch of a stream.
    public static let zero = PhysicalLink(rawValue: 0)

    public var description: String { hexadecimal(rawValue) }
}

/// What the links of one segment are seeded with.
@frozen
public struct LinkSeed: Hashable, Sendable {
    let segmentSeed: UInt64

    public init(store: UniqueID, log: UniqueID, segment: SegmentID, incarnation: SegmentIncarnation) {
        let words = (
            store.high.littleEndian, store.low.littleEndian, log.high.littleEndian, log.low.littleEndian,
            segment.rawValue.littleEndian, incarnation.rawValue.littleEndian
        )
        segmentSeed = withUnsafeBytes(of: words) { Checksum.xxh3($0, seed: LogFormat.magic) }
    }

    public init(_ header: SegmentHeader) {
        self.init(
            store: header.identity.store, log: header.identity.log, segment: header.segment,
            incarnation: header.incarnation)
    }

    /// The seed of a batch at an offset of this segment in an epoch.
    func batchSeed(epoch: StreamEpoch, offset: UInt64) -> UInt64 {
        withUnsafeBytes(of: (epoch.rawValue.littleEndian, offset.littleEndian)) {
            Checksum.xxh3($0, seed: segmentSeed)
        }
    }
}
