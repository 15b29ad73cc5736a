public import CordwoodBase

/// An entry's content in its one form: bytes 40 up to the end of its record in the segmented log, what the entry chain
/// covers, and what peers send each other.
///
///     offset  size  field
///          0     8  Raft index, from 1
///          8     8  term
///         16     8  timestamp, microseconds since 1970
///         24     1  entry type
///         25     1  0
///         26     2  number of slices
///         28     4  payload bytes
///         32    32  per slice: partition (8), partition index (8), previous Raft index (8), offset (4), length (4);
///                   ascending by partition
///          .     .  payload
///
/// All little-endian.
public enum EntryContent {
    /// Of an entry without slices and payload.
    public static let minimumBytes = 32
    static let sliceBytes = 32

    @inline(__always)
    static func lengthBytes(slices: Int, payload: Int) -> Int { minimumBytes + slices * sliceBytes + payload }

    /// Bytes of an entry's content.
    public static func lengthBytes(of entry: Entry) -> Int {
        lengthBytes(slices: entry.slices.count, payload: entry.payload.count)
    }

    /// Writes an entry's content, `lengthBytes(of:)` of it.
    public static func encode(_ entry: Entry, into writer: inout ByteWriter) {
        writer.ordinal(entry.index)
        writer.ordinal(entry.term)
        writer.integer(entry.timestampMicroseconds)
        writer.integer(entry.type.rawValue)
        writer.integer(UInt8(0))
        writer.integer(UInt16(entry.slices.count))
        writer.integer(UInt32(entry.payload.count))
        switch entry.slices {
        case .none: break
        case .one(let slice): encode(slice, into: &writer)
        case .many(let slices): for slice in slices { encode(slice, into: &writer) }
        }
        entry.payload.withUnsafeBytes { writer.raw($0) }
    }

    private static func encode(_ slice: EntrySlice, into writer: inout ByteWriter) {
        writer.ordinal(slice.partition)
        writer.ordinal(slice.partitionIndex)
        writer.ordinal(slice.previousRaftIndex)
        writer.integer(slice.offset)
        writer.integer(slice.length)
    }

    /// Everything but the payload, which follows.
    struct Header {
        var index: RaftIndex
        var term: Term
        var timestampMicroseconds: Int64
        var type: EntryType
        var slices: EntrySlices
        var payloadBytes: Int

        init(from reader: inout ByteReader) throws(DecodeError) {
            index = try reader.ordinal()
            term = try reader.ordinal()
            timestampMicroseconds = try reader.integer()
            let rawType = try reader.integer(UInt8.self)
            let reserved = try reader.integer(UInt8.self)
            let sliceCount = Int(try reader.integer(UInt16.self))
            let payloadBytes = try reader.integer(UInt32.self)
            guard let type = EntryType(rawValue: rawType) else {
                throw .invalid(field: "entry type", value: UInt64(rawType))
            }
            guard reserved == 0 else { throw .invalid(field: "entry reserved", value: UInt64(reserved)) }
            guard index > 0, index.rawValue < UInt64(Int64.max) else {
                throw .invalid(field: "raft index", value: index.rawValue)
            }
            self.type = type
            self.payloadBytes = Int(payloadBytes)
            let needed = sliceCount * EntryContent.sliceBytes + self.payloadBytes
            guard needed <= reader.remaining else { throw .truncated(needed: needed, available: reader.remaining) }
            slices = try EntryContent.slices(sliceCount, from: &reader, payloadBytes: payloadBytes)
        }
    }

    private static func slices(
        _ count: Int, from reader: inout ByteReader, payloadBytes: UInt32
    ) throws(DecodeError) -> EntrySlices {
        if count == 0 { return .none }
        let first = try slice(from: &reader, payloadBytes: payloadBytes)
        if count == 1 { return .one(first) }
        var many = [first]
        many.reserveCapacity(count)
        for _ in 1..<count {
            let slice = try slice(from: &reader, payloadBytes: payloadBytes)
            guard many[many.count - 1].partition < slice.partition else {
                throw .invalid(field: "slice order", value: slice.partition.rawValue)
            }
            many.append(slice)
        }
        return .many(many)
    }

    private static func slice(
        from reader: inout ByteReader, payloadBytes: UInt32
    ) throws(DecodeError) -> EntrySlice {
        let slice = EntrySlice(
            partition: try reader.ordinal(), partitionIndex: try reader.ordinal(),
            previousRaftIndex: try reader.ordinal(), offset: try reader.integer(), length: try reader.integer())
        guard slice.partition.rawValue < LogFormat.maximumPartitions else {
            throw .invalid(field: "slice partition", value: slice.partition.rawValue)
        }
        guard slice.partitionIndex > 0, slice.partitionIndex.rawValue < UInt64(Int64.max) else {
            throw .invalid(field: "slice partition index", value: slice.partitionIndex.rawValue)
        }
        let (end, overflow) = slice.offset.addingReportingOverflow(slice.length)
        guard !overflow, end <= payloadBytes else {
            throw .invalid(field: "slice length", value: UInt64(slice.length))
        }
        return slice
    }

    /// Reads the contents of so many entries, with one copy of all their payloads. Their chains are not known.
    public static func decode(_ count: Int, from reader: inout ByteReader) throws(DecodeError) -> [Entry] {
        // Before memory is taken for them.
        let (least, overflow) = count.multipliedReportingOverflow(by: minimumBytes)
        guard count >= 0, !overflow, least <= reader.remaining else {
            throw .invalid(field: "number of entries", value: UInt64(clamping: count))
        }
        var entries: [Entry] = []
        var payloads: [UnsafeRawBufferPointer] = []
        entries.reserveCapacity(count)
        payloads.reserveCapacity(count)
        var payloadBytes = 0
        for _ in 0..<count {
            let header = try Header(from: &reader)
            entries.append(
                Entry(
                    index: header.index, term: header.term, type: header.type,
                    timestampMicroseconds: header.timestampMicroseconds, slices: header.slices))
            payloads.append(try reader.take(header.payloadBytes))
            payloadBytes += header.payloadBytes
        }
        let memory = [UInt8](unsafeUninitializedCapacity: payloadBytes) { memory, initialized in
            for payload in payloads {
                let place = UnsafeMutableRawBufferPointer(
                    rebasing: UnsafeMutableRawBufferPointer(memory)[initialized...])
                place.copyMemory(from: payload)
                initialized += payload.count
            }
        }
        var start = 0
        for position in entries.indices where !payloads[position].isEmpty {
            entries[position].payload = memory[start..<start + payloads[position].count]
            start += payloads[position].count
        }
        return entries
    }
}
