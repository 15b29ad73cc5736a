/// System calls that may block, made on threads of their own, apart from the workers of `Scheduler.offload`: a slow
/// machine must not stand before the log's writes.
final class BlockingCalls: Sendable {
    private let threads: WorkerThreads
    private let inbox: Inbox

    init(threadCount: Int, inbox: Inbox) {
        threads = WorkerThreads(name: "cw-io", limit: threadCount)
        self.inbox = inbox
    }

    /// Does the operation on a thread; its completion comes through the inbox.
    func start(_ operation: Operation, _ token: OperationToken) {
        threads.submit { [inbox] in
            inbox.post(Completion(token: token, result: operation.performBlocking()))
        }
    }

    /// Runs `body` on a thread and comes back to the caller's loop with what it returned.
    func call<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withUnsafeContinuation { continuation in
            threads.submit { continuation.resume(returning: body()) }
        }
    }

    func stop() { threads.stop() }
}
