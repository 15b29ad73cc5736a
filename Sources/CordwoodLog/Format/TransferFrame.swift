import CordwoodBase

/// What frames the forms in which entries and records travel: magic, version and two reserved bytes before the header
/// of the form and what it carries, and behind them the 128-bit checksum of all of it.
struct TransferFrame {
    static let trailerBytes = 16

    let magic: UInt32
    let version: UInt16
    /// Bytes of the form's header, the frame's eight among them.
    let headerBytes: Int
    let checksumSeed: UInt64

    func begin(_ bytes: inout [UInt8]) {
        bytes.append(littleEndian: magic)
        bytes.append(littleEndian: version)
        bytes.append(littleEndian: UInt16(0))
    }

    func finish(_ bytes: inout [UInt8]) {
        let checksum = bytes.withUnsafeBytes { Checksum.xxh3Wide($0, seed: checksumSeed) }
        bytes.append(littleEndian: checksum.low)
        bytes.append(littleEndian: checksum.high)
    }

    /// A reader of what the frame holds, behind the frame's own part of the header.
    func contents(of bytes: UnsafeRawBufferPointer) throws(DecodeError) -> ByteReader {
        let leastBytes = headerBytes + TransferFrame.trailerBytes
        guard bytes.count >= leastBytes else { throw .truncated(needed: leastBytes, available: bytes.count) }
        let body = UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - TransferFrame.trailerBytes)])
        var trailer = ByteReader(bytes, offset: body.count)
        guard try trailer.chainValue() == Checksum.xxh3Wide(body, seed: checksumSeed) else {
            throw .invalid(field: "export checksum", value: 0)
        }
        var reader = ByteReader(body)
        let foundMagic = try reader.integer(UInt32.self)
        guard foundMagic == magic else { throw .invalid(field: "export magic", value: UInt64(foundMagic)) }
        let foundVersion = try reader.integer(UInt16.self)
        guard foundVersion == version else { throw .invalid(field: "export version", value: UInt64(foundVersion)) }
        _ = try reader.integer(UInt16.self)
        return reader
    }
}
