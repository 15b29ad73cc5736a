import CordwoodBase
import CordwoodRaft

/// The transfer form of the in-memory store: entries, and what stands before the first of them.
///
/// Little-endian: magic u64, version u32, count u32, boundary (index, term, chain), then the entries (index, term, type
/// u8, timestamp, slices, payload length and payload, chain), and an XXH3 over all of it.
struct ExportedEntries {
    private static let magic: UInt64 = 0x4d45_4d58_4f46_5257
    private static let version: UInt32 = 1

    var before: LogBoundary
    var entries: [Entry]

    init(before: LogBoundary, entries: [Entry]) {
        self.before = before
        self.entries = entries
    }

    func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: ExportedEntries.magic)
        bytes.append(littleEndian: ExportedEntries.version)
        bytes.append(littleEndian: UInt32(entries.count))
        bytes.append(littleEndian: before.index.rawValue)
        bytes.append(littleEndian: before.term.rawValue)
        bytes.append(chain: before.chain)
        for entry in entries {
            bytes.append(littleEndian: entry.index.rawValue)
            bytes.append(littleEndian: entry.term.rawValue)
            bytes.append(entry.type.rawValue)
            bytes.append(littleEndian: entry.timestampMicroseconds)
            bytes.append(littleEndian: UInt32(entry.slices.count))
            for slice in entry.slices {
                bytes.append(littleEndian: slice.partition.rawValue)
                bytes.append(littleEndian: slice.partitionIndex.rawValue)
                bytes.append(littleEndian: slice.previousRaftIndex.rawValue)
                bytes.append(littleEndian: slice.offset)
                bytes.append(littleEndian: slice.length)
            }
            bytes.append(littleEndian: UInt32(entry.payload.count))
            bytes.append(contentsOf: entry.payload)
            bytes.append(chain: entry.chain)
        }
        let checksum = bytes.withUnsafeBytes { Checksum.xxh3($0, seed: ExportedEntries.magic) }
        bytes.append(littleEndian: checksum)
        return bytes
    }

    init(decoding bytes: [UInt8]) throws(LogError) {
        let decoded = bytes.withUnsafeBytes { raw in
            Result { () throws(DecodeError) in try ExportedEntries(raw) }
        }
        switch decoded {
        case .success(let exported): self = exported
        case .failure(let error):
            throw .corrupt(
                Damage(.corrupt, file: "exported entries", offsets: 0..<UInt64(bytes.count), detail: "\(error)"))
        }
    }

    private init(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) {
        guard bytes.count >= 8 else { throw .truncated(needed: 8, available: bytes.count) }
        let body = UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - 8)])
        var trailer = ByteReader(bytes, offset: body.count)
        let checksum = try trailer.integer(UInt64.self)
        guard checksum == Checksum.xxh3(body, seed: ExportedEntries.magic) else {
            throw .invalid(field: "checksum", value: checksum)
        }
        var reader = ByteReader(body)
        let magic = try reader.integer(UInt64.self)
        guard magic == ExportedEntries.magic else { throw .invalid(field: "magic", value: magic) }
        let version = try reader.integer(UInt32.self)
        guard version == ExportedEntries.version else { throw .invalid(field: "version", value: UInt64(version)) }
        let count = try reader.integer(UInt32.self)
        before = LogBoundary(
            index: try reader.ordinal(), term: try reader.ordinal(), chain: try reader.chainValue())
        entries = []
        for _ in 0..<count { entries.append(try ExportedEntries.entry(&reader)) }
    }

    private static func entry(_ reader: inout ByteReader) throws(DecodeError) -> Entry {
        let index: RaftIndex = try reader.ordinal()
        let term: Term = try reader.ordinal()
        let rawType = try reader.integer(UInt8.self)
        guard let type = EntryType(rawValue: rawType) else { throw .invalid(field: "type", value: UInt64(rawType)) }
        let timestamp = try reader.integer(Int64.self)
        var slices: [EntrySlice] = []
        for _ in 0..<(try reader.integer(UInt32.self)) {
            slices.append(
                EntrySlice(
                    partition: try reader.ordinal(), partitionIndex: try reader.ordinal(),
                    previousRaftIndex: try reader.ordinal(), offset: try reader.integer(),
                    length: try reader.integer()))
        }
        let payload = try reader.take(Int(try reader.integer(UInt32.self)))
        return Entry(
            index: index, term: term, type: type, timestampMicroseconds: timestamp, slices: EntrySlices(slices),
            payload: [UInt8](payload), chain: try reader.chainValue())
    }
}

extension [UInt8] {
    fileprivate mutating func append(chain: ChainValue) {
        append(littleEndian: chain.low)
        append(littleEndian: chain.high)
    }
}
