public import CordwoodBase
internal import CordwoodIO
internal import CordwoodLog

/// How a barrier ended.
public enum BarrierResult: Hashable, Sendable {
    /// Every partition named has applied the index.
    case applied
    /// Time ran out; what each partition still lacks.
    case timedOut([BarrierLag])
}

/// How far one partition is from a barrier.
public struct BarrierLag: Hashable, Sendable {
    public var partition: PartitionID
    public var applied: PartitionLogIndex
    /// Entries at or before the barrier's index that are not applied.
    public var pendingEntries: UInt64

    public init(partition: PartitionID, applied: PartitionLogIndex, pendingEntries: UInt64) {
        self.partition = partition
        self.applied = applied
        self.pendingEntries = pendingEntries
    }
}

/// Waiting until partitions have applied a Raft index: by notification, nothing polls.
extension PartitionDispatcher {
    /// Returns once every partition named has applied everything up to a committed Raft index, or when time is up. With
    /// `nil` all partitions are meant.
    public func barrier(
        on named: [PartitionID]? = nil, through raft: RaftIndex, timeoutNanoseconds: UInt64
    ) async -> BarrierResult {
        let partitions = (named ?? descriptors.map(\.partition)).filter { has($0) }
        if dispatchedIndex >= raft.rawValue, partitions.allSatisfy({ hasApplied($0, through: raft) }) {
            return .applied
        }
        return await withUnsafeContinuation { continuation in
            let number = barriers.add(partitions, raft.rawValue, continuation)
            barriers.waiters[number]?.timer = clock.schedule(
                atNanoseconds: clock.monotonicNanoseconds &+ timeoutNanoseconds
            ) { [self] in timeOut(number) }
            if dispatchedIndex >= raft.rawValue { arm(number) } else { barriers.awaitDispatch(number, raft.rawValue) }
        }
    }

    /// True when the partition has applied everything of its own up to a Raft index.
    public func hasApplied(_ partition: PartitionID, through raft: RaftIndex) -> Bool {
        guard dispatchedIndex >= raft.rawValue, let target = try? tracker.lastIndex(of: partition, through: raft),
            let (_, applied, _) = tracker.admissionState(of: partition)
        else { return false }
        return applied >= target.rawValue
    }

    /// The log has been dispatched up to the barrier's index, so each partition's target is known.
    private func arm(_ number: UInt64) {
        guard let waiter = barriers.waiters[number] else { return }
        var pending = 0
        for partition in waiter.partitions {
            guard let target = try? tracker.lastIndex(of: partition, through: RaftIndex(waiter.raftIndex)),
                let (_, applied, _) = tracker.admissionState(of: partition), applied < target.rawValue
            else { continue }
            barriers.byPartition[Int(partition.rawValue), default: []].append((target.rawValue, number))
            partitions[Int(partition.rawValue)].hasWaiters = true
            pending += 1
        }
        barriers.waiters[number]?.pending = pending
        if pending == 0 { finish(number, .applied) }
    }

    func settleDispatched() {
        let ready = barriers.awaitingDispatch.prefix { $0.raftIndex <= dispatchedIndex }
        barriers.awaitingDispatch.removeFirst(ready.count)
        for waiting in ready { arm(waiting.number) }
    }

    func settleApplied(_ partition: PartitionID, _ index: PartitionLogIndex) {
        let at = Int(partition.rawValue)
        guard let waiting = barriers.byPartition[at] else { return }
        let remaining = waiting.filter { $0.target > index.rawValue }
        barriers.byPartition[at] = remaining.isEmpty ? nil : remaining
        partitions[at].hasWaiters = !remaining.isEmpty
        for settled in waiting where settled.target <= index.rawValue {
            barriers.waiters[settled.number]?.pending -= 1
            if barriers.waiters[settled.number]?.pending == 0 { finish(settled.number, .applied) }
        }
    }

    private func finish(_ number: UInt64, _ result: BarrierResult) {
        guard let waiter = barriers.waiters.removeValue(forKey: number) else { return }
        if let timer = waiter.timer { clock.cancel(timer) }
        waiter.continuation.resume(returning: result)
    }

    private func timeOut(_ number: UInt64) {
        guard let waiter = barriers.waiters[number] else { return }
        barriers.awaitingDispatch.removeAll { $0.number == number }
        var lags: [BarrierLag] = []
        for partition in waiter.partitions {
            let at = Int(partition.rawValue)
            barriers.byPartition[at]?.removeAll { $0.number == number }
            if barriers.byPartition[at]?.isEmpty ?? true {
                barriers.byPartition[at] = nil
                partitions[at].hasWaiters = false
            }
            guard let target = try? tracker.lastIndex(of: partition, through: RaftIndex(waiter.raftIndex)),
                let (_, applied, _) = tracker.admissionState(of: partition)
            else { continue }
            if applied < target.rawValue || dispatchedIndex < waiter.raftIndex {
                lags.append(
                    BarrierLag(
                        partition: partition, applied: PartitionLogIndex(applied),
                        pendingEntries: target.rawValue > applied ? target.rawValue - applied : 0))
            }
        }
        finish(number, .timedOut(lags))
    }
}

/// The barriers that wait, by what they wait for.
struct BarrierTable {
    struct Waiter {
        var partitions: [PartitionID]
        var raftIndex: UInt64
        var pending = 0
        var timer: TimerToken?
        var continuation: UnsafeContinuation<BarrierResult, Never>
    }

    var waiters: [UInt64: Waiter] = [:]
    /// Barriers beyond what is dispatched, ascending by Raft index.
    var awaitingDispatch: [(raftIndex: UInt64, number: UInt64)] = []
    var byPartition: [Int: [(target: UInt64, number: UInt64)]] = [:]
    private var lastNumber: UInt64 = 0

    init() {}

    mutating func add(
        _ partitions: [PartitionID], _ raft: UInt64, _ continuation: UnsafeContinuation<BarrierResult, Never>
    ) -> UInt64 {
        lastNumber += 1
        waiters[lastNumber] = Waiter(partitions: partitions, raftIndex: raft, continuation: continuation)
        return lastNumber
    }

    /// Keeps a barrier until the log has been dispatched up to its index.
    mutating func awaitDispatch(_ number: UInt64, _ raft: UInt64) {
        var at = awaitingDispatch.endIndex
        while at > 0, awaitingDispatch[at - 1].raftIndex > raft { at -= 1 }
        awaitingDispatch.insert((raft, number), at: at)
    }
}
