public import CordwoodBase

/// The entry chain: a 128-bit value over (previous value, Raft index, term, timestamp, type, slices, payload) of Raft
/// entries only. Equal values at an index mean equal prefixes on any two replicas.
///
/// The value is XXH3-128 over the previous value and the XXH3-128 of the entry's content in its stored form.
public enum EntryChain {
    /// The value at an entry whose stored content (bytes 40 up to the end of its record) is given.
    static func value(after previous: ChainValue, content: UnsafeRawBufferPointer) -> ChainValue {
        let inner = Checksum.xxh3Wide(content, seed: 0)
        let words = (
            previous.low.littleEndian, previous.high.littleEndian, inner.low.littleEndian, inner.high.littleEndian
        )
        return withUnsafeBytes(of: words) { Checksum.xxh3Wide($0, seed: 0) }
    }

    /// The value at an entry that follows one whose value is `previous`.
    public static func value(after previous: ChainValue, _ entry: Entry) -> ChainValue {
        let length = EntryRecord.lengthBytes(slices: entry.slices.count, payload: entry.payload.count)
        return withUnsafeTemporaryAllocation(byteCount: length, alignment: LogFormat.recordAlignment) {
            EntryRecord.encode(entry, after: previous, into: $0)
        }
    }
}

/// The partition chain: the same over one partition's slices, as (previous value, partition index, Raft index, term,
/// timestamp, type, the partition's part of the payload). Stored in the partition log's records.
public enum PartitionChain {
    static func value(after previous: ChainValue, content: UnsafeRawBufferPointer) -> ChainValue {
        EntryChain.value(after: previous, content: content)
    }

    /// The value at a slice that follows one whose value is `previous`.
    public static func value(
        after previous: ChainValue, _ position: PartitionRecordPosition, payload: UnsafeRawBufferPointer
    ) -> ChainValue {
        let length = PartitionRecord.lengthBytes(payload: payload.count)
        return withUnsafeTemporaryAllocation(byteCount: length, alignment: LogFormat.recordAlignment) {
            PartitionRecord.encode(position, payload: payload, after: previous, into: $0)
        }
    }
}
