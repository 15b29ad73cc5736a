import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft

/// Fixed values that the format's tests share.
enum FormatSamples {
    static let identity = LogIdentity(
        cluster: UniqueID(high: 1, low: 2), node: UniqueID(high: 3, low: 4), replica: 5,
        store: UniqueID(high: 6, low: 7), log: UniqueID(high: 8, low: 9))

    static let header = SegmentHeader(
        identity: identity, kind: .segmented, segment: 3, incarnation: 77, allocatedBytes: 65536,
        createdMicroseconds: 1_700_000_000_000_000)

    static let seed = LinkSeed(header)

    static func entry(_ index: RaftIndex, term: Term = 1, slices: Int = 1, payloadBytes: Int = 40) -> Entry {
        let payload = (0..<payloadBytes).map { UInt8(truncatingIfNeeded: $0 &+ Int(index.rawValue)) }
        let part = slices == 0 ? 0 : payloadBytes / slices
        return Entry(
            index: index, term: term, type: slices > 1 ? .multiPartition : slices == 1 ? .application : .noOperation,
            timestampMicroseconds: 1_700_000_000_000_000 + Int64(index.rawValue),
            slices: EntrySlices(
                (0..<slices).map {
                    EntrySlice(
                        partition: PartitionID(UInt64($0)), partitionIndex: PartitionLogIndex(index.rawValue),
                        previousRaftIndex: index.previous, offset: UInt32($0 * part), length: UInt32(part))
                }), payload: payload)
    }

    static let controls: [ControlRecord] = [
        .truncation(
            TruncationRecord(last: LogBoundary(index: 9, term: 2, chain: ChainValue(high: 1, low: 2)), epoch: 4)),
        .vote(Vote(term: 7, candidate: 3)),
        .carry(
            CarryRecord(
                identity: identity, epoch: 4, vote: Vote(term: 7, candidate: 3), commitHint: 8,
                boundary: LogBoundary(index: 2, term: 1, chain: ChainValue(high: 3, low: 4)),
                predecessor: .init(segment: 2, sealOffset: 61440, link: PhysicalLink(rawValue: 5)),
                last: LogBoundary(index: 9, term: 2, chain: ChainValue(high: 1, low: 2)),
                checkpoint: StreamPosition(segment: 2, offset: 8192), firstSegment: 2,
                gates: [GateRecord(gate: .segmented, from: 1), GateRecord(gate: .partition, from: 6)])),
        .seal(
            SealRecord(
                successor: 4, successorIncarnation: 99, finalBytes: 65536, successorLink: PhysicalLink(rawValue: 6))),
        .checkpoint(CheckpointPiece(number: 1, piece: 0, pieceCount: 2, bytes: [1, 2, 3])),
        .recovery(
            RecoveryRecord(epoch: 4, acceptedEnd: StreamPosition(segment: 3, offset: 8192), discardedBytes: 4096)),
        .boundary(LogBoundary(index: 9, term: 2, chain: ChainValue(high: 1, low: 2))),
        .install(
            InstallRecord(
                boundary: LogBoundary(index: 9, term: 2, chain: ChainValue(high: 1, low: 2)), epoch: 4,
                manifest: [4, 5, 6])),
        .gate(GateRecord(gate: .partition, from: 10)),
        .promise,
        .release(2),
    ]

    /// A finished batch as it would stand at `offset` of the sample segment.
    static func batch(at offset: UInt64 = 8192, _ fill: (BatchBuilder) -> Void) -> [UInt8] {
        let builder = BatchBuilder(capacityBytes: 65536, alignmentBytes: 4096)
        fill(builder)
        _ = builder.finish(
            at: .init(
                seed: seed, offset: offset, epoch: 4, promise: StreamPosition(segment: 3, offset: 4096),
                previousLink: PhysicalLink(rawValue: 42), commitHint: 1))
        return [UInt8](builder.buffer[0..<builder.lengthBytes])
    }
}
