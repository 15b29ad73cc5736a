import CordwoodEvents
import CordwoodNode
import CordwoodRESP

/// The arguments of one event of an append, over the request's bytes. Options come in any order, each once.
struct AppendArguments {
    /// Which options have been given.
    private struct Given: OptionSet {
        let rawValue: UInt8

        static let eventID = Given(rawValue: 1 << 0)
        static let partitionKey = Given(rawValue: 1 << 1)
        static let expectedVersion = Given(rawValue: 1 << 2)
        static let timestamp = Given(rawValue: 1 << 3)
        static let payload = Given(rawValue: 1 << 4)
        static let metadata = Given(rawValue: 1 << 5)
        static let acknowledgement = Given(rawValue: 1 << 6)
    }

    var streamID: UnsafeRawBufferPointer
    var name: UnsafeRawBufferPointer
    var eventID: EventID?
    var partitionKey: PartitionKey?
    var expectedVersion: ExpectedVersion?
    var timestampMilliseconds: Int64?
    var payload = UnsafeRawBufferPointer(start: nil, count: 0)
    var metadata = UnsafeRawBufferPointer(start: nil, count: 0)
    var acknowledgement: Acknowledgement?
    private var given: Given = []

    /// Milliseconds that still fit 63 bits as nanoseconds.
    private static let maxTimestampMilliseconds: UInt64 = 9_223_372_036_854

    init(streamID: UnsafeRawBufferPointer, name: UnsafeRawBufferPointer) throws(CommandError) {
        try AppendArguments.check(streamID: streamID)
        guard name.count <= AppendCommand.maxEventNameLength else {
            throw CommandError(
                .invalidArgument, "event name of \(name.count) bytes: at most \(AppendCommand.maxEventNameLength)")
        }
        self.streamID = streamID
        self.name = name
    }

    static func check(streamID: UnsafeRawBufferPointer) throws(CommandError) {
        guard streamID.count >= 1, streamID.count <= AppendCommand.maxStreamIDLength else {
            throw CommandError(
                .invalidArgument,
                "stream id of \(streamID.count) bytes: must be 1 to \(AppendCommand.maxStreamIDLength)")
        }
        if streamID.contains(0) { throw CommandError(.invalidArgument, "stream id must not contain NUL") }
    }

    /// Takes the option at the cursor. False when the word there is none that one event of EMAPPEND has; `isAlone` adds
    /// those that only EAPPEND has.
    mutating func takeOption(
        _ arguments: inout ArgumentCursor, isAlone: Bool, maxBytes: Int
    ) throws(CommandError) -> Bool {
        guard let word = arguments.peeked else { return false }
        // Most words are told apart by their length alone, so the comparison runs once.
        switch word.count {
        case 7 where word.matches("PAYLOAD"):
            try take(.payload, "PAYLOAD", &arguments)
            payload = try bytes("PAYLOAD", &arguments, maxBytes)
        case 8 where word.matches("METADATA"):
            try take(.metadata, "METADATA", &arguments)
            metadata = try bytes("METADATA", &arguments, maxBytes)
        case 8 where word.matches("EVENT_ID"):
            try take(.eventID, "EVENT_ID", &arguments)
            eventID = EventID(try arguments.uuid("uuid"))
        case 9 where word.matches("TIMESTAMP"):
            try take(.timestamp, "TIMESTAMP", &arguments)
            timestampMilliseconds = try timestamp(&arguments)
        case 16 where word.matches("EXPECTED_VERSION"):
            try take(.expectedVersion, "EXPECTED_VERSION", &arguments)
            expectedVersion = try expectation(&arguments)
        case 13 where isAlone && word.matches("PARTITION_KEY"):
            try take(.partitionKey, "PARTITION_KEY", &arguments)
            partitionKey = PartitionKey(try arguments.uuid("uuid"))
        case 3 where isAlone && word.matches("ACK"):
            try take(.acknowledgement, "ACK", &arguments)
            acknowledgement = try level(&arguments)
        default: return false
        }
        return true
    }

    /// The event as a command carries it. An id that the client brought must carry the key's hash; one that it did not
    /// bring is drawn by `makeID`.
    func draft(
        under key: PartitionKey, strictVersioning: Bool, makeID: (PartitionKey) -> EventID
    ) throws(CommandError) -> EventDraft {
        if let eventID, !eventID.belongs(to: key) {
            throw CommandError(.invalidArgument, "the event id must embed the partition hash")
        }
        let expectation = expectedVersion ?? .any
        let needsQuorum = acknowledgement == nil || acknowledgement == .quorum
        if !needsQuorum, strictVersioning || expectation != .any {
            throw CommandError(.invalidArgument, "EXPECTED_VERSION needs ACK QUORUM")
        }
        if strictVersioning, expectation == .any || expectation == .exists {
            let word = expectation == .any ? "any" : "exists"
            throw CommandError(.invalidArgument, "strict versioning mode rejects EXPECTED_VERSION \(word)")
        }
        return EventDraft(
            streamID: streamID, name: name, id: eventID ?? makeID(key), idIsSupplied: eventID != nil,
            expectedVersion: expectation, timestampMilliseconds: timestampMilliseconds, metadata: metadata,
            payload: payload)
    }

    private mutating func take(
        _ option: Given, _ word: StaticString, _ arguments: inout ArgumentCursor
    ) throws(CommandError) {
        guard given.insert(option).inserted else { throw .repeated("\(word)") }
        _ = try arguments.next(word)
    }

    private func bytes(
        _ option: StaticString, _ arguments: inout ArgumentCursor, _ maxBytes: Int
    ) throws(CommandError) -> UnsafeRawBufferPointer {
        let bytes = try arguments.next("bytes")
        guard bytes.count <= maxBytes else {
            throw CommandError(.invalidArgument, "\(option) of \(bytes.count) bytes: at most \(maxBytes)")
        }
        return bytes
    }

    private func timestamp(_ arguments: inout ArgumentCursor) throws(CommandError) -> Int64 {
        let milliseconds = try arguments.number("milliseconds")
        guard milliseconds <= AppendArguments.maxTimestampMilliseconds else {
            throw CommandError(
                .invalidArgument, "invalid timestamp format: expected milliseconds, got nanoseconds")
        }
        return Int64(milliseconds)
    }

    private func expectation(_ arguments: inout ArgumentCursor) throws(CommandError) -> ExpectedVersion {
        if arguments.take("EMPTY") { return .empty }
        if arguments.take("ANY") { return .any }
        if arguments.take("EXISTS") { return .exists }
        return .exactly(try arguments.number("a version, EMPTY, ANY or EXISTS"))
    }

    private func level(_ arguments: inout ArgumentCursor) throws(CommandError) -> Acknowledgement {
        if arguments.take("QUORUM") { return .quorum }
        if arguments.take("DURABLE") { return .durable }
        if arguments.take("BUFFERED") { return .buffered }
        throw .unexpected(
            try arguments.next("QUORUM, DURABLE or BUFFERED"), expected: "QUORUM, DURABLE or BUFFERED")
    }
}
