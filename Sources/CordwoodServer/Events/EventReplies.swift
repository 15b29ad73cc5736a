import CordwoodBase
import CordwoodEvents
import CordwoodNode
import CordwoodRESP

/// The replies of the event commands: what was appended and what was read, in the forms of the protocol.
extension ReplyBuffer {
    mutating func uuid(_ value: UUID) { uuid(high: value.high, low: value.low) }

    /// The event map of section 3.1 of the protocol.
    mutating func event(_ event: StoredEvent) {
        map(11)
        encoded("+event_id\r\n")
        uuid(event.id.uuid)
        encoded("+partition_key\r\n")
        uuid(event.partitionKey.uuid)
        encoded("+partition_id\r\n")
        integer(event.partition.rawValue)
        encoded("+transaction_id\r\n")
        uuid(event.transactionID.uuid)
        encoded("+partition_sequence\r\n")
        integer(event.sequence)
        encoded("+stream_version\r\n")
        integer(event.version)
        encoded("+timestamp\r\n")
        integer(event.timestampMilliseconds)
        encoded("+stream_id\r\n")
        bulk(event.streamID)
        encoded("+event_name\r\n")
        bulk(event.name)
        encoded("+metadata\r\n")
        bulk(event.metadata)
        encoded("+payload\r\n")
        bulk(event.payload)
    }

    mutating func bulk(_ bytes: ArraySlice<UInt8>) { bytes.withUnsafeBytes { bulk($0) } }

    /// The reply to an append that took effect, now or when it was first sent.
    mutating func appended(_ events: AppendedEvents, for append: PendingAppend) {
        append.isTransaction ? transaction(events, for: append) : single(events, for: append)
    }

    private mutating func single(_ events: AppendedEvents, for append: PendingAppend) {
        let event = events[events.startIndex]
        map(append.requestedAcknowledgement == nil ? 6 : 7)
        encoded("+event_id\r\n")
        uuid(event.id.uuid)
        place(of: append)
        encoded("+partition_sequence\r\n")
        integer(event.sequence)
        encoded("+stream_version\r\n")
        integer(event.version)
        encoded("+timestamp\r\n")
        integer(event.timestampMilliseconds)
        acknowledgement(of: append)
    }

    private mutating func transaction(_ events: AppendedEvents, for append: PendingAppend) {
        let subjects = AppendCommand.subjects(of: append.command)
        map(5)
        place(of: append)
        encoded("+first_partition_sequence\r\n")
        integer(events.first?.sequence ?? 0)
        encoded("+last_partition_sequence\r\n")
        integer(events.last?.sequence ?? 0)
        encoded("+events\r\n")
        array(events.count)
        for (event, subject) in zip(events, subjects) {
            map(4)
            encoded("+event_id\r\n")
            uuid(event.id.uuid)
            encoded("+stream_id\r\n")
            bulk(subject.streamID[...])
            encoded("+stream_version\r\n")
            integer(event.version)
            encoded("+timestamp\r\n")
            integer(event.timestampMilliseconds)
        }
    }

    /// The reply to an append that is in the leader's log, durable or not, and nothing more: sequence and version do
    /// not exist yet.
    mutating func logged(_ append: PendingAppend) {
        let subject = AppendCommand.subjects(of: append.command).first
        map(7)
        encoded("+event_id\r\n")
        uuid(subject?.id.uuid ?? UUID(high: 0, low: 0))
        place(of: append)
        encoded("+partition_sequence\r\n")
        null()
        encoded("+stream_version\r\n")
        null()
        encoded("+timestamp\r\n")
        integer(subject?.timestampMilliseconds ?? append.timestampMilliseconds)
        acknowledgement(of: append)
    }

    private mutating func place(of append: PendingAppend) {
        encoded("+partition_key\r\n")
        uuid(append.key.uuid)
        encoded("+partition_id\r\n")
        integer(append.partition.rawValue)
    }

    private mutating func acknowledgement(of append: PendingAppend) {
        switch append.requestedAcknowledgement {
        case .quorum: encoded("+ack\r\n+QUORUM\r\n")
        case .durable: encoded("+ack\r\n+DURABLE\r\n")
        case .buffered: encoded("+ack\r\n+BUFFERED\r\n")
        case nil: break
        }
    }
}
