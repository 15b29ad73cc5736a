internal import CLinux
internal import CordwoodBase
public import CordwoodIO
internal import Glibc
internal import Synchronization

/// The world as it is: an event loop on a thread of its own, with files, sockets, time and randomness of the machine
/// behind the five seams.
///
/// A program starts one, runs its body on the loop and shuts it down:
///
///     let platform = try Platform.start()
///     try platform.runToEnd { seams in ... }
///     platform.shutdown()
public final class Platform: Sendable {
    /// Which backend is wanted.
    public enum Choice: String, Sendable, CaseIterable {
        /// io_uring where the kernel allows it, else plain system calls.
        case auto
        /// io_uring or nothing.
        case uring
        /// Plain system calls: pwritev2, epoll, threads.
        case posix
    }

    /// Which backend is in use.
    public enum Backend: String, Sendable, CaseIterable {
        case uring
        case posix
    }

    /// What the loop counts, since its start.
    public struct Counters: Hashable, Sendable {
        /// Operations that found the submission queue full.
        public var submissionQueueFull: UInt64 = 0
        /// Completions that the kernel had to keep back, the completion queue being full.
        public var completionQueueOverflows: UInt64 = 0
        /// Writes that the kernel cut short and the platform completed.
        public var shortWrites: UInt64 = 0
    }

    public let backend: Backend

    /// One line for the log: what the backend is, and why, where io_uring was wanted and refused.
    public let backendDescription: String

    package let loop: EventLoop
    private let thread: PlatformThread
    private let isShutDown = Atomic(false)
    private let confinedSeams: Confined<Seams>

    private init(_ started: Started, _ thread: PlatformThread) {
        self.thread = thread
        loop = started.loop
        backend = started.loop.backendKind
        backendDescription = started.description
        confinedSeams = started.seams
    }

    /// How many operations the ring takes at once, and how many completions it holds; the kernel rounds up.
    package struct RingSize: Hashable, Sendable {
        package var submissions: UInt32
        package var completions: UInt32

        package init(submissions: UInt32 = 256, completions: UInt32 = 4096) {
            self.submissions = submissions
            self.completions = completions
        }
    }

    /// For how long a loop on io_uring looks for completions before it sleeps, where that pays, if nothing is told: as
    /// long as a durable write takes on a good device.
    public static let defaultPollLimitNanoseconds: UInt64 = 250_000

    /// Starts a loop that looks for completions for up to `pollLimitNanoseconds` before it sleeps, where that pays; 0
    /// for one that sleeps at once. Fails when io_uring is asked for and refused, or the system has no thread or
    /// descriptor left.
    public static func start(
        io choice: Choice = .auto, pollLimitNanoseconds: UInt64 = defaultPollLimitNanoseconds
    ) throws(IOError) -> Platform {
        try start(io: choice, pollLimitNanoseconds: pollLimitNanoseconds, faults: Faults())
    }

    /// Starts a loop whose I/O goes wrong as told. `onTampering` is called on the loop as each turn comes.
    package static func start(
        io choice: Choice, tampering: [IOTampering], ring: RingSize = RingSize(),
        onTampering: @escaping @Sendable (IOTampering) -> Void = { _ in }
    ) throws(IOError) -> Platform {
        var faults = Faults(ring: ring)
        if !tampering.isEmpty {
            faults.intercept = { TamperingBackend($0, tampering, onTampering: onTampering) }
        }
        return try start(io: choice, faults: faults)
    }

    /// What tests put between the platform and the kernel.
    struct Faults: Sendable {
        /// io_uring fails to be made with this error number.
        var uringRefusal: Int32?
        var ring = RingSize()
        /// Stands before the backend and may change what goes in and comes out.
        var intercept: @Sendable (any IOBackend) -> any IOBackend = { $0 }
    }

    static func start(
        io choice: Choice, pollLimitNanoseconds: UInt64 = defaultPollLimitNanoseconds, faults: Faults
    ) throws(IOError) -> Platform {
        let handOver = Monitor<Result<Started, IOError>?>(nil)
        let thread = try PlatformThread(name: "cw-loop") {
            let result: Result<Started, IOError>
            do throws(IOError) {
                result = .success(try Started(choice, pollLimitNanoseconds, faults))
            } catch {
                result = .failure(error)
            }
            handOver.change { $0 = result }
            if case .success(let started) = result { started.loop.run() }
        }
        switch handOver.wait(until: { $0 }) {
        case .success(let started): return Platform(started, thread)
        case .failure(let error):
            thread.join()
            throw error
        }
    }

    /// Runs `body` as a task on the loop and returns what it returns.
    public func run<Value: Sendable>(
        _ body: @escaping @Sendable (Seams) async throws -> Value
    ) async throws -> Value {
        try await Task(executorPreference: loop) { [confinedSeams] in try await body(confinedSeams.value) }.value
    }

    /// As `run`, for the main thread of a program, which waits meanwhile. Never from a task.
    public func runToEnd<Value: Sendable>(
        _ body: @escaping @Sendable (Seams) async throws -> Value
    ) throws -> Value {
        let end = Monitor<Result<Value, any Error>?>(nil)
        Task(executorPreference: loop) { [confinedSeams] in
            let result: Result<Value, any Error>
            do {
                result = .success(try await body(confinedSeams.value))
            } catch {
                result = .failure(error)
            }
            end.change { $0 = result }
        }
        return try end.wait(until: { $0 }).get()
    }

    /// Signals as values; see `Signals`. On the loop.
    public func signals(_ signals: [Int32]) throws(IOError) -> Signals { try Signals(signals, loop) }

    /// Counts since the start. On the loop.
    public var counters: Counters { loop.counters }

    /// Ends the loop: what waits on sockets is cancelled, what has begun on a disk completes, threads end. What still
    /// waits for anything else is never resumed, so the program's body comes to its end first. Not from the loop; a
    /// second call does nothing.
    public func shutdown() {
        invariant(!loop.isCurrent, "the loop cannot wait for its own end")
        guard !isShutDown.exchange(true, ordering: .acquiringAndReleasing) else { return }
        loop.submit { [loop] in loop.stop() }
        thread.join()
        loop.workers.stop()
        loop.blocking.stop()
    }

    /// Forbids the calling thread, and those it starts later, to make an io_uring, as containers commonly do. A program
    /// that does not use it has no need of the door.
    public static func forbidUring() throws(IOError) { try check(clinux_forbid_uring(), "forbid", "io_uring") }
}

/// A loop that is ready to run on the thread that made it.
private struct Started: Sendable {
    let loop: EventLoop
    let seams: Confined<Seams>
    let description: String

    init(_ choice: Platform.Choice, _ pollLimitNanoseconds: UInt64, _ faults: Platform.Faults) throws(IOError) {
        let inbox = try Inbox()
        let blocking = BlockingCalls(threadCount: 4, inbox: inbox)
        let processors = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        let workers = WorkerExecutor(threadCount: max(2, processors))
        // Whatever a loop waits for on the only processor needs that processor.
        let pollLimit = processors > 1 ? pollLimitNanoseconds : 0
        let (backend, description) = try Started.backend(choice, pollLimit, inbox, blocking, faults)
        let loop = EventLoop(inbox: inbox, blocking: blocking, workers: workers, backend: faults.intercept(backend))
        let clock = LoopClock(loop)
        self.loop = loop
        self.description = description
        seams = Confined(
            Seams(
                clock: clock, files: PlatformFileSystem(loop, clock: clock), network: PlatformNetwork(loop),
                random: SystemRandomSource(), scheduler: loop))
    }

    private static func backend(
        _ choice: Platform.Choice, _ pollLimitNanoseconds: UInt64, _ inbox: Inbox, _ blocking: BlockingCalls,
        _ faults: Platform.Faults
    ) throws(IOError) -> (any IOBackend, String) {
        var reason = ""
        if choice != .posix {
            do throws(UringBackend.SetUpFailure) {
                if let uringRefusal = faults.uringRefusal { throw UringBackend.SetUpFailure(errorNumber: uringRefusal) }
                let backend = try UringBackend(
                    wakeDescriptor: inbox.wakeDescriptor, blocking: blocking, size: faults.ring,
                    pollLimitNanoseconds: pollLimitNanoseconds)
                return (backend, "I/O through io_uring")
            } catch {
                guard choice == .auto else {
                    throw IOError(
                        .unsupported, operation: "set up", subject: "io_uring", errorNumber: error.errorNumber)
                }
                reason = "; \(error)"
            }
        }
        let posix = try PosixBackend(wakeDescriptor: inbox.wakeDescriptor, blocking: blocking)
        return (posix, "I/O through system calls (epoll, pwritev2, threads)" + reason)
    }
}

extension UringBackend.SetUpFailure: CustomStringConvertible {
    var description: String {
        let cause =
            switch errorNumber {
            case EPERM: "forbidden to this process, by a container's system call filter or kernel.io_uring_disabled"
            case ENOSYS: "not in this kernel"
            case EOPNOTSUPP: "too old in this kernel"
            case ENOMEM: "refused for lack of memory that may be locked"
            default: "refused"
            }
        return "io_uring is \(cause) (errno \(errorNumber))"
    }
}
