import CordwoodBase
import Glibc

/// The one queue of a world, drained in one order by the thread that runs the world.
///
/// Every piece of work belongs to the machine's life that it is part of, or to the world itself. The work of a machine
/// that is paused or has lost its power is put aside when its turn comes.
final class VirtualQueue {
    struct Work {
        enum Kind {
            case job(UnownedJob, VirtualScheduler)
            case actorJob(UnownedJob, VirtualScheduler)
            case call(() -> Void)
        }

        var kind: Kind
        var life: VirtualLife?
    }

    /// A task that has not ended, for the report of a world that cannot go on.
    struct LiveTask {
        let number: UInt64
        let name: String
        let life: VirtualLife?
    }

    private let trace: Trace
    private var ready: [Work] = []
    private var readyStart = 0
    private var turnEnds: [Work] = []
    private var tasks: [UInt64: LiveTask] = [:]
    private var nextTask: UInt64 = 1
    private var owner: pthread_t?

    init(trace: Trace) { self.trace = trace }

    var isCurrent: Bool { owner.map { pthread_equal($0, pthread_self()) != 0 } ?? false }

    func append(_ kind: Work.Kind, _ life: VirtualLife?) {
        checkThread()
        ready.append(Work(kind: kind, life: life))
    }

    func append(_ work: [Work]) { ready.append(contentsOf: work) }

    func atEndOfTurn(_ body: @escaping () -> Void, _ life: VirtualLife?) {
        turnEnds.append(Work(kind: .call(body), life: life))
    }

    // MARK: Tasks

    func taskBegins(_ name: String, _ life: VirtualLife?) -> UInt64 {
        let number = nextTask
        nextTask += 1
        tasks[number] = LiveTask(number: number, name: name, life: life)
        return number
    }

    func taskEnds(_ number: UInt64) { tasks[number] = nil }

    /// Tasks that have not ended and may still go on, the oldest first.
    var liveTasks: [LiveTask] {
        tasks.values.filter { $0.life?.isOver != true }.sorted { $0.number < $1.number }
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
            perform(work)
            return true
        }
        if turnEnds.isEmpty { return false }
        trace.record("end of turn", UInt64(turnEnds.count))
        let calls = turnEnds
        turnEnds = []
        for call in calls { perform(call) }
        return true
    }

    /// Does a piece of work, or puts it aside when its machine does not run.
    func perform(_ work: Work) {
        if let life = work.life, !life.runs {
            life.putAside(work)
            return
        }
        switch work.kind {
        case .job(let job, let scheduler): job.runSynchronously(on: scheduler.asUnownedTaskExecutor())
        case .actorJob(let job, let scheduler): scheduler.runForActor(job)
        case .call(let body): body()
        }
    }

    private func checkThread() {
        if let owner {
            invariant(
                pthread_equal(owner, pthread_self()) != 0,
                "work for a virtual world arrived from another thread: something left its executor")
        }
    }
}

/// A machine from one start to its end: what belongs to it runs, waits while it is paused, and never runs again when
/// its power has failed.
final class VirtualLife {
    private enum State {
        case running
        case paused
        case over
    }

    let host: String
    private let queue: VirtualQueue
    private var state = State.running
    private var aside: [VirtualQueue.Work] = []

    init(host: String, _ queue: VirtualQueue) {
        self.host = host
        self.queue = queue
    }

    var runs: Bool { state == .running }
    var isOver: Bool { state == .over }

    func putAside(_ work: VirtualQueue.Work) { aside.append(work) }

    func pause() {
        if state == .running { state = .paused }
    }

    func resume() {
        guard state == .paused else { return }
        state = .running
        release()
    }

    func end() { state = .over }

    /// The world is over: what was put aside runs into its end.
    func unwind() {
        state = .running
        release()
    }

    private func release() {
        let work = aside
        aside = []
        queue.append(work)
    }
}
