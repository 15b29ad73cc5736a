/// Where `Scheduler.offload` runs: beside the loop, on threads that may block.
final class WorkerExecutor: TaskExecutor {
    private let threads: WorkerThreads

    init(threadCount: Int) { threads = WorkerThreads(name: "cw-worker", limit: threadCount) }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        threads.submit { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    func stop() { threads.stop() }
}
