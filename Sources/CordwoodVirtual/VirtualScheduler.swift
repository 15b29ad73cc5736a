import CordwoodBase
public import CordwoodIO

/// The loop of a world, as one of its machines sees it: every machine has one, and all stand before the one queue.
///
/// It is the executor of every task of its machine, so a suspended task comes back as a job in that queue and nowhere
/// else. Workers are the same queue: what is offloaded runs between other jobs, never beside them. A job that arrives
/// from another thread has left the world and would make runs differ, so it stops the process.
///
/// Like the loop of the platform it has two faces, a task executor and a serial one for actors at the edge, and runs a
/// job as what it was enqueued for. Run as an actor's, a task's job would go through the queue once more at every
/// `await`, also where nothing is waited for: what a task checks before it waits would not hold any more when it does.
public final class VirtualScheduler: Scheduler, TaskExecutor, @unchecked Sendable {
    private let queue: VirtualQueue
    private let life: VirtualLife?
    private var actorFace: ActorFace?

    init(_ queue: VirtualQueue, _ life: VirtualLife? = nil) {
        self.queue = queue
        self.life = life
        actorFace = ActorFace(self)
    }

    // MARK: Scheduler

    public var isCurrent: Bool { queue.isCurrent }

    public func spawn(_ name: String, _ body: @escaping () async -> Void) {
        let number = queue.taskBegins(name, life)
        // The task stays on this loop, which is where `body` is confined to.
        nonisolated(unsafe) let confined = body
        Task(executorPreference: self) {
            await confined()
            self.queue.taskEnds(number)
        }
    }

    public func atEndOfTurn(_ body: @escaping () -> Void) { queue.atEndOfTurn(body, life) }

    public func submit(_ body: @escaping @Sendable () -> Void) { queue.append(.call(body), life) }

    public func offload<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
        await yield()
        let result: Result<Value, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        await yield()
        return try result.get()
    }

    public var unownedLoop: UnownedSerialExecutor { actors.asUnownedSerialExecutor() }

    private var actors: ActorFace {
        guard let actorFace else { brokenInvariant("a virtual loop without its face for actors") }
        return actorFace
    }

    /// Lets everything that is ready now go first.
    public func yield() async {
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
            queue.append(.call { continuation.resume() }, life)
        }
    }

    // MARK: Executor

    public func enqueue(_ job: consuming ExecutorJob) { queue.append(.job(UnownedJob(job), self), life) }

    public func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor(ordinary: self) }

    func runForActor(_ job: UnownedJob) {
        job.runSynchronously(isolatedTo: actors.asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
    }

    /// The loop as the executor of actors at its edge.
    private final class ActorFace: SerialExecutor {
        private unowned let scheduler: VirtualScheduler

        init(_ scheduler: VirtualScheduler) { self.scheduler = scheduler }

        func enqueue(_ job: consuming ExecutorJob) {
            scheduler.queue.append(.actorJob(UnownedJob(job), scheduler), scheduler.life)
        }

        func checkIsolated() { invariant(scheduler.isCurrent, "called outside the loop of the virtual world") }

        func isIsolatingCurrentContext() -> Bool? { scheduler.isCurrent }
    }
}
