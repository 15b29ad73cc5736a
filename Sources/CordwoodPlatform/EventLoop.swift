internal import CordwoodBase
internal import CordwoodIO
internal import Glibc

/// One thread on which everything above the seams runs.
///
/// A turn of the loop: take what other threads have posted, make the calls that are due, run the jobs that are ready,
/// make the end-of-turn calls and run what they made ready, hand the operations started meanwhile to the kernel and
/// wait for the first to complete. Writes and syncs are handed over before the end-of-turn calls already. Completions
/// are collected first and those who wait told together: tasks become ready, observers are called there and then. So
/// the jobs of the next turn see all of them, and operations that they start leave in one submission.
///
/// The mutable state belongs to the loop's thread; other threads reach it through the inbox alone. That is what makes
/// the class `Sendable` in fact.
package final class EventLoop: @unchecked Sendable {
    /// Jobs run in one turn before the kernel is asked again, so that a task that never waits does not shut out I/O.
    private static let jobsPerTurn = 1024
    /// Bytes received for observers that are handed out in one turn. What comes of them stays in the processor's caches
    /// until the turn ends, and other sides can go on with the answers of one turn while the next is worked on.
    private static let observedBytesPerTurn = 128 << 10
    /// Rounds of end-of-turn calls in one turn.
    private static let endOfTurnRounds = 4

    let inbox: Inbox
    let blocking: BlockingCalls
    let workers: WorkerExecutor
    private(set) lazy var actorExecutor = LoopActorExecutor(self)

    private var thread = pthread_t()
    private var backend: any IOBackend
    private var jobs = Queue<ReadyJob>()
    private var endOfTurnCalls: [() -> Void] = []
    private var timers = TimerQueue()
    private var operations = OperationTable()
    private var completions: [Completion] = []
    /// The completions whose waiters are being told.
    private var completionsInHand: [Completion] = []
    private var isStopping = false

    /// What the files count: see `Platform.Counters`.
    var shortWrites: UInt64 = 0

    /// Makes a loop that will run on the calling thread.
    init(inbox: Inbox, blocking: BlockingCalls, workers: WorkerExecutor, backend: any IOBackend) {
        self.inbox = inbox
        self.blocking = blocking
        self.workers = workers
        self.backend = backend
        thread = pthread_self()
        _ = actorExecutor
        completions.reserveCapacity(256)
    }

    package var isCurrent: Bool { pthread_equal(pthread_self(), thread) != 0 }

    var backendKind: Platform.Backend { backend.kind }
    var wantsNonblockingSockets: Bool { backend.wantsNonblockingSockets }

    var counters: Platform.Counters {
        var counters = backend.counters
        counters.shortWrites = shortWrites
        return counters
    }

    // MARK: Running

    /// Runs turns until `stop`, then until every operation under way has completed.
    func run() {
        while turn() {}
        backend.close()
    }

    /// Ends `run`: what waits for the world is cancelled, what has begun on a disk completes, and operations started
    /// from now on fail with ECANCELED. Tasks that wait for anything else are never resumed.
    func stop() {
        isStopping = true
        for (token, descriptor) in operations.waiting { backend.cancel(token, descriptor: descriptor) }
    }

    private func turn() -> Bool {
        takeInbox()
        makeDueCalls()
        resumeCompleted()
        runJobs()
        endTurn()
        if isStopping, operations.count == 0, jobs.isEmpty, completions.isEmpty, inbox.fallAsleep() { return false }
        backend.turn(waitNanoseconds: waitNanoseconds(), &completions)
        return true
    }

    private func takeInbox() {
        guard let contents = inbox.take() else { return }
        completions.append(contentsOf: contents.completions)
        jobs.append(contentsOf: contents.jobs)
        for call in contents.calls { call() }
    }

    private func makeDueCalls() {
        guard !timers.isEmpty else { return }
        let now = LoopClock.monotonicNanoseconds
        while let body = timers.popDue(atNanoseconds: now) { body() }
    }

    private func resumeCompleted() {
        guard !completions.isEmpty else { return }
        backend.review(&completions)
        // An observer may start operations, which complete at once while the loop stops.
        swap(&completions, &completionsInHand)
        var observedBytes = 0
        for completion in completionsInHand {
            if observedBytes >= EventLoop.observedBytesPerTurn, operations.isObserved(completion.token) {
                completions.append(completion)
                continue
            }
            let waiter = operations.remove(completion.token)
            if case .observer = waiter { observedBytes += Int(max(0, completion.result)) }
            waiter.end(completion.result)
        }
        completionsInHand.removeAll(keepingCapacity: true)
    }

    private func runJobs() {
        var budget = EventLoop.jobsPerTurn
        let executor = asUnownedTaskExecutor()
        while budget > 0, let next = jobs.popFirst() {
            budget -= 1
            if next.isActors {
                next.job.runSynchronously(
                    isolatedTo: actorExecutor.asUnownedSerialExecutor(), taskExecutor: executor)
            } else {
                next.job.runSynchronously(on: executor)
            }
        }
    }

    /// Makes the end-of-turn calls and runs what they made ready. What they ask for in their turn is still of this
    /// turn, within bounds: a call that asks for itself again must not shut out I/O.
    private func endTurn() {
        var rounds = EventLoop.endOfTurnRounds
        while !endOfTurnCalls.isEmpty, rounds > 0 {
            rounds -= 1
            // Whoever has something to say to a disk has said it: the disk is at work while replies are written.
            backend.submit()
            let calls = endOfTurnCalls
            endOfTurnCalls = []
            for call in calls { call() }
            runJobs()
        }
    }

    private func waitNanoseconds() -> UInt64? {
        guard jobs.isEmpty, endOfTurnCalls.isEmpty, completions.isEmpty else { return 0 }
        var limit: UInt64?
        if let next = timers.nextNanoseconds {
            let now = LoopClock.monotonicNanoseconds
            limit = next > now ? next - now : 0
        }
        return limit != 0 && inbox.fallAsleep() ? limit : 0
    }

    // MARK: For those who run on the loop

    /// Starts an operation and returns what the kernel said: what the system call would return, or a negative error
    /// number, EINTR and EAGAIN among them. `started` hears the name under which the operation can be cancelled.
    func perform(_ operation: Operation, started: (OperationToken) -> Void = { _ in }) async -> Int32 {
        invariant(isCurrent, "\(operation) started from another thread")
        return await withUnsafeContinuation { continuation in started(start(operation, .task(continuation))) }
    }

    /// The same for one who hears of the end without being a task: in a later turn, before that turn's jobs.
    func perform(_ operation: Operation, for observer: any OperationObserver) -> OperationToken {
        invariant(isCurrent, "\(operation) started from another thread")
        return start(operation, .observer(observer))
    }

    private func start(_ operation: Operation, _ waiter: OperationWaiter) -> OperationToken {
        let token = operations.insert(waiter, waitingDescriptor: operation.waitingDescriptor)
        if isStopping {
            completions.append(Completion(token: token, result: -ECANCELED))
        } else {
            backend.start(operation, token)
        }
        return token
    }

    /// Makes an operation that waits for the world complete soon; nothing for one that has completed.
    func cancel(_ token: OperationToken) {
        if let descriptor = operations.waitingDescriptor(token) { backend.cancel(token, descriptor: descriptor) }
    }

    /// Closes a socket on which no operation is under way.
    func closeSocket(_ descriptor: Int32) {
        backend.forget(descriptor)
        Glibc.close(descriptor)
    }

    func schedule(atNanoseconds nanoseconds: UInt64, _ body: @escaping () -> Void) -> TimerToken {
        invariant(isCurrent, "timer scheduled from another thread")
        return timers.schedule(atNanoseconds: nanoseconds, body)
    }

    func cancel(_ timer: TimerToken) {
        invariant(isCurrent, "timer cancelled from another thread")
        timers.cancel(timer)
    }

    func addEndOfTurnCall(_ body: @escaping () -> Void) {
        invariant(isCurrent, "end of turn asked for from another thread")
        endOfTurnCalls.append(body)
    }

    func enqueue(_ job: ReadyJob) {
        if isCurrent { jobs.append(job) } else { inbox.post(job) }
    }

    /// An awaited operation that does nothing: what the loop itself costs.
    package func performNothing() async { _ = await perform(.none) }
}
