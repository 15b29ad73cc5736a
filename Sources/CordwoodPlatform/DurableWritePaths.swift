/// How durable writes to one device are made.
///
/// Where the device writes through, or takes writes that pass its cache, a durable write is one operation. Elsewhere
/// its cache has to be flushed, and which way is quicker depends on who else wants the processors: a durable write is
/// finished by a thread of the kernel, which is soonest on an idle machine and which a busy one lets wait for
/// milliseconds; a write and then a sync is finished by the ring's workers, which are threads of this process. So there
/// the way is chosen by what was measured, small and large writes apart, since they meet different loads.
final class DurableWritePaths {
    typealias Way = DurableWriteChoice.Way

    /// Up to this size the device takes the same time for every write.
    private static let smallBytes = 64 << 10

    private let isMeasured: Bool
    private var small = DurableWriteChoice()
    private var large = DurableWriteChoice()
    /// The file system has no writes that are durable by themselves.
    private var lacksAtOnce = false

    /// Without `isMeasured` every durable write is one operation.
    init(isMeasured: Bool) { self.isMeasured = isMeasured }

    /// The way that the next write takes, and when it started: 0 when nobody wants to know.
    func begin(bytes: Int) -> (way: Way, startedNanoseconds: UInt64) {
        if lacksAtOnce { return (.writeThenSync, 0) }
        guard isMeasured else { return (.atOnce, 0) }
        let way = bytes <= DurableWritePaths.smallBytes ? small.next() : large.next()
        return (way, LoopClock.monotonicNanoseconds)
    }

    /// A write of so many bytes has become durable.
    func end(_ way: Way, bytes: Int, startedNanoseconds: UInt64) {
        guard startedNanoseconds > 0 else { return }
        let nanoseconds = LoopClock.monotonicNanoseconds - startedNanoseconds
        if bytes <= DurableWritePaths.smallBytes {
            small.record(way, nanoseconds: nanoseconds)
        } else {
            large.record(way, nanoseconds: nanoseconds)
        }
    }

    func excludeAtOnce() { lacksAtOnce = true }
}
