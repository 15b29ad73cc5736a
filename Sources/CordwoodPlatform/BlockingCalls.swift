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

    /// Runs `body` on a thread and comes back to the loop with what it returned. The continuation too is resumed on the
    /// loop: resumed from elsewhere it might overtake its own suspension.
    func call<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withUnsafeContinuation { continuation in
            threads.submit { [inbox] in
                let value = body()
                inbox.post { continuation.resume(returning: value) }
            }
        }
    }

    func stop() { threads.stop() }
}
