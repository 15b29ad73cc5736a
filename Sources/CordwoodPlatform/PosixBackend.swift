internal import CLinux
internal import CordwoodBase
internal import CordwoodIO
internal import Glibc

/// Operations through plain system calls: files on a few threads, sockets by readiness (epoll, edge-triggered). An
/// operation on a socket is tried at once and, when it would block, again whenever the socket has become ready.
final class PosixBackend: IOBackend {
    /// An operation that waits until its socket is ready.
    private struct Waiting {
        var operation: Operation
        var token: OperationToken
    }

    /// One socket: at most one operation waits in each direction.
    private struct Socket {
        var isRegistered = false
        var reading: Waiting?
        var writing: Waiting?
    }

    private let poller: Int32
    private let wakeDescriptor: Int32
    private let blocking: BlockingCalls
    private let events = UnsafeMutablePointer<clinux_readiness>.allocate(capacity: PosixBackend.eventCapacity)
    private static let eventCapacity = 256

    /// By descriptor.
    private var sockets: [Socket] = []
    private var finished: [Completion] = []

    init(wakeDescriptor: Int32, blocking: BlockingCalls) throws(IOError) {
        let poller = clinux_poller()
        guard poller >= 0 else { throw IOError(errorNumber: -poller, operation: "epoll", subject: "loop") }
        let added = clinux_poller_add(poller, wakeDescriptor)
        guard added == 0 else {
            Glibc.close(poller)
            throw IOError(errorNumber: -added, operation: "epoll", subject: "loop")
        }
        self.poller = poller
        self.wakeDescriptor = wakeDescriptor
        self.blocking = blocking
    }

    deinit { events.deallocate() }

    var kind: Platform.Backend { .posix }
    var wantsNonblockingSockets: Bool { true }
    var counters: Platform.Counters { Platform.Counters() }

    func start(_ operation: Operation, _ token: OperationToken) {
        guard let descriptor = operation.waitingDescriptor else {
            if case .none = operation {
                finished.append(Completion(token: token, result: 0))
            } else {
                blocking.start(operation, token)
            }
            return
        }
        if let result = attempt(operation, isFirst: true) {
            finished.append(Completion(token: token, result: result))
        } else {
            wait(Waiting(operation: operation, token: token), on: Int(descriptor))
        }
    }

    func cancel(_ token: OperationToken, descriptor: Int32) {
        let index = Int(descriptor)
        guard index < sockets.count else { return }
        if sockets[index].reading?.token == token {
            sockets[index].reading = nil
        } else if sockets[index].writing?.token == token {
            sockets[index].writing = nil
        } else {
            return
        }
        finished.append(Completion(token: token, result: -ECANCELED))
    }

    func forget(_ descriptor: Int32) {
        // Closing takes the descriptor out of the poller.
        if Int(descriptor) < sockets.count { sockets[Int(descriptor)] = Socket() }
    }

    /// Started operations are with their threads already.
    func submit() {}

    func turn(waitNanoseconds: UInt64?, _ completions: inout [Completion]) {
        let limit: Int64 = finished.isEmpty ? waitNanoseconds.map { Int64(clamping: $0) } ?? -1 : 0
        let count = clinux_poller_wait(poller, events, Int32(PosixBackend.eventCapacity), limit)
        invariant(count >= 0, "epoll failed: errno \(-count)")
        for index in 0..<Int(count) { socketIsReady(events[index]) }
        completions.append(contentsOf: finished)
        finished.removeAll(keepingCapacity: true)
    }

    func close() { Glibc.close(poller) }

    private func wait(_ waiting: Waiting, on index: Int) {
        if index >= sockets.count {
            sockets.append(contentsOf: repeatElement(Socket(), count: index + 1 - sockets.count))
        }
        if waiting.operation.writes {
            invariant(sockets[index].writing == nil, "two writers on descriptor \(index)")
            sockets[index].writing = waiting
        } else {
            invariant(sockets[index].reading == nil, "two readers on descriptor \(index)")
            sockets[index].reading = waiting
        }
        guard !sockets[index].isRegistered else { return }
        // Registering tells of readiness that came between the attempt and now.
        let result = clinux_poller_add(poller, Int32(index))
        if result == 0 {
            sockets[index].isRegistered = true
        } else {
            if waiting.operation.writes { sockets[index].writing = nil } else { sockets[index].reading = nil }
            finished.append(Completion(token: waiting.token, result: result))
        }
    }

    private func socketIsReady(_ event: clinux_readiness) {
        let index = Int(event.descriptor)
        // The wake-up needs no answer: the loop looks into its inbox in every turn.
        guard event.descriptor != wakeDescriptor, index < sockets.count else { return }
        if event.ready & Int32(CLINUX_READABLE) != 0, let waiting = sockets[index].reading,
            let result = attempt(waiting.operation, isFirst: false)
        {
            sockets[index].reading = nil
            finished.append(Completion(token: waiting.token, result: result))
        }
        if event.ready & Int32(CLINUX_WRITABLE) != 0, let waiting = sockets[index].writing,
            let result = attempt(waiting.operation, isFirst: false)
        {
            sockets[index].writing = nil
            finished.append(Completion(token: waiting.token, result: result))
        }
    }

    /// What the system call returns, or nil when it would block.
    private func attempt(_ operation: Operation, isFirst: Bool) -> Int32? {
        while true {
            let result = tryOnce(operation, isFirst: isFirst)
            switch result {
            case -EINTR: continue
            case -EAGAIN, -EINPROGRESS: return nil
            default: return result
            }
        }
    }

    private func tryOnce(_ operation: Operation, isFirst: Bool) -> Int32 {
        switch operation {
        case .accept(let descriptor): clinux_accept(descriptor, 1)
        case .connect(let descriptor, let address):
            isFirst ? clinux_connect(descriptor, address) : clinux_socket_error(descriptor)
        case .receive(let descriptor, let into, let count): Int32(clinux_receive(descriptor, into, UInt(count)))
        case .send(let descriptor, let from, let count): Int32(clinux_send(descriptor, from, UInt(count)))
        case .waitReadable: isFirst ? -EAGAIN : 0
        default: brokenInvariant("\(operation) does not wait for the world")
        }
    }
}

extension Operation {
    /// Waits until its socket takes bytes; the others wait until it has some.
    fileprivate var writes: Bool {
        switch self {
        case .connect, .send: true
        default: false
        }
    }
}
