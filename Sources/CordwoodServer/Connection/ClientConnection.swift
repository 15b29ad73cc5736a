import CordwoodBase
import CordwoodIO
import CordwoodNode
import CordwoodRESP

/// One client: what it has sent and not been answered, and who it says it is.
///
/// What is received is dispatched on the spot, request by request, and replies are encoded into `output`; requests that
/// are answered at once or appended, which is nearly all of them, meet no task on their way. All replies of a turn of
/// the loop leave together, at its end, as far as the socket takes them. Two tasks see to the rest: the receiver to
/// what requests have to wait for, the sender, which has at most one send under way, to what the socket did not take.
/// Replies leave in request order: appends wait in a queue for their commit while further appends are read, and any
/// other command starts when that queue is empty.
final class ClientConnection {
    /// Bytes of unsent replies at which no further request is looked at.
    static let pauseBytes = 1 << 20
    /// Bytes of replies that leave before the turn ends once nothing more is waited for.
    static let earlyFlushBytes = 4 << 10

    /// The connection's number, from 1, never used again.
    let number: UInt64
    let socket: any Connection
    /// Held until the connection is closed, when the server lets go of the connection.
    let server: Server

    private let ownedInput = Owned(InputBuffer())
    private let ownedDecoder: Owned<RequestDecoder>
    private let ownedOutput: Owned<ReplyBuffer>
    private let ownedAppends = Owned(AppendQueue())

    var name = ""
    var libraryName = ""
    var libraryVersion = ""
    let connectedNanoseconds: UInt64
    var lastRequestNanoseconds: UInt64
    var lastCommand: Command?
    /// Set when an incomplete request lies in the input: how long it may take is bounded.
    var incompleteSinceNanoseconds: UInt64?
    /// READONLY: local reads on a follower are wanted.
    var readsLocally = false
    var readMode: ReadMode

    /// No further request is looked at; what is answered still leaves.
    private(set) var isEnding = false
    /// Nothing leaves any more either.
    private(set) var isClosed = false
    var isDirty = false

    /// A command that may wait is under way.
    private var isExecuting = false
    /// The node has had its time to make room: what it still has none for is refused.
    var wasRelieved = false
    /// The append that was dispatched has to wait until those before it have been applied.
    var mustRetry = false
    /// Bytes of the request that the dispatcher could not start yet.
    var heldRequestBytes: Int?
    private var receiverWaiter: UnsafeContinuation<Void, Never>?
    /// The receiver, while bytes are received and dispatched without it.
    private var inputWaiter: UnsafeContinuation<Void, Never>?
    /// What ended that.
    private var inputPause = Pause.more
    private var senderWaiter: UnsafeContinuation<Void, Never>?
    /// What the socket did not take at once, made when there is such a thing.
    private var sendBuffer: IOBuffer?

    init(number: UInt64, socket: any Connection, server: Server) {
        self.number = number
        self.socket = socket
        self.server = server
        ownedDecoder = Owned(RequestDecoder(limits: server.settings.requestLimits))
        ownedOutput = Owned(ReplyBuffer(version: server.settings.defaultProtocol))
        readMode = server.settings.readMode
        connectedNanoseconds = server.seams.clock.monotonicNanoseconds
        lastRequestNanoseconds = connectedNanoseconds
    }

    var input: InputBuffer {
        _read { yield ownedInput.value }
        _modify { yield &ownedInput.value }
    }

    var decoder: RequestDecoder {
        _read { yield ownedDecoder.value }
        _modify { yield &ownedDecoder.value }
    }

    var output: ReplyBuffer {
        _read { yield ownedOutput.value }
        _modify { yield &ownedOutput.value }
    }

    var appends: AppendQueue {
        _read { yield ownedAppends.value }
        _modify { yield &ownedAppends.value }
    }

    /// Memory that this connection holds, in bytes.
    var memoryBytes: Int { input.capacityBytes + output.capacity + (sendBuffer?.count ?? 0) }

    // MARK: Receiving

    /// Receives and answers until either side has had enough. Returns when the connection is closed.
    func serve() async {
        server.seams.scheduler.spawn("client \(number) replies") { [self] in await sendReplies() }
        var pause = dispatchInput()
        while !isEnding {
            switch pause {
            case .more:
                await withUnsafeContinuation { continuation in
                    inputWaiter = continuation
                    receive()
                }
                pause = inputPause
                continue
            case .appendsAnswered, .repliesSent: await withUnsafeContinuation { receiverWaiter = $0 }
            case .relief:
                await withUnsafeContinuation { continuation in server.node.whenRelieved { continuation.resume() } }
                wasRelieved = true
            case .command(let command, let request, let byteCount):
                isExecuting = true
                await server.dispatcher.executeWaiting(command, request, on: self)
                isExecuting = false
                finishRequest(byteCount)
                server.markDirty(self)
            case .ended: end()
            }
            pause = dispatchInput()
        }
        while !appends.isEmpty, !isClosed { await withUnsafeContinuation { receiverWaiter = $0 } }
        end()
    }

    private func receive() { socket.receive(into: input.storage, input.free, for: self) }

    /// Looks at no further request: what has been asked is answered, sent, and then the connection is closed.
    func end() {
        isEnding = true
        server.markDirty(self)
    }

    /// Ends both directions at once.
    func close() {
        guard !isClosed else { return }
        isEnding = true
        isClosed = true
        socket.close()
        resumeReceiver()
        resumeSender()
    }

    /// Goes on with the input if it waited for this moment. Called when appends were answered or replies were sent.
    func resumeReceiver() {
        let waiter = receiverWaiter
        receiverWaiter = nil
        waiter?.resume()
    }

    // MARK: Sending

    private var hasNothingToSend: Bool {
        output.isEmpty && !(isEnding && appends.isEmpty && !isExecuting) && !isClosed
    }

    private func sendReplies() async {
        while !isClosed {
            if hasNothingToSend {
                await withUnsafeContinuation { senderWaiter = $0 }
                continue
            }
            if output.isEmpty { break }
            let (buffer, count) = takeSendBuffer()
            do {
                try await socket.send(buffer, 0..<count)
            } catch {
                break
            }
            sent(count)
        }
        close()
        server.remove(self)
    }

    /// Moves what is to leave next into memory that stays where it is while it is sent.
    private func takeSendBuffer() -> (IOBuffer, count: Int) {
        let buffer = sendBuffer ?? IOBuffer(count: 64 << 10)
        sendBuffer = buffer
        let count = min(output.count, buffer.count)
        buffer.bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: output.bytes[..<count]))
        output.removeFirst(count)
        return (buffer, count)
    }

    private func sent(_ count: Int) {
        server.statistics.sentBytes += UInt64(count)
        if output.count <= ClientConnection.pauseBytes / 2 { resumeReceiver() }
    }

    /// Sends what has been answered in this turn, as far as the socket takes it; the sender sees to the rest.
    func flush() {
        isDirty = false
        if senderWaiter != nil, !output.isEmpty {
            let count = socket.sendAtOnce(output.bytes)
            output.removeFirst(count)
            sent(count)
        }
        if output.count > server.settings.outputBudgetBytes { return close() }
        if !hasNothingToSend { resumeSender() }
    }

    private func resumeSender() {
        let waiter = senderWaiter
        senderWaiter = nil
        waiter?.resume()
    }
}

extension ClientConnection: ConnectionReceiver {
    func received(_ result: Result<Int, IOError>) {
        switch result {
        case .success(let count):
            if count == 0 { end() }
            input.received(count)
            server.statistics.receivedBytes += UInt64(count)
        case .failure: close()
        }
        inputPause = dispatchInput()
        if case .more = inputPause { return receive() }
        let waiter = inputWaiter
        inputWaiter = nil
        waiter?.resume()
    }
}
