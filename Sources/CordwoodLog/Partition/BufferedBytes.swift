/// What the partition logs of a pool have taken in memory and not written, in bytes. The pool and its logs share it, so
/// that a record is counted without asking the pool.
final class BufferedBytes {
    private(set) var count = 0
    private(set) var peak = 0
    /// What the pool wants to hold; beyond it begins to write.
    let limit: Int

    init(limit: Int) { self.limit = limit }

    var isOverLimit: Bool { count > limit }

    func add(_ bytes: Int) {
        count += bytes
        peak = max(peak, count)
    }

    func remove(_ bytes: Int) { count -= bytes }
}
