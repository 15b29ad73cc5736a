import CordwoodBase
import CordwoodEvents
import CordwoodIO
import CordwoodNode
import CordwoodRESP

/// The event commands: appends go through the node's log, reads are answered from the event stores here.
struct EventCommands {
    let server: Server

    // MARK: Appends

    /// EAPPEND.
    func append(_ request: Request, on connection: ClientConnection) throws(CommandError) {
        let settings = server.settings
        var arguments = ArgumentCursor(request, from: 3)
        var event = try AppendArguments(streamID: request[1], name: request[2])
        while try event.takeOption(&arguments, isAlone: true, maxBytes: settings.maxEventBytes) {}
        try arguments.end(expected: "an option of EAPPEND")
        let key = event.partitionKey ?? PartitionKey(defaultFor: event.streamID)
        let draft = try event.draft(under: key, strictVersioning: settings.strictVersioning, makeID: makeID)
        var refusal: CommandError?
        AppendCommand.withEncoded(key: key, event: draft) { command in
            // Replies to the plainest append, refusals among them, need nothing of the command.
            let isPlain = event.acknowledgement == nil && draft.expectedVersion == .any
            refusal = propose(
                command,
                PendingAppend(
                    command: isPlain ? [] : [UInt8](command), key: key,
                    partition: key.partition(of: server.partitionCount),
                    requestedAcknowledgement: event.acknowledgement, isTransaction: false,
                    startedNanoseconds: server.dispatchNanoseconds),
                on: connection)
        }
        if let refusal { throw refusal }
    }

    /// EMAPPEND.
    func appendAll(_ request: Request, on connection: ClientConnection) throws(CommandError) {
        let settings = server.settings
        var arguments = ArgumentCursor(request)
        let key = PartitionKey(try arguments.uuid("partition key"))
        var drafts: [EventDraft] = []
        repeat {
            _ = arguments.take("STREAM")
            var event = try AppendArguments(
                streamID: try arguments.next("stream id"), name: try arguments.next("event name"))
            while try event.takeOption(&arguments, isAlone: false, maxBytes: settings.maxEventBytes) {}
            guard drafts.count < settings.maxTransactionEvents else {
                throw CommandError(
                    .invalidArgument, "more than \(settings.maxTransactionEvents) events in one transaction")
            }
            drafts.append(
                try event.draft(under: key, strictVersioning: settings.strictVersioning, makeID: makeID))
        } while !arguments.isAtEnd
        let append = PendingAppend(
            command: AppendCommand.encode(key: key, events: drafts), key: key,
            partition: key.partition(of: server.partitionCount), requestedAcknowledgement: nil,
            isTransaction: true, startedNanoseconds: server.dispatchNanoseconds)
        if let refusal = append.command.withUnsafeBytes({ propose($0, append, on: connection) }) { throw refusal }
    }

    private func makeID(under key: PartitionKey) -> EventID {
        server.eventIDs.next(milliseconds: server.dispatchMilliseconds, under: key)
    }

    /// Why the node does not take the command, if it does not.
    private func propose(
        _ command: UnsafeRawBufferPointer, _ append: consuming PendingAppend, on connection: ClientConnection
    ) -> CommandError? {
        do throws(ProposalRejection) {
            try server.node.propose(
                command, to: append.partition, acknowledgement: append.requestedAcknowledgement ?? .quorum,
                tag: connection.appends.tail, observer: connection)
        } catch {
            // A connection with appends under way waits for them rather than being turned away.
            if case .admission(.backpressure) = error, !connection.appends.isEmpty {
                connection.mustRetry = true
                return nil
            }
            return CommandError(rejection: error)
        }
        append.timestampMilliseconds = server.node.proposalMilliseconds
        connection.appends.add(append)
        return nil
    }

    // MARK: Reads

    /// EGET.
    func event(_ request: Request, on connection: ClientConnection) async throws(CommandError) {
        var arguments = ArgumentCursor(request)
        let id = EventID(try arguments.uuid("event id"))
        try arguments.end()
        let partition = id.partitionHash.partition(of: server.partitionCount)
        let store = try await server.eventStore(of: partition, readBy: connection)
        let found: StoredEvent?
        do { found = try await store.event(id) } catch { throw CommandError(reading: error) }
        guard let found else { return connection.output.null() }
        server.statistics.eventsRead += 1
        connection.output.event(found)
    }

    /// ESCAN.
    func scanStream(_ request: Request, on connection: ClientConnection) async throws(CommandError) {
        var arguments = ArgumentCursor(request, from: 2)
        try AppendArguments.check(streamID: request[1])
        let bounds = try ScanBounds(&arguments)
        var key: PartitionKey?
        var count: Int?
        while !arguments.isAtEnd {
            if arguments.take("PARTITION_KEY") {
                if key != nil { throw .repeated("PARTITION_KEY") }
                key = PartitionKey(try arguments.uuid("uuid"))
            } else {
                try takeCount(&arguments, &count, expected: "PARTITION_KEY or COUNT")
            }
        }
        let streamKey = key ?? PartitionKey(defaultFor: request[1])
        let partition = streamKey.partition(of: server.partitionCount)
        let store = try await server.eventStore(of: partition, readBy: connection)
        guard let stream = store.stream(request[1], under: streamKey) else { return reply(.none, on: connection) }
        let page: EventPage
        do {
            page = try await store.events(of: stream, from: bounds.first, through: bounds.last, limit: limit(count))
        } catch { throw CommandError(reading: error) }
        reply(page, on: connection)
    }

    /// EPSCAN.
    func scanPartition(_ request: Request, on connection: ClientConnection) async throws(CommandError) {
        var arguments = ArgumentCursor(request)
        let partition = try partition(&arguments)
        let bounds = try ScanBounds(&arguments)
        var count: Int?
        while !arguments.isAtEnd { try takeCount(&arguments, &count, expected: "COUNT") }
        let store = try await server.eventStore(of: partition, readBy: connection)
        let page: EventPage
        do {
            page = try await store.events(from: bounds.first, through: bounds.last, limit: limit(count))
        } catch { throw CommandError(reading: error) }
        reply(page, on: connection)
    }

    /// ESVER.
    func streamVersion(_ request: Request, on connection: ClientConnection) async throws(CommandError) {
        var arguments = ArgumentCursor(request, from: 2)
        try AppendArguments.check(streamID: request[1])
        var key = PartitionKey(defaultFor: request[1])
        if arguments.take("PARTITION_KEY") { key = PartitionKey(try arguments.uuid("uuid")) }
        try arguments.end(expected: "PARTITION_KEY")
        let store = try await server.eventStore(of: key.partition(of: server.partitionCount), readBy: connection)
        guard let stream = store.stream(request[1], under: key),
            let version = store.lastVisibleVersion(of: stream)
        else { return connection.output.null() }
        connection.output.integer(version)
    }

    /// EPSEQ.
    func partitionSequence(_ request: Request, on connection: ClientConnection) async throws(CommandError) {
        var arguments = ArgumentCursor(request)
        let partition = try partition(&arguments)
        try arguments.end()
        guard let sequence = try await server.eventStore(of: partition, readBy: connection).lastVisibleSequence else {
            return connection.output.null()
        }
        connection.output.integer(sequence)
    }

    /// A partition by its number, or by a key that lives in it.
    func partition(_ arguments: inout ArgumentCursor) throws(CommandError) -> PartitionID {
        let word = try arguments.next("a partition or a key")
        if let uuid = UUID(text: word) { return PartitionKey(uuid).partition(of: server.partitionCount) }
        guard let number = decimal(word) else { throw .unexpected(word, expected: "a partition or a key") }
        guard number < UInt64(server.partitionCount) else {
            throw CommandError(.notFound, "partition \(number) not found: the node has \(server.partitionCount)")
        }
        return PartitionID(number)
    }

    private func takeCount(
        _ arguments: inout ArgumentCursor, _ count: inout Int?, expected: StaticString
    ) throws(CommandError) {
        guard arguments.take("COUNT") else {
            throw .unexpected(try arguments.next(expected), expected: "\(expected)")
        }
        if count != nil { throw .repeated("COUNT") }
        let number = try arguments.number("a count")
        if number < 1 { throw CommandError(.invalidArgument, "number 0 must not be less than 1") }
        count = Int(clamping: number)
    }

    private func limit(_ count: Int?) -> ReadLimit {
        ReadLimit(
            count: min(count ?? EventCommands.defaultScanCount, server.settings.maxScanCount),
            bytes: server.settings.maxScanBytes)
    }

    private func reply(_ page: EventPage?, on connection: ClientConnection) {
        let events = page?.events ?? []
        server.statistics.eventsRead += UInt64(events.count)
        connection.output.map(2)
        connection.output.simple("has_more")
        connection.output.boolean(page?.hasMore ?? false)
        connection.output.simple("events")
        connection.output.array(events.count)
        for event in events { connection.output.event(event) }
    }

    private static let defaultScanCount = 100
}

/// The bounds of a scan, both included: `-` is the first number there is, `+` the last.
private struct ScanBounds {
    var first: UInt64 = 0
    var last: UInt64 = .max

    init(_ arguments: inout ArgumentCursor) throws(CommandError) {
        if !arguments.take("-") { first = try arguments.number("- or a number") }
        if !arguments.take("+") { last = try arguments.number("+ or a number") }
    }
}
