internal import CordwoodBase

extension AppendCommand {
    /// One line about the command in these bytes, for tools: each event's stream, name, id and size. `nil` when the
    /// bytes are no append command.
    public static func summary(of bytes: UnsafeRawBufferPointer) -> String? {
        do throws(DecodeError) {
            var reader = try AppendReader(bytes)
            var events: [String] = []
            for _ in 0..<reader.eventCount {
                let event = try reader.next()
                let stream = String(decoding: event.streamID, as: UTF8.self)
                let name = String(decoding: event.content[event.name], as: UTF8.self)
                events.append("\(stream) \(name) \(event.id) \(event.payload.count)+\(event.metadata.count) bytes")
            }
            try reader.finish()
            return events.joined(separator: "; ")
        } catch {
            return nil
        }
    }
}
