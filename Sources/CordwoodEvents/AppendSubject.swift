/// What a proposer has to know again of an event that it asked to append, once the answer is there: which event, into
/// which stream, and what it expected.
public struct AppendSubject: Hashable, Sendable {
    public let id: EventID
    public let streamID: [UInt8]
    public let expectedVersion: ExpectedVersion
    /// What the client gave; `nil` for the entry's own timestamp.
    public let timestampMilliseconds: Int64?
}

extension AppendCommand {
    /// The subjects of an encoded command, in its order; empty for bytes that are no command.
    public static func subjects(of command: [UInt8]) -> [AppendSubject] {
        command.withUnsafeBytes { bytes in
            guard var reader = try? AppendReader(bytes) else { return [] }
            var subjects: [AppendSubject] = []
            for _ in 0..<reader.eventCount {
                guard let event = try? reader.next() else { return [] }
                subjects.append(
                    AppendSubject(
                        id: event.id, streamID: Array(event.streamID), expectedVersion: event.expectedVersion,
                        timestampMilliseconds: event.timestampMilliseconds))
            }
            return subjects
        }
    }
}
