public import CordwoodBase
public import CordwoodIO
import CordwoodMachine
public import CordwoodNode
public import CordwoodOptions
import CordwoodRESP

/// The client port: accepts connections, reads requests, answers them from the node.
///
/// Everything of a server is confined to the node's loop. One dispatcher decides about every request of every
/// connection; this class holds what they share.
public final class Server {
    let seams: Seams
    let node: Node
    let settings: ServerSettings
    /// Every option with its value in force, for CONFIG and INFO.
    var options: OptionValues
    let process: ProcessFacts
    let log: any LogSink
    let table = CommandTable()
    let statistics = ServerStatistics()
    let startedNanoseconds: UInt64
    /// Fixed when the directory was made.
    let partitionCount: Int
    private(set) var clients = ClientRegistry()
    var eventIDs: EventIDSource
    var confirmTokens = ConfirmTokens()
    var jobs = JobTable()

    /// Called when a client asks the node to end; the program then closes the server and the node.
    public var onShutdownRequested: (() -> Void)?
    /// Called when an option was changed by CONFIG SET.
    public var onOptionChanged: ((OptionValues) -> Void)?

    private var listener: (any Listener)?
    private var isClosing = false
    private var dirty: [ClientConnection] = []
    private var housekeeping: TimerToken?
    private var isOverMemory = false
    private var acceptWaiter: UnsafeContinuation<Void, Never>?
    private var closeWaiter: UnsafeContinuation<Void, Never>?

    /// Monotonic time of the current turn's first reply.
    private(set) var turnNanoseconds: UInt64 = 0
    /// Monotonic and wall time at which the run of requests that is being dispatched began.
    private(set) var dispatchNanoseconds: UInt64 = 0
    private(set) var dispatchMilliseconds: UInt64 = 0
    /// Something was dispatched in this turn.
    private var hasDispatched = false

    private static let housekeepingNanoseconds: UInt64 = 1_000_000_000
    /// How long accepting rests when the process has no descriptor left.
    private static let acceptRestNanoseconds: UInt64 = 100_000_000

    public init(node: Node, seams: Seams, options: OptionValues, process: ProcessFacts, log: any LogSink) {
        self.node = node
        self.seams = seams
        self.options = options
        self.process = process
        self.log = log
        settings = ServerSettings(options)
        eventIDs = EventIDSource(random: seams.random)
        partitionCount = node.membership.partitionCount
        startedNanoseconds = seams.clock.monotonicNanoseconds
    }

    var dispatcher: Dispatcher { Dispatcher(server: self) }

    /// Where clients connect, once `open` has returned.
    public var address: SocketAddress? { listener?.address }

    /// Connections that are open.
    public var clientCount: Int { clients.count }

    /// Begins to listen and to accept. A member of a group may have to refuse local reads for a while: until it shows
    /// again what it showed before its start.
    public func open() async throws(IOError) {
        let endpoint = options[NodeOption.clientAddress]
        let listener = try await seams.network.listen(SocketAddress(host: endpoint.host, port: endpoint.port))
        self.listener = listener
        node.clientAddress = settings.advertisedAddress.map { "\($0)" } ?? "\(listener.address)"
        seams.scheduler.spawn("accept clients") { [self] in await acceptClients(listener) }
        scheduleHousekeeping()
    }

    /// Accepts nothing more, answers what has been asked, and closes every connection; those that do not read their
    /// replies are cut off after `graceNanoseconds`.
    public func close(graceNanoseconds: UInt64 = 1_000_000_000) async {
        isClosing = true
        listener?.close()
        if let housekeeping { seams.clock.cancel(housekeeping) }
        let waiter = acceptWaiter
        acceptWaiter = nil
        waiter?.resume()
        for client in clients.ordered { client.end() }
        guard clients.count > 0 else { return }
        let deadline = seams.clock.schedule(
            atNanoseconds: seams.clock.monotonicNanoseconds + graceNanoseconds
        ) { [self] in for client in clients.ordered { client.close() } }
        await withUnsafeContinuation { closeWaiter = $0 }
        seams.clock.cancel(deadline)
    }

    // MARK: Accepting

    private func acceptClients(_ listener: any Listener) async {
        while !isClosing {
            do {
                let socket = try await listener.accept()
                await admit(socket)
            } catch {
                if isClosing || error.reason == .closed { return }
                log.write(
                    LogEvent(.warn, "client", "accepting rests", fields: [LogEvent.Field("error", "\(error)")]))
                await seams.clock.sleep(nanoseconds: Server.acceptRestNanoseconds)
            }
            if isOverMemory, !isClosing { await withUnsafeContinuation { acceptWaiter = $0 } }
        }
    }

    private func admit(_ socket: any Connection) async {
        guard clients.count < settings.maxClients else {
            statistics.connectionsRejected += 1
            var reply = ReplyBuffer()
            reply.error(ErrorCode.generic.rawValue, "max number of clients reached")
            let buffer = IOBuffer(count: reply.count)
            buffer.bytes.copyMemory(from: reply.bytes)
            // The client may be gone already; it is turned away either way.
            try? await socket.send(buffer, 0..<buffer.count)
            return socket.close()
        }
        statistics.connectionsAccepted += 1
        let client = ClientConnection(number: clients.nextConnectionNumber(), socket: socket, server: self)
        clients.add(client)
        seams.scheduler.spawn("client \(client.number)") { await client.serve() }
    }

    func remove(_ client: ClientConnection) {
        clients.remove(client)
        if clients.count == 0, isClosing {
            let waiter = closeWaiter
            closeWaiter = nil
            waiter?.resume()
        }
    }

    // MARK: Turns

    /// Sees to it that the connection's replies leave when this turn of the loop ends.
    func markDirty(_ client: ClientConnection) {
        guard !client.isDirty else { return }
        client.isDirty = true
        if dirty.isEmpty {
            turnNanoseconds = seams.clock.monotonicNanoseconds
            seams.scheduler.atEndOfTurn { [self] in flushDirty() }
        }
        dirty.append(client)
    }

    /// Called before a connection's requests are dispatched. One look at the clocks serves all of them; within a turn a
    /// connection begins when the one before it has ended.
    func beginDispatch() {
        if hasDispatched { return }
        hasDispatched = true
        seams.scheduler.atEndOfTurn { [self] in hasDispatched = false }
        dispatchNanoseconds = seams.clock.monotonicNanoseconds
        dispatchMilliseconds = UInt64(max(0, seams.clock.wallMicroseconds)) / 1_000
    }

    /// Called when a connection's requests have been dispatched; returns the time at which that was.
    func endDispatch() -> UInt64 {
        dispatchNanoseconds = seams.clock.monotonicNanoseconds
        return dispatchNanoseconds
    }

    private func flushDirty() {
        let flushed = dirty
        dirty.removeAll(keepingCapacity: true)
        for client in flushed { client.flush() }
    }

    // MARK: Housekeeping

    private func scheduleHousekeeping() {
        housekeeping = seams.clock.schedule(
            atNanoseconds: seams.clock.monotonicNanoseconds + Server.housekeepingNanoseconds
        ) { [self] in
            guard !isClosing else { return }
            keepHouse()
            scheduleHousekeeping()
        }
    }

    private func keepHouse() {
        statistics.sampleRate()
        let now = seams.clock.monotonicNanoseconds
        var memoryBytes = 0
        for client in clients.ordered {
            memoryBytes += client.memoryBytes
            if settings.idleTimeoutNanoseconds > 0, client.appends.isEmpty,
                now - client.lastRequestNanoseconds > settings.idleTimeoutNanoseconds
            {
                client.end()
            }
            if let since = client.incompleteSinceNanoseconds, now - since > settings.requestTimeoutNanoseconds {
                client.close()
            }
        }
        isOverMemory = memoryBytes > settings.clientMemoryBytes
        if !isOverMemory {
            let waiter = acceptWaiter
            acceptWaiter = nil
            waiter?.resume()
        }
    }
}
