import CordwoodBase
public import CordwoodIO

/// One machine of a world: a name under which others reach it, a disk and clocks of its own, and a power switch.
///
/// What runs on a machine belongs to one of its lives, from a start to the end of the process or the power. When a life
/// ends, its tasks never run again, its timers and end-of-turn calls are not made, its connections and listeners go,
/// and what it had under way on the disk does not complete. `start` begins the next life, with new seams on the same
/// disk. The machine's tasks are put aside, not freed, until the world ends; then all I/O fails, and they run into
/// their end. What would go on for ever nevertheless, a ticking node for example, is told to stop by `atEnd`.
public final class VirtualHost {
    public let name: String
    public let disk: FaultyDisk
    public let clock: VirtualHostClock
    /// What the present life is given, or was given when it is over.
    public private(set) var seams: Seams
    /// Lives so far.
    public private(set) var starts = 0

    private let queue: VirtualQueue
    private let network: VirtualNetwork
    private let engineRandom: VirtualRandom
    private let crashRandom: VirtualRandom
    private var life: VirtualLife
    private var scheduler: VirtualScheduler
    private var lives: [VirtualLife] = []
    private var endings: [(VirtualScheduler, () async -> Void)] = []
    private var isUnwound = false

    init(_ name: String, _ world: VirtualWorld, _ queue: VirtualQueue, image: DiskImage, options: FaultyDisk.Options) {
        let seed = world.seed
        self.name = name
        self.queue = queue
        network = world.network
        clock = VirtualHostClock(
            world.clock, queue,
            startNanoseconds: 1_000_000_000
                + VirtualRandom(seed: seed, concern: "boot of \(name)").next(below: 1_000_000_000_000))
        disk = FaultyDisk(
            image: image, options: options, random: VirtualRandom(seed: seed, concern: "disk of \(name)"),
            clock: world.clock, trace: world.trace)
        engineRandom = VirtualRandom(seed: seed, concern: "engine of \(name)")
        crashRandom = VirtualRandom(seed: seed, concern: "crash of \(name)")
        life = VirtualLife(host: name, queue)
        scheduler = VirtualScheduler(queue, life)
        seams = world.seams
        network.addHost(name)
        begin()
    }

    /// Whether the present life goes on, paused or not.
    public var isUp: Bool { !life.isOver }
    public var isPaused: Bool { isUp && !life.runs }

    /// An address under which the others reach this machine.
    public func address(port: UInt16) -> SocketAddress { SocketAddress(host: name, port: port) }

    // MARK: What runs here

    /// Starts a task on this machine. The machine must be up.
    public func spawn(_ task: String, _ body: @escaping (Seams) async -> Void) {
        invariant(isUp, "\(task) on \(name), which is down")
        scheduler.spawn("\(name): \(task)") { [seams] in await body(seams) }
    }

    /// What is to happen on this machine when the world ends, so that its tasks come to their end: closing what would
    /// go on for ever. I/O fails by then.
    ///
    /// What is told only then, by a task that has come to its end late, happens at once.
    public func atEnd(_ body: @escaping () async -> Void) {
        if isUnwound {
            scheduler.spawn("\(name): end") { await body() }
        } else {
            endings.append((scheduler, body))
        }
    }

    // MARK: Faults

    /// The power fails. What was not synced on the disk is in one of the states that a crash may leave, drawn by the
    /// seed; the others hear nothing of it. Returns the disk as it is left.
    @discardableResult
    public func crash() -> DiskImage {
        let left = disk.image.crashed(sectorBytes: disk.options.sectorBytes, random: crashRandom)
        disk.powerCycle(leaving: left)
        if isUp { end(inSilence: true) }
        network.power(name, isOn: false)
        return left
    }

    /// The process ends at once, as by SIGKILL: the disk keeps all that was written, synced or not, and the others see
    /// their connections end.
    public func kill() {
        guard isUp else { return }
        disk.powerCycle(leaving: disk.image.leftByProcess())
        end(inSilence: false)
    }

    /// The machine runs again after `crash` or `kill`: its next life, with new seams.
    public func start() {
        guard !isUp else { return }
        life = VirtualLife(host: name, queue)
        scheduler = VirtualScheduler(queue, life)
        begin()
    }

    /// Everything on this machine stands still, as by SIGSTOP; what others send to it waits.
    public func pause() { life.pause() }

    public func resume() { life.resume() }

    /// A machine that is down gets another disk: an empty one, or one that was kept.
    public func replaceDisk(with image: DiskImage = DiskImage()) {
        invariant(!isUp, "the disk of \(name) is replaced while it is up")
        disk.powerCycle(leaving: image)
    }

    private func begin() {
        starts += 1
        lives.append(life)
        clock.life = life
        network.power(name, isOn: true)
        seams = Seams(
            clock: clock, files: Mount(disk), network: HostNetwork(network, name, life), random: engineRandom,
            scheduler: scheduler)
    }

    private func end(inSilence isSilent: Bool) {
        life.end()
        network.end(life, inSilence: isSilent)
    }

    /// The world is over: every life runs into its end.
    func unwind() {
        isUnwound = true
        disk.end()
        for life in lives { life.unwind() }
        for (scheduler, body) in endings { scheduler.spawn("\(name): end") { await body() } }
        endings = []
    }
}
