public import CordwoodBase
internal import CordwoodLog

/// What the partitions hold back in the segmented log, and how much they may.
extension PartitionDispatcher {
    /// The lowest Raft index that the segmented log must keep for the partitions, at most commit + 1.
    ///
    /// A partition whose machine stands still may hold back `maxPinnedBytes`; beyond that it is pinned: nothing more
    /// is admitted to it, and the floor passes those of its entries that it has persisted, which it will apply from
    /// its own log. What is not persisted or not committed is never passed.
    public var floor: RaftIndex {
        var floor = tracker.floor
        while logBytes.count(from: floor.rawValue) > configuration.maxPinnedBytes, let holder = tracker.floorHolder,
            !partitions[Int(holder.rawValue)].isPinned, waitsForItsMachine(holder)
        {
            partitions[Int(holder.rawValue)].isPinned = true
            do { try tracker.setFloorReleased(holder, true) } catch { break }
            floor = tracker.floor
        }
        logBytes.forget(before: floor.rawValue)
        return floor
    }

    /// True when it is the machine that a partition's oldest entry waits for. One that is merely not persisted yet is
    /// not pinned: its log is synced, and admission waits meanwhile.
    private func waitsForItsMachine(_ partition: PartitionID) -> Bool {
        guard let progress = progress(of: partition) else { return false }
        return progress.applied <= progress.persisted
    }

    /// A partition that holds the floor where it is: its log is to be synced first.
    public var floorHolder: PartitionID? { tracker.floorHolder }

    /// Bytes of the segmented log from a Raft index on, known to about one MiB.
    public func pinnedBytes(from raft: RaftIndex) -> UInt64 { logBytes.count(from: raft.rawValue) }

    /// A pinned partition that has applied everything holds nothing back any more.
    func unpinIfIdle(_ partition: PartitionID, _ applied: PartitionLogIndex) {
        guard let (appended, _, _) = tracker.admissionState(of: partition), applied.rawValue >= appended else { return }
        partitions[Int(partition.rawValue)].isPinned = false
        do { try tracker.setFloorReleased(partition, false) } catch { brokenInvariant("\(error)") }
    }
}

/// How many bytes the log has taken up, sampled once a MiB, to turn a Raft index into bytes held back.
struct LogBytes {
    private static let sampleBytes: UInt64 = 1 << 20
    private static let framingBytes: UInt64 = 96

    private var total: UInt64 = 0
    private var samples: [(raftIndex: UInt64, total: UInt64)] = []

    init() {}

    @inline(__always)
    mutating func append(_ byteCount: Int, at raft: UInt64) {
        total &+= UInt64(byteCount) &+ Self.framingBytes
        if total &- (samples.last?.total ?? 0) >= Self.sampleBytes || samples.isEmpty { samples.append((raft, total)) }
    }

    mutating func truncate(after raft: UInt64) {
        while let last = samples.last, last.raftIndex > raft { samples.removeLast() }
    }

    mutating func removeAll() {
        samples.removeAll()
        total = 0
    }

    mutating func forget(before raft: UInt64) {
        let past = samples.prefix { $0.raftIndex < raft }.count
        if past > 1 { samples.removeFirst(past - 1) }
    }

    /// Bytes appended at or after a Raft index, at most one sample too many.
    func count(from raft: UInt64) -> UInt64 {
        var low = 0
        var high = samples.count
        while low < high {
            let middle = (low + high) / 2
            if samples[middle].raftIndex < raft { low = middle + 1 } else { high = middle }
        }
        if low == samples.count { return samples.last.map { total - $0.total } ?? 0 }
        return total - samples[low].total
    }
}
