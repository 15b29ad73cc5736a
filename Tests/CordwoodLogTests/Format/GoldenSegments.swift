import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import LogTestSupport

/// The segments of `Fixtures/segments/v1`, made anew: two small files that hold every kind of record of a segmented
/// log, byte for byte a function of what stands here.
enum GoldenSegments {
    static let allocatedBytes = 65_536

    static let identity = LogIdentity(
        cluster: UniqueID(high: 0x1111, low: 0x2222), node: UniqueID(high: 0x3333, low: 0x4444), replica: 7,
        store: UniqueID(high: 0x5555, low: 0x6666), log: UniqueID(high: 0x7777, low: 0x8888))

    static let vote = Vote(term: 3, candidate: 7)
    static let gates = [GateRecord(gate: .segmented, from: 1)]
    static let checkpoint = SystemCheckpoint(
        configuration: [1, 2, 3], sessions: [4, 5], routingEpoch: 1,
        partitions: [
            .init(partition: 0, persisted: 1, raftIndex: 2, chain: ChainValue(high: 1, low: 2)),
            .init(partition: 1, persisted: 1, raftIndex: 3, chain: ChainValue(high: 3, low: 4)),
        ])
    static let manifest: [UInt8] = [9, 8, 7]

    static let entries = [
        FormatSamples.entry(1, slices: 0, payloadBytes: 0), slicedEntry(2, [(0, 1, 0)], payloadBytes: 100),
        slicedEntry(3, [(0, 2, 2), (1, 1, 0)], payloadBytes: 5000),
    ]
    static let replacement = slicedEntry(3, [(1, 1, 0)], payloadBytes: 33)
    static let installed = LogBoundary(index: 10, term: 4, chain: ChainValue(high: 5, low: 6))
    static let afterInstallation = slicedEntry(11, [(1, 5, 9)], payloadBytes: 8)

    static func slicedEntry(
        _ index: RaftIndex, _ slices: [(PartitionID, PartitionLogIndex, RaftIndex)], payloadBytes: Int
    ) -> Entry {
        var entry = FormatSamples.entry(index, slices: slices.count, payloadBytes: payloadBytes)
        let part = UInt32(payloadBytes / slices.count)
        entry.slices = EntrySlices(
            slices.enumerated().map { number, slice in
                EntrySlice(
                    partition: slice.0, partitionIndex: slice.1, previousRaftIndex: slice.2,
                    offset: UInt32(number) * part, length: part)
            })
        return entry
    }

    /// A segment's bytes as they grow.
    private struct Draft {
        let header: SegmentHeader
        var bytes = [UInt8](repeating: 0, count: allocatedBytes)
        var offset: UInt64
        var link: PhysicalLink
        var durable: StreamPosition

        init(_ segment: SegmentID, incarnation: SegmentIncarnation, after link: PhysicalLink, durable: StreamPosition) {
            header = SegmentHeader(
                identity: identity, kind: .segmented, segment: segment, incarnation: incarnation,
                allocatedBytes: UInt64(allocatedBytes), createdMicroseconds: 1_700_000_000_000_000)
            offset = header.firstBatchOffset
            self.link = link
            self.durable = durable
            let header = self.header
            bytes.withUnsafeMutableBytes { header.encode(into: $0) }
        }

        /// Adds a batch that promises everything before it.
        mutating func add(epoch: StreamEpoch, _ fill: (BatchBuilder) -> Void) {
            let builder = BatchBuilder(capacityBytes: 16_384, alignmentBytes: header.alignmentBytes)
            fill(builder)
            link = builder.finish(
                at: .init(
                    seed: LinkSeed(header), offset: offset, epoch: epoch, promise: durable, previousLink: link,
                    commitHint: 0))
            let end = Int(offset) + builder.lengthBytes
            bytes.replaceSubrange(Int(offset)..<end, with: builder.buffer[0..<builder.lengthBytes])
            offset = UInt64(end)
            durable = StreamPosition(segment: header.segment, offset: offset)
        }
    }

    /// The files by name.
    static func make() -> [(name: String, bytes: [UInt8])] {
        var first = Draft(1, incarnation: 0xAAAA, after: .zero, durable: .zero)
        first.add(epoch: 1) {
            $0.append(.carry(CarryRecord(identity: identity, epoch: 1, firstSegment: 1, gates: gates)))
        }
        first.add(epoch: 1) { $0.append(.vote(vote)) }
        var chains: [ChainValue] = [.zero]
        first.add(epoch: 1) { builder in
            for entry in entries { chains.append(builder.append(entry, after: chains[chains.count - 1])) }
        }
        first.add(epoch: 1) { $0.append(.gate(GateRecord(gate: .partition, from: 4))) }
        let encoded = checkpoint.pieces(number: 1, pieceBytes: 64)
        first.add(epoch: 1) { builder in for piece in encoded { builder.append(.checkpoint(piece)) } }

        let last = LogBoundary(index: 3, term: entries[2].term, chain: chains[3])
        var second = Draft(2, incarnation: 0xBBBB, after: first.link, durable: first.durable)
        second.add(epoch: 1) {
            $0.append(
                .carry(
                    CarryRecord(
                        identity: identity, epoch: 1, vote: vote,
                        predecessor: .init(segment: 1, sealOffset: first.offset, link: first.link), last: last,
                        checkpoint: StreamPosition(segment: 1, offset: 28_672), firstSegment: 1,
                        gates: gates + [GateRecord(gate: .partition, from: 4)])))
        }
        let carryLink = second.link
        let finalBytes = first.offset + 4096
        first.add(epoch: 1) { builder in
            builder.append(
                .seal(
                    SealRecord(
                        successor: 2, successorIncarnation: 0xBBBB, finalBytes: finalBytes,
                        successorLink: carryLink)))
        }
        second.add(epoch: 2) { builder in
            builder.append(
                .truncation(
                    TruncationRecord(
                        last: LogBoundary(index: 2, term: entries[1].term, chain: chains[2]), epoch: 2)))
            _ = builder.append(replacement, after: chains[2])
        }
        second.add(epoch: 2) {
            $0.append(.boundary(LogBoundary(index: 1, term: entries[0].term, chain: chains[1])))
            $0.append(.release(1))
        }
        let accepted = second.durable
        second.add(epoch: 3) {
            $0.append(.recovery(RecoveryRecord(epoch: 3, acceptedEnd: accepted, discardedBytes: 0)))
        }
        second.add(epoch: 4) {
            $0.append(.install(InstallRecord(boundary: installed, epoch: 4, manifest: manifest)))
        }
        second.add(epoch: 4) { _ = $0.append(afterInstallation, after: installed.chain) }
        second.add(epoch: 4) { $0.append(.promise) }
        return [first, second].map {
            (SegmentName(segment: $0.header.segment, incarnation: $0.header.incarnation).description, $0.bytes)
        }
    }
}
