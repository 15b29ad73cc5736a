import CordwoodBase
import CordwoodIO
public import CordwoodLog
import CordwoodRaft

/// Fixed values of the log's format, for the tests of the format and for those of its decoders.
public enum FormatSamples {
    public static let identity = LogIdentity(
        cluster: UniqueID(high: 1, low: 2), node: UniqueID(high: 3, low: 4), replica: 5,
        store: UniqueID(high: 6, low: 7), log: UniqueID(high: 8, low: 9))

    public static let header = SegmentHeader(
        identity: identity, kind: .segmented, segment: 3, incarnation: 77, allocatedBytes: 65536,
        createdMicroseconds: 1_700_000_000_000_000)

    public static let seed = LinkSeed(header)

    private static let last = LogBoundary(index: 9, term: 2, chain: ChainValue(high: 1, low: 2))

    /// One of each kind.
    public static let controls: [ControlRecord] = [
        .truncation(
            TruncationRecord(last: last, epoch: 4)),
        .vote(Vote(term: 7, candidate: 3)),
        .carry(
            CarryRecord(
                identity: identity, epoch: 4, vote: Vote(term: 7, candidate: 3), commitHint: 8,
                boundary: LogBoundary(index: 2, term: 1, chain: ChainValue(high: 3, low: 4)),
                predecessor: .init(segment: 2, sealOffset: 61440, link: PhysicalLink(rawValue: 5)),
                last: last,
                checkpoint: StreamPosition(segment: 2, offset: 8192), firstSegment: 2,
                gates: [GateRecord(gate: .segmented, from: 1), GateRecord(gate: .partition, from: 6)])),
        .seal(
            SealRecord(
                successor: 4, successorIncarnation: 99, finalBytes: 65536, successorLink: PhysicalLink(rawValue: 6))),
        .checkpoint(CheckpointPiece(number: 1, piece: 0, pieceCount: 2, bytes: [1, 2, 3])),
        .recovery(
            RecoveryRecord(epoch: 4, acceptedEnd: StreamPosition(segment: 3, offset: 8192), discardedBytes: 4096)),
        .boundary(last),
        .install(
            InstallRecord(
                boundary: last, epoch: 4,
                manifest: [4, 5, 6])),
        .gate(GateRecord(gate: .partition, from: 10)),
        .promise,
        .release(2),
    ]
}
