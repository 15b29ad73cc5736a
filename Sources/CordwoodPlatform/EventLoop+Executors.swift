// Two faces, since the runtime asks for them separately and a job must be run as what it was enqueued for: a task that
// prefers the loop runs on it as on a task executor, without isolation, and an actor's job runs isolated. Running both
// in the same way would cost a further hop at every await.
//
// What waits often belongs into a task that prefers the loop (`Scheduler.spawn`, `Platform.run`), even within an actor:
// the runtime resumes a continuation on the task's preferred executor and only then hops to the actor's, and without a
// preference the first of the two is the global pool, which costs twenty times the await.

extension EventLoop: TaskExecutor {
    package func enqueue(_ job: consuming ExecutorJob) {
        enqueue(ReadyJob(job: UnownedJob(job), isActors: false))
    }
}

/// The loop as the executor of actors at its edge.
final class LoopActorExecutor: SerialExecutor {
    private unowned let loop: EventLoop

    init(_ loop: EventLoop) { self.loop = loop }

    func enqueue(_ job: consuming ExecutorJob) {
        loop.enqueue(ReadyJob(job: UnownedJob(job), isActors: true))
    }

    func isIsolatingCurrentContext() -> Bool? { loop.isCurrent }

    func checkIsolated() { precondition(loop.isCurrent, "not on the loop") }
}
