import CordwoodBase

/// The place of a frame on its connection, as its checksum knows it.
struct FrameSeal: Hashable {
    private var next: UInt64

    /// The seal of a handshake.
    static let handshake = FrameSeal(next: 0)

    private init(next: UInt64) { self.next = next }

    /// The seal of a connection after its handshake, in one direction.
    init(dialled: UInt64, accepted: UInt64, fromDialled isFromDialled: Bool) {
        let seed = dialled ^ (accepted << 1 | accepted >> 63)
        next = isFromDialled ? ~seed : seed
    }

    /// The seed of this frame's checksum.
    var seed: UInt64 { next }

    mutating func advance() { next &+= 1 }
}

/// The first 24 bytes of a frame; `PeerFrame` has the table.
struct PeerFrameHeader: Hashable {
    var bodyChecksum: UInt64
    var bodyBytes: Int
    var kind: PeerFrame.Kind

    /// Seals a frame whose body stands behind the place of its header in `frame`.
    static func seal(_ frame: UnsafeMutableRawBufferPointer, kind: PeerFrame.Kind, _ seal: FrameSeal) {
        let whole = UnsafeRawBufferPointer(frame)
        let body = UnsafeRawBufferPointer(rebasing: whole[PeerFrame.headerBytes...])
        var writer = ByteWriter(frame)
        writer.integer(Checksum.xxh3(body, seed: 0))
        writer.integer(UInt32(body.count))
        writer.integer(kind.rawValue)
        writer.zeros(3)
        writer.integer(Checksum.xxh3(UnsafeRawBufferPointer(rebasing: whole[..<16]), seed: seal.seed))
    }

    /// Decodes and verifies a header at the start of `bytes`.
    init(
        decoding bytes: UnsafeRawBufferPointer, _ seal: FrameSeal, maxBodyBytes: Int
    ) throws(DecodeError) {
        var reader = ByteReader(bytes)
        let checked = try reader.take(16)
        let checksum = try reader.integer(UInt64.self)
        guard checksum == Checksum.xxh3(checked, seed: seal.seed) else {
            throw .invalid(field: "frame header checksum", value: checksum)
        }
        reader.offset = 0
        bodyChecksum = try reader.integer()
        bodyBytes = Int(try reader.integer(UInt32.self))
        let rawKind = try reader.integer(UInt8.self)
        try reader.zeros(3)
        guard let kind = PeerFrame.Kind(rawValue: rawKind) else {
            throw .invalid(field: "frame kind", value: UInt64(rawKind))
        }
        guard bodyBytes <= maxBodyBytes else { throw .invalid(field: "frame length", value: UInt64(bodyBytes)) }
        self.kind = kind
    }

    func verify(_ body: UnsafeRawBufferPointer) throws(DecodeError) {
        guard Checksum.xxh3(body, seed: 0) == bodyChecksum else {
            throw .invalid(field: "frame body checksum", value: bodyChecksum)
        }
    }
}
