import CordwoodBase
public import CordwoodIO

/// The clocks of one machine: they start anywhere, run too fast or too slow, and the wall clock jumps.
///
/// The monotonic clock keeps the promise of its seam whatever is done to it: it never falls, and no call comes early
/// by it.
public final class VirtualHostClock: Clock {
    private let world: VirtualClock
    private let queue: VirtualQueue
    private let start: (world: UInt64, here: UInt64)
    /// Both clocks at the moment from which on the present drift counts.
    private var base: (world: UInt64, here: UInt64)
    /// Calls that the world's clock would have made too early, the drift having changed meanwhile.
    private var postponed: [TimerToken: TimerToken] = [:]

    /// Whose calls are scheduled from now on.
    var life: VirtualLife?

    /// What the wall clock of this machine says beyond that of the world, apart from its drift.
    public var wallOffsetMicroseconds: Int64 = 0

    /// How much too fast this machine's clocks run, in millionths: above -1,000,000, negative is too slow.
    public var driftMillionths: Int64 = 0 {
        willSet {
            invariant(newValue > -1_000_000, "a clock that stands or runs backwards")
            base = (world.monotonicNanoseconds, monotonicNanoseconds)
        }
    }

    init(_ world: VirtualClock, _ queue: VirtualQueue, startNanoseconds: UInt64) {
        self.world = world
        self.queue = queue
        start = (world.monotonicNanoseconds, startNanoseconds)
        base = start
    }

    public var monotonicNanoseconds: UInt64 {
        let passed = world.monotonicNanoseconds - base.world
        return base.here + (driftMillionths == 0 ? passed : scaled(passed, by: speed, over: 1_000_000))
    }

    public var wallMicroseconds: Int64 {
        let gained = Int64(monotonicNanoseconds - start.here) - Int64(world.monotonicNanoseconds - start.world)
        return world.wallMicroseconds + gained / 1000 + wallOffsetMicroseconds
    }

    public func schedule(atNanoseconds nanoseconds: UInt64, _ body: @escaping () -> Void) -> TimerToken {
        let life = life
        var token: TimerToken?
        func call() {
            if monotonicNanoseconds < nanoseconds {
                let later = world.schedule(atNanoseconds: worldNanoseconds(at: nanoseconds), call)
                if let token { postponed[token] = later }
                return
            }
            if let token, !postponed.isEmpty { postponed[token] = nil }
            queue.perform(VirtualQueue.Work(kind: .call(body), life: life))
        }
        let first = world.schedule(atNanoseconds: worldNanoseconds(at: nanoseconds), call)
        token = first
        return first
    }

    public func cancel(_ timer: TimerToken) {
        world.cancel(postponed.removeValue(forKey: timer) ?? timer)
    }

    private var speed: UInt64 { UInt64(1_000_000 + driftMillionths) }

    /// The first moment of the world at which this clock has reached `nanoseconds`, at the present drift.
    private func worldNanoseconds(at nanoseconds: UInt64) -> UInt64 {
        if nanoseconds <= base.here { return base.world }
        let wanted = nanoseconds - base.here
        return base.world + (driftMillionths == 0 ? wanted : scaled(wanted, by: 1_000_000, over: speed) + 1)
    }

    private func scaled(_ value: UInt64, by factor: UInt64, over divisor: UInt64) -> UInt64 {
        divisor.dividingFullWidth(value.multipliedFullWidth(by: factor)).quotient
    }
}
