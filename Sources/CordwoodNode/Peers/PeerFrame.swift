import CordwoodBase
import CordwoodRaft

/// What travels between nodes: frames, one behind the other, each sealed for its place on its connection.
///
/// All integers are little-endian. A frame is a header of 24 bytes and a body:
///
///     offset  size  field
///          0     8  XXH3-64 of the body, seed 0
///          8     4  body bytes
///         12     1  kind
///         13     3  0
///         16     8  XXH3-64 of bytes 0 ..< 16, seeded with the connection's seed + the frame's number
///
/// Frames of each direction are numbered from 0. The seed is 0 in the handshake; from then on it is drawn by both ends
/// for this connection, and complemented in the direction of the one that was dialled. So a frame that is repeated,
/// left out, or meant for another connection is as wrong as one with a flipped bit. The header is verified before the
/// body's length is believed, and the length is held against the limit before any memory is taken for it.
///
/// Bodies:
///
///     hello (1), by the one that dials
///          0     8  magic, "CWDPEERS"
///          8     2  oldest version spoken
///         10     2  newest version spoken
///         12     1  lane: 1 consensus, 2 control, 3 bulk, 4 guest
///         13     3  0
///         16    16  cluster, 0 for a guest without one
///         32     8  replica of the one that dials, 0 for none
///         40     8  replica that it means to reach, 0 for whoever is there
///         48     8  its half of the seed
///         56     4  largest body that it takes
///         60     2  port at which it can be dialled, 0 for none
///         62     .  its name, the host at which it can be dialled (each u16 length, UTF-8)
///
///     welcome (2), by the one that was dialled
///          0     2  version spoken from here on
///          2     2  0
///          4     4  largest body that it takes
///          8    16  cluster
///         24     8  replica
///         32     8  its half of the seed
///         40     .  its name
///
///     refusal (3), by either: the handshake is over
///          0     2  reason
///          2     6  0
///          8    16  cluster
///         24     .  a line of text
///
///     message (4): consensus
///          0     1  kind
///          1     1  flags: 1 rejected, 2 transfer
///          2     2  0
///          4     4  number of entries
///          8     4  quorum contact age
///         12     4  attachment bytes
///         16    64  from, to, term, index, log term, commit, hint, context (8 each)
///         80     .  the entries' contents (see EntryContent), then the attachment
///
///     request (5)                          answer (6)
///          0     8  number                      0     8  number of the request
///          8     1  service                     8     1  1 when refused
///          9     7  0                           9     1  0
///         16     .  body                       10     2  code when refused
///                                              12     4  0
///                                              16     .  body, or a line of text
///
///     alive (7): empty; says that this end is there, and asks the same of the other
enum PeerFrame: Hashable {
    case hello(PeerHello)
    case welcome(PeerWelcome)
    case refusal(PeerParting)
    case message(RaftMessage, ArraySlice<Entry>, attachment: [UInt8])
    case request(number: UInt64, service: UInt8, [UInt8])
    case answer(number: UInt64, PeerAnswer)
    case alive

    enum Kind: UInt8, Hashable, CaseIterable {
        case hello = 1
        case welcome = 2
        case refusal = 3
        case message = 4
        case request = 5
        case answer = 6
        case alive = 7
    }

    /// Versions of the protocol that this code speaks.
    static let versions: ClosedRange<UInt16> = 1...1
    static let headerBytes = 24
    /// Frames of the handshake have bodies of at most so many bytes.
    static let maxHandshakeBytes = 2048

    static let callHeaderBytes = 16

    var kind: Kind {
        switch self {
        case .hello: .hello
        case .welcome: .welcome
        case .refusal: .refusal
        case .message: .message
        case .request: .request
        case .answer: .answer
        case .alive: .alive
        }
    }

    /// Length of the body.
    var bodyBytes: Int {
        switch self {
        case .hello(let hello): hello.encodedBytes
        case .welcome(let welcome): welcome.encodedBytes
        case .refusal(let parting): parting.encodedBytes
        case .message(_, let entries, let attachment):
            PeerMessageCodec.encodedBytes(entries, attachment: attachment)
        case .request(_, _, let body): PeerFrame.callHeaderBytes + body.count
        case .answer(_, .success(let body)): PeerFrame.callHeaderBytes + body.count
        case .answer(_, .refused(_, let text)): PeerFrame.callHeaderBytes + text.utf8.count
        case .alive: 0
        }
    }

    /// Writes the body, `bodyBytes` of it.
    func encodeBody(into writer: inout ByteWriter) {
        switch self {
        case .hello(let hello): hello.encode(into: &writer)
        case .welcome(let welcome): welcome.encode(into: &writer)
        case .refusal(let parting): parting.encode(into: &writer)
        case .message(let message, let entries, let attachment):
            PeerMessageCodec.encode(message, entries, attachment: attachment, into: &writer)
        case .request(let number, let service, let body):
            writer.integer(number)
            writer.integer(service)
            writer.zeros(7)
            body.withUnsafeBytes { writer.raw($0) }
        case .answer(let number, .success(let body)):
            writer.integer(number)
            writer.zeros(8)
            body.withUnsafeBytes { writer.raw($0) }
        case .answer(let number, .refused(let code, var text)):
            writer.integer(number)
            writer.integer(UInt8(1))
            writer.zeros(1)
            writer.integer(code)
            writer.zeros(4)
            text.withUTF8 { writer.raw(UnsafeRawBufferPointer($0)) }
        case .alive: break
        }
    }

    /// Decodes a body whose checksum has been verified.
    init(_ kind: Kind, body: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(body)
        switch kind {
        case .hello: self = .hello(try PeerHello(from: &reader))
        case .welcome: self = .welcome(try PeerWelcome(from: &reader))
        case .refusal: self = .refusal(try PeerParting(from: &reader))
        case .message:
            let decoded = try PeerMessageCodec.decode(from: &reader)
            self = .message(decoded.message, decoded.entries[...], attachment: decoded.attachment)
        case .request:
            let number = try reader.integer(UInt64.self)
            let service = try reader.integer(UInt8.self)
            try reader.zeros(7)
            self = .request(number: number, service: service, [UInt8](try reader.take(reader.remaining)))
        case .answer: self = try PeerFrame.answer(from: &reader)
        case .alive: self = .alive
        }
        try reader.end()
    }

    private static func answer(from reader: inout ByteReader) throws(DecodeError) -> PeerFrame {
        let number = try reader.integer(UInt64.self)
        let isRefused = try reader.flags(allowed: 1) != 0
        try reader.zeros(1)
        let code = try reader.integer(UInt16.self)
        try reader.zeros(4)
        let rest = try reader.take(reader.remaining)
        if isRefused {
            guard let text = String(validating: rest, as: UTF8.self) else {
                throw .invalid(field: "UTF-8 text of bytes", value: UInt64(rest.count))
            }
            return .answer(number: number, .refused(code: code, text))
        }
        guard code == 0 else { throw .invalid(field: "code of an answer", value: UInt64(code)) }
        return .answer(number: number, .success([UInt8](rest)))
    }
}

extension ByteReader {
    /// Nothing may follow.
    func end() throws(DecodeError) {
        guard remaining == 0 else {
            throw .invalid(field: "bytes behind a frame's body", value: UInt64(remaining))
        }
    }

    /// Bytes that the format reserves.
    mutating func zeros(_ count: Int) throws(DecodeError) {
        for byte in try take(count) where byte != 0 { throw .invalid(field: "reserved byte", value: UInt64(byte)) }
    }

    /// A byte with no other bits than `allowed`.
    mutating func flags(allowed: UInt8) throws(DecodeError) -> UInt8 {
        let flags = try integer(UInt8.self)
        guard flags & ~allowed == 0 else { throw .invalid(field: "flags", value: UInt64(flags)) }
        return flags
    }
}

extension ByteWriter {
    /// A string: length (u16), UTF-8.
    mutating func text(_ text: String) {
        var text = text
        text.withUTF8 {
            integer(UInt16($0.count))
            raw(UnsafeRawBufferPointer($0))
        }
    }
}
