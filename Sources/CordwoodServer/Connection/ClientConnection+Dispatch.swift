import CordwoodBase
import CordwoodIO
import CordwoodNode
import CordwoodRESP

extension ClientConnection {
    /// What the receiver has to wait for.
    enum Pause {
        /// More bytes.
        case more
        /// The appends under way: the next request sees what they did.
        case appendsAnswered
        /// A client that reads its replies.
        case repliesSent
        /// Room in the log: the node prepares it.
        case relief
        /// A command that may wait.
        case command(Command, Request, byteCount: Int)
        case ended
    }

    /// Dispatches every request that the input holds, until something has to be waited for.
    func dispatchInput() -> Pause {
        let clock = server.seams.clock
        let dispatcher = server.dispatcher
        server.beginDispatch()
        var run = CommandRun(startNanoseconds: server.dispatchNanoseconds)
        defer {
            run.end(server.endDispatch(), server.statistics)
            if !output.isEmpty { server.markDirty(self) }
        }
        while !isEnding {
            if output.count > ClientConnection.pauseBytes { return .repliesSent }
            if appends.isFull { return .appendsAnswered }
            guard let byteCount = heldRequestBytes ?? nextRequest() else {
                return isEnding ? .ended : waitingForMore(run.startNanoseconds)
            }
            let request = Request(bytes: UnsafeRawBufferPointer(input.unread), ranges: decoder.arguments)
            let command = request.count > 0 ? server.table.find(request[0], after: lastCommand) : nil
            if command?.isAppend != true, !appends.isEmpty {
                heldRequestBytes = byteCount
                return .appendsAnswered
            }
            if command?.isAppend == true, !wasRelieved, server.node.isCongested {
                heldRequestBytes = byteCount
                return .relief
            }
            wasRelieved = false
            heldRequestBytes = nil
            if let command {
                run.count(command, clock, server.statistics)
                lastCommand = command
                if command.mayWait { return .command(command, request, byteCount: byteCount) }
            }
            lastRequestNanoseconds = run.startNanoseconds
            dispatcher.execute(command, request, on: self)
            if mustRetry {
                mustRetry = false
                heldRequestBytes = byteCount
                return .appendsAnswered
            }
            finishRequest(byteCount)
        }
        return .ended
    }

    /// Lets go of a request's bytes.
    func finishRequest(_ byteCount: Int) {
        input.consume(byteCount)
        incompleteSinceNanoseconds = nil
    }

    private func waitingForMore(_ now: UInt64) -> Pause {
        if input.count > 0, incompleteSinceNanoseconds == nil { incompleteSinceNanoseconds = now }
        return .more
    }

    /// The length of the next request, an empty array included. `nil` when there is none yet, or when there will be
    /// none, because the bytes were no request and the connection ends.
    private func nextRequest() -> Int? {
        while true {
            switch decoder.decode(input.unread) {
            case .request(let byteCount), .emptyArray(let byteCount): return byteCount
            case .blank(let byteCount): input.consume(byteCount)
            case .incomplete(let neededBytes):
                input.prepare(needed: neededBytes)
                return nil
            case .failed(let error):
                fail(CommandError(.generic, "\(error)"))
                end()
                return nil
            }
        }
    }

    /// Answers with an error, behind the appends that are not answered yet.
    func fail(_ error: CommandError) {
        if appends.isEmpty {
            server.statistics.count(error.code)
            output.error(error.code.rawValue, error.message)
        } else {
            appends.add(PendingAppend(refused: error))
        }
    }
}

/// Counts commands and the time they took, with one look at the clock for a run of equal commands.
private struct CommandRun {
    private(set) var startNanoseconds: UInt64
    private var command: Command?
    private var count: UInt64 = 0

    init(startNanoseconds: UInt64) { self.startNanoseconds = startNanoseconds }

    mutating func count(_ next: Command, _ clock: any Clock, _ statistics: ServerStatistics) {
        if next != command {
            if command != nil { end(clock.monotonicNanoseconds, statistics) }
            command = next
        }
        count += 1
    }

    mutating func end(_ now: UInt64, _ statistics: ServerStatistics) {
        if let command { statistics.count(command, calls: count, nanoseconds: now - startNanoseconds) }
        startNanoseconds = now
        count = 0
    }
}
