import CordwoodBase
public import CordwoodIO
import Glibc

/// The loop of a world: one queue, drained in one order by the thread that runs the world.
///
/// It is the executor of every task in the world, so a suspended task comes back as a job in this queue and nowhere
/// else. Workers are the same queue: what is offloaded runs between other jobs, never beside them. A job that arrives
/// from another thread has left the world and would make runs differ, so it stops the process.
///
/// Like the loop of the platform it has two faces, a task executor and a serial one for actors at the edge, and runs a
/// job as what it was enqueued for. Run as an actor's, a task's job would go through the queue once more at every
/// `await`, also where nothing is waited for: what a task checks before it waits would not hold any more when it does.
public final class VirtualScheduler: Scheduler, TaskExecutor, @unchecked Sendable {
    /// A task that has not ended, for the report of a world that cannot go on.
    struct LiveTask {
        let number: UInt64
        let name: String
    }

    private enum Work {
        case job(UnownedJob)
        case actorJob(UnownedJob)
        case call(() -> Void)
    }

    private let trace: Trace
    private var ready: [Work] = []
    private var readyStart = 0
    private var turnEnds: [() -> Void] = []
    private var taskNames: [UInt64: String] = [:]
    private var nextTask: UInt64 = 1
    private var owner: pthread_t?
    private var actorFace: ActorFace?

    init(trace: Trace) {
        self.trace = trace
        actorFace = ActorFace(self)
    }

    // MARK: Scheduler

    public var isCurrent: Bool { owner.map { pthread_equal($0, pthread_self()) != 0 } ?? false }

    public func spawn(_ name: String, _ body: @escaping () async -> Void) {
        let number = nextTask
        nextTask += 1
        taskNames[number] = name
        // The task stays on this loop, which is where `body` is confined to.
        nonisolated(unsafe) let confined = body
        Task(executorPreference: self) {
            await confined()
            self.taskNames[number] = nil
        }
    }

    public func atEndOfTurn(_ body: @escaping () -> Void) { turnEnds.append(body) }

    public func submit(_ body: @escaping @Sendable () -> Void) {
        checkThread()
        ready.append(.call(body))
    }

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
            ready.append(.call { continuation.resume() })
        }
    }

    // MARK: Executor

    public func enqueue(_ job: consuming ExecutorJob) {
        checkThread()
        ready.append(.job(UnownedJob(job)))
    }

    public func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor(ordinary: self) }

    /// The loop as the executor of actors at its edge.
    private final class ActorFace: SerialExecutor {
        private unowned let scheduler: VirtualScheduler

        init(_ scheduler: VirtualScheduler) { self.scheduler = scheduler }

        func enqueue(_ job: consuming ExecutorJob) {
            scheduler.checkThread()
            scheduler.ready.append(.actorJob(UnownedJob(job)))
        }

        func checkIsolated() { invariant(scheduler.isCurrent, "called outside the loop of the virtual world") }

        func isIsolatingCurrentContext() -> Bool? { scheduler.isCurrent }
    }

    // MARK: Driving

    /// Runs `body` with the calling thread as the loop.
    func asLoop<Value>(_ body: () throws -> Value) rethrows -> Value {
        let previous = owner
        owner = pthread_self()
        defer { owner = previous }
        return try body()
    }

    /// Runs the oldest piece of ready work, or the calls at the end of the turn. False when there is neither.
    func step() -> Bool {
        if readyStart < ready.count {
            let work = ready[readyStart]
            readyStart += 1
            if readyStart == ready.count {
                ready.removeAll(keepingCapacity: true)
                readyStart = 0
            }
            trace.record("work")
            switch work {
            case .job(let job): job.runSynchronously(on: asUnownedTaskExecutor())
            case .actorJob(let job):
                job.runSynchronously(
                    isolatedTo: actors.asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
            case .call(let body): body()
            }
            return true
        }
        if turnEnds.isEmpty { return false }
        trace.record("end of turn", UInt64(turnEnds.count))
        let calls = turnEnds
        turnEnds = []
        for call in calls { call() }
        return true
    }

    /// Tasks that have not ended, the oldest first.
    var liveTasks: [LiveTask] {
        taskNames.sorted { $0.key < $1.key }.map { LiveTask(number: $0.key, name: $0.value) }
    }

    private func checkThread() {
        if let owner {
            invariant(
                pthread_equal(owner, pthread_self()) != 0,
                "work for a virtual world arrived from another thread: something left its executor")
        }
    }
}
