import CordwoodBase
import CordwoodLog
import CordwoodRaft

/// The body of a consensus message; `PeerFrame` has the table.
enum PeerMessageCodec {
    static let fixedBytes = 80

    private static let rejected: UInt8 = 1
    private static let transfer: UInt8 = 2

    static func encodedBytes(_ entries: ArraySlice<Entry>, attachment: [UInt8]) -> Int {
        entries.reduce(fixedBytes + attachment.count) { $0 + EntryContent.lengthBytes(of: $1) }
    }

    static func encode(
        _ message: RaftMessage, _ entries: ArraySlice<Entry>, attachment: [UInt8], into writer: inout ByteWriter
    ) {
        writer.integer(message.kind.rawValue)
        writer.integer((message.isRejected ? rejected : 0) | (message.isTransfer ? transfer : 0))
        writer.zeros(2)
        writer.integer(message.entryCount)
        writer.integer(message.quorumContactAge)
        writer.integer(UInt32(attachment.count))
        writer.ordinal(message.from)
        writer.ordinal(message.to)
        writer.ordinal(message.term)
        writer.ordinal(message.index)
        writer.ordinal(message.logTerm)
        writer.ordinal(message.commit)
        writer.ordinal(message.hint)
        writer.integer(message.context)
        for entry in entries { EntryContent.encode(entry, into: &writer) }
        attachment.withUnsafeBytes { writer.raw($0) }
    }

    struct Decoded {
        var message: RaftMessage
        var entries: [Entry]
        var attachment: [UInt8]
    }

    static func decode(from reader: inout ByteReader) throws(DecodeError) -> Decoded {
        let rawKind = try reader.integer(UInt8.self)
        guard let kind = RaftMessage.Kind(rawValue: rawKind) else {
            throw .invalid(field: "message kind", value: UInt64(rawKind))
        }
        let flags = try reader.flags(allowed: rejected | transfer)
        try reader.zeros(2)
        let entryCount = try reader.integer(UInt32.self)
        let contactAge = try reader.integer(UInt32.self)
        let attachmentBytes = Int(try reader.integer(UInt32.self))
        var message = RaftMessage(
            kind, from: try reader.position(), to: try reader.position(), term: try reader.position())
        message.index = try reader.position()
        message.logTerm = try reader.position()
        message.commit = try reader.position()
        message.hint = try reader.position()
        message.context = try reader.integer()
        message.entryCount = entryCount
        message.quorumContactAge = contactAge
        message.isRejected = flags & rejected != 0
        message.isTransfer = flags & transfer != 0
        let entries = try entries(of: message, from: &reader)
        let attachment = try reader.take(attachmentBytes)
        return Decoded(message: message, entries: entries, attachment: [UInt8](attachment))
    }

    /// The entries that an append names: indexes without a gap behind its own, terms that never fall.
    private static func entries(
        of message: RaftMessage, from reader: inout ByteReader
    ) throws(DecodeError) -> [Entry] {
        let count = Int(message.entryCount)
        if count == 0 { return [] }
        guard message.kind == .append else {
            throw .invalid(field: "entries in a message that has none", value: UInt64(count))
        }
        let entries = try EntryContent.decode(count, from: &reader)
        var last = LogPosition(index: message.index, term: message.logTerm)
        for entry in entries {
            guard entry.index == last.index.next else {
                throw .invalid(field: "index of an entry", value: entry.index.rawValue)
            }
            guard entry.term >= last.term, entry.term <= message.term else {
                throw .invalid(field: "term of an entry", value: entry.term.rawValue)
            }
            last = entry.position
        }
        return entries
    }
}
