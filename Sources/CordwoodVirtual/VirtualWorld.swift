import CordwoodBase
public import CordwoodIO

/// A machine, or many of them with their network, in one value: clocks, disks, randomness and loop, all from one seed.
///
/// Nothing in a world happens by itself. `run` drains the queue on the calling thread; when the queue is empty, time
/// jumps to the next timer; when there is no timer either, the world is stuck and says what still waits. The same seed
/// and the same calls give the same run, which `trace.hash` shows.
///
/// A world has a disk and seams of its own, for whoever tests one machine. `host` adds machines that have their own
/// and fail one by one; the world itself is where their clients and their fate are, and its network is theirs.
///
/// A world is used by one thread at a time. `crash()` cuts its power and gives it back: what runs then is the next life
/// of the machine, with new seams and a disk that holds what the crash left.
public final class VirtualWorld {
    public let seed: UInt64
    public let trace: Trace
    public let clock: VirtualClock
    public let scheduler: VirtualScheduler
    public let disk: FaultyDisk
    public let network: VirtualNetwork

    /// Steps one call of `run` may take before it is taken for an endless loop.
    public var stepLimit = 200_000_000

    public init(seed: UInt64, disk image: DiskImage = DiskImage(), options: FaultyDisk.Options = .init()) {
        self.seed = seed
        trace = Trace()
        clock = VirtualClock()
        queue = VirtualQueue(trace: trace)
        scheduler = VirtualScheduler(queue)
        disk = FaultyDisk(
            image: image, options: options, random: VirtualRandom(seed: seed, concern: "disk"), clock: clock,
            trace: trace)
        network = VirtualNetwork(
            random: VirtualRandom(seed: seed, concern: "network"), clock: clock, queue: queue, trace: trace)
        crashRandom = VirtualRandom(seed: seed, concern: "crash")
        engineRandom = VirtualRandom(seed: seed, concern: "engine")
        seams = Seams(
            clock: clock, files: Mount(disk), network: network, random: engineRandom, scheduler: scheduler)
    }

    /// Machines in the order in which they were added.
    public private(set) var hosts: [VirtualHost] = []

    private let queue: VirtualQueue
    private let engineRandom: VirtualRandom
    private let crashRandom: VirtualRandom

    /// What the engine is given. After a crash it is given new ones; the old disk is dead.
    public private(set) var seams: Seams

    /// Adds a machine that is up, with an empty disk or the one that is given. Its name is what others reach it by.
    @discardableResult
    public func host(
        _ name: String, disk image: DiskImage = DiskImage(), options: FaultyDisk.Options = .init()
    ) -> VirtualHost {
        invariant(name != VirtualNetwork.home, "a machine called as the world itself")
        invariant(!hosts.contains { $0.name == name }, "two machines called \(name)")
        let host = VirtualHost(name, self, queue, image: image, options: options)
        hosts.append(host)
        return host
    }

    /// A stream of random numbers for one concern of a test: its workload, its faults.
    public func random(_ concern: String) -> VirtualRandom { VirtualRandom(seed: seed, concern: concern) }

    /// Runs `body` to its end on the loop and returns what it returned.
    ///
    /// Throws what `body` throws, and `VirtualWorldError` when the world can never get there. What `body` has started
    /// and not awaited stays where it is and goes on in the next call.
    @discardableResult
    public func run<Value>(_ body: @escaping (Seams) async throws -> Value) throws -> Value {
        var outcome: Result<Value, any Error>?
        return try queue.asLoop {
            scheduler.spawn("main") { [seams] in
                do { outcome = .success(try await body(seams)) } catch { outcome = .failure(error) }
            }
            var steps = 0
            while outcome == nil {
                steps += 1
                if steps > stepLimit { throw VirtualWorldError.endless(steps: steps, waiting: waiting) }
                if queue.step() { continue }
                if !clock.advanceToNextTimer(trace: trace) { throw VirtualWorldError.stuck(waiting: waiting) }
            }
            guard let outcome else { throw VirtualWorldError.stuck(waiting: waiting) }
            return try outcome.get()
        }
    }

    /// Lets `nanoseconds` pass, with everything that happens in them.
    public func advance(nanoseconds: UInt64) {
        let end = clock.monotonicNanoseconds + nanoseconds
        queue.asLoop {
            while true {
                if queue.step() { continue }
                guard let deadline = clock.nextDeadline, deadline <= end else { break }
                _ = clock.advanceToNextTimer(trace: trace)
            }
        }
        clock.advance(to: end)
    }

    /// The power fails and comes back. What was under way never completes, and the disk is in one of the states that
    /// the crash may have left, drawn by the seed. Returns that state, which can be mounted in another world, too.
    @discardableResult
    public func crash() -> DiskImage {
        let left = disk.image.crashed(sectorBytes: disk.options.sectorBytes, random: crashRandom)
        disk.powerCycle(leaving: left)
        seams = Seams(
            clock: clock, files: Mount(disk), network: network, random: engineRandom, scheduler: scheduler)
        return left
    }

    /// Tasks that are left come to their end, so that nothing of the world stays behind: disk and network operations
    /// fail, what was put aside runs, and time passes until nothing is due, or for so long that what is left is not
    /// worth waiting for. Nothing can be run after.
    public func end() {
        guard !isOver else { return }
        isOver = true
        disk.end()
        queue.asLoop {
            network.end()
            for host in hosts { host.unwind() }
            for _ in 0..<(hosts.isEmpty ? 10_000 : 100_000) {
                if queue.step() { continue }
                if !clock.advanceToNextTimer(trace: trace) { break }
            }
        }
    }

    private var isOver = false

    deinit { end() }

    /// What has not ended, in words.
    private var waiting: [String] {
        queue.liveTasks.map { "task \($0.number) (\($0.name))" } + disk.operationsUnderWay
            + hosts.flatMap { host in host.disk.operationsUnderWay.map { "\(host.name): \($0)" } }
            + network.operationsUnderWay
    }
}

/// Why a world could not run to the end that was asked for.
public enum VirtualWorldError: Error, CustomStringConvertible {
    /// Nothing is ready and nothing is scheduled.
    case stuck(waiting: [String])
    /// The step limit was reached.
    case endless(steps: Int, waiting: [String])

    public var description: String {
        switch self {
        case .stuck(let waiting): "the world is stuck; waiting: " + waiting.joined(separator: ", ")
        case .endless(let steps, let waiting):
            "no end after \(steps) steps; waiting: " + waiting.joined(separator: ", ")
        }
    }
}
