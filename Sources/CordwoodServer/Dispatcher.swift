import CordwoodBase
import CordwoodIO
import CordwoodNode
import CordwoodRESP

/// The one place where requests become actions.
///
/// Whatever a client may or may not do is decided here, before any argument but the command's name is interpreted:
/// whether the command exists, whether its arity fits, whether the node takes it now.
struct Dispatcher {
    let server: Server
    let events: EventCommands

    init(server: Server) {
        self.server = server
        events = EventCommands(server: server)
    }

    /// Runs a command that never waits, or starts an append. `nil` is a name that the table does not have.
    func execute(_ command: Command?, _ request: Request, on connection: ClientConnection) {
        guard let command else { return refuseUnknown(request, on: connection) }
        do throws(CommandError) {
            try check(command, request)
            try route(command, request, on: connection)
            try run(command, request, on: connection)
        } catch {
            server.statistics.countFailed(command)
            connection.fail(error)
        }
    }

    /// Runs a command that may wait for a disk or for progress.
    func executeWaiting(_ command: Command, _ request: Request, on connection: ClientConnection) async {
        let started = server.seams.clock.monotonicNanoseconds
        do throws(CommandError) {
            try check(command, request)
            try route(command, request, on: connection)
            try await runWaiting(command, request, on: connection)
        } catch {
            server.statistics.countFailed(command)
            connection.fail(error)
        }
        let nanoseconds = server.seams.clock.monotonicNanoseconds - started
        server.statistics.recordLatency(of: command, nanoseconds: nanoseconds)
    }

    private func check(_ command: Command, _ request: Request) throws(CommandError) {
        let description = server.table.description(of: command)
        guard description.accepts(argumentCount: request.count) else {
            server.statistics.countRejected(command)
            throw CommandError(
                .generic, "wrong number of arguments for '\(description.name.lowercased())' command")
        }
        if server.node.isRemoved, description.flags.isDisjoint(with: [.loading, .admin]) { throw .removed }
    }

    /// Where clients are to find the leader themselves, they are told where it is.
    private func route(
        _ command: Command, _ request: Request, on connection: ClientConnection
    ) throws(CommandError) {
        guard server.settings.routing == .moved, !server.node.isLeader else { return }
        let description = server.table.description(of: command)
        let isLinearizableRead =
            description.group == .events && connection.readMode != .local && !connection.readsLocally
        guard description.flags.contains(.write) || isLinearizableRead else { return }
        let slot = description.keyPosition > 0 ? KeySlot.slot(of: request[description.keyPosition]) : 0
        throw server.redirection(slot: slot)
    }

    private func run(
        _ command: Command, _ request: Request, on connection: ClientConnection
    ) throws(CommandError) {
        switch command {
        case .eappend: try events.append(request, on: connection)
        case .emappend: try events.appendAll(request, on: connection)
        case .ping: try ping(request, on: connection)
        case .echo: connection.output.bulk(request[1])
        case .hello: try hello(request, on: connection)
        case .auth: try authenticate(request, on: connection)
        case .quit: quit(on: connection)
        case .reset: reset(on: connection)
        case .select: try select(request, on: connection)
        case .client: try client(request, on: connection)
        case .command: try describeCommands(request, on: connection)
        case .info: try info(request, on: connection)
        case .config: try config(request, on: connection)
        case .time: time(on: connection)
        case .acl: try acl(request, on: connection)
        case .readonly: readsLocally(true, on: connection)
        case .readwrite: readsLocally(false, on: connection)
        case .asking: connection.output.simple("OK")
        case .cluster: try cluster(request, on: connection)
        case .floor: try floor(request, on: connection)
        case .help: try help(request, on: connection)
        case .readmode: try readMode(request, on: connection)
        case .verify: try verify(request, on: connection)
        case .repair: try repair(request, on: connection)
        case .job: try job(request, on: connection)
        case .members,
            .dbsize, .eget, .escan, .epscan, .esver, .epseq, .partition, .log, .barrier, .snapshot, .shutdown:
            brokenInvariant("\(command) may wait and was run as if it did not")
        }
    }

    private func runWaiting(
        _ command: Command, _ request: Request, on connection: ClientConnection
    ) async throws(CommandError) {
        switch command {
        case .dbsize:
            try await server.prepareRead(of: nil, by: connection)
            await server.node.untilWarm()
            connection.output.integer(server.visibleEventCount)
        case .eget: try await events.event(request, on: connection)
        case .escan: try await events.scanStream(request, on: connection)
        case .epscan: try await events.scanPartition(request, on: connection)
        case .esver: try await events.streamVersion(request, on: connection)
        case .epseq: try await events.partitionSequence(request, on: connection)
        case .members: try await members(request, on: connection)
        case .partition: try await partition(request, on: connection)
        case .log: try await log(request, on: connection)
        case .barrier: try await barrier(request, on: connection)
        case .snapshot: try await snapshot(request, on: connection)
        case .shutdown: try await shutdown(request, on: connection)
        default: brokenInvariant("\(command) does not wait")
        }
    }

    private func refuseUnknown(_ request: Request, on connection: ClientConnection) {
        server.statistics.countUnknownCommand()
        guard request.count > 0 else { return connection.fail(CommandError(.generic, "empty command")) }
        var message = "unknown command '\(shown(request[0]))', with args beginning with: "
        for position in 1..<max(request.count, 1) where message.utf8.count < ReplyBuffer.maxErrorBytes {
            message += "'\(shown(request[position]))' "
        }
        if let hint = Dispatcher.hint(for: request[0]) { message += "; \(hint)" }
        connection.fail(CommandError(.generic, message))
    }

    /// Where to look for what a command of Redis would have done.
    private static func hint(for name: UnsafeRawBufferPointer) -> String? {
        let transactions: [StaticString] = ["MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH"]
        let subscriptions: [StaticString] = ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUBLISH"]
        if transactions.contains(where: { name.matches($0) }) { return "see EMAPPEND" }
        if subscriptions.contains(where: { name.matches($0) }) { return "see ESUB" }
        let unserved: [StaticString] = ["ESUB", "EPSUB", "EACK", "EUNSUB"]
        if unserved.contains(where: { name.matches($0) }) { return "this version serves no subscriptions" }
        if name.matches("GET") { return "see EGET" }
        return name.matches("SET") ? "see EAPPEND" : nil
    }
}

/// The error of a container command for a subcommand that it does not have.
func unknownSubcommand(_ name: UnsafeRawBufferPointer, of command: String) -> CommandError {
    CommandError(.generic, "unknown subcommand '\(shown(name))'. Try \(command) HELP.")
}
