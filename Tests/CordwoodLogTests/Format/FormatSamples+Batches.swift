import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import LogTestSupport

extension FormatSamples {
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
