internal import CordwoodBase
internal import CordwoodIO
internal import CordwoodLog
internal import CordwoodRaft

/// Writers that each wait for their entry to be durable before they append the next, for some time.
///
/// They stand to the store as the clients of a node do: the store's progress tells them on its loop, and what they have
/// to append in a turn goes to the store in one call when the turn ends.
final class WriterRound {
    /// The writers whose entries one ticket names.
    private struct Waiting {
        var sequence: UInt64
        var writers: [Int]
        var startNanoseconds: UInt64
    }

    private let store: SegmentedLogStore
    private let seams: Seams
    private let deadline: UInt64
    private let payload: [UInt8]
    private(set) var latency = LatencyHistogram()

    private var ready: [Int] = []
    private var waiting: [Waiting] = []
    private var tails: [(index: PartitionLogIndex, raftIndex: RaftIndex)]
    private var isTurnArmed = false
    private var failure: LogError?
    private var end: UnsafeContinuation<Void, Never>?

    init(_ store: SegmentedLogStore, _ seams: Seams, payloadBytes: Int, deadline: UInt64) {
        self.store = store
        self.seams = seams
        self.deadline = deadline
        payload = [UInt8](repeating: 0x61, count: payloadBytes)
        tails = (0..<UInt64(LogWorkload.partitionCount)).map {
            (store.nextPartitionIndex(PartitionID($0)), store.lastRaftIndex(of: PartitionID($0)))
        }
    }

    /// Returns when the time is over and every writer's last entry is durable.
    func run(writers: Int) async throws(LogError) {
        store.onProgress = { [unowned self] in progressed($0) }
        await withUnsafeContinuation { continuation in
            end = continuation
            ready = Array(0..<writers)
            armTurn()
        }
        store.onProgress = nil
        if let failure { throw failure }
    }

    private func progressed(_ progress: LogProgress) {
        if let failure = progress.failure { return fail(failure) }
        let now = seams.clock.monotonicNanoseconds
        while let first = waiting.first, first.sequence <= progress.sequence {
            waiting.removeFirst()
            for _ in first.writers { latency.record(now - first.startNanoseconds) }
            if now < deadline { ready += first.writers }
        }
        if !ready.isEmpty { armTurn() } else if waiting.isEmpty { finish() }
    }

    private func armTurn() {
        guard !isTurnArmed else { return }
        isTurnArmed = true
        seams.scheduler.atEndOfTurn { [self] in
            isTurnArmed = false
            appendReady()
        }
    }

    private func appendReady() {
        let start = seams.clock.monotonicNanoseconds
        var index = store.nextIndex
        var entries: [Entry] = []
        entries.reserveCapacity(ready.count)
        for writer in ready {
            let partition = writer % LogWorkload.partitionCount
            let slice = EntrySlice(
                partition: PartitionID(UInt64(partition)), partitionIndex: tails[partition].index,
                previousRaftIndex: tails[partition].raftIndex, offset: 0, length: UInt32(payload.count))
            entries.append(
                Entry(
                    index: index, term: 1, type: .application, timestampMicroseconds: 1, slices: .one(slice),
                    payload: payload))
            tails[partition] = (tails[partition].index.next, index)
            index = index.next
        }
        do throws(LogError) {
            let ticket = try store.append(entries)
            waiting.append(Waiting(sequence: ticket.sequence, writers: ready, startNanoseconds: start))
            ready.removeAll(keepingCapacity: true)
            store.endBatch()
        } catch { fail(error) }
    }

    private func fail(_ error: LogError) {
        if failure == nil { failure = error }
        ready = []
        waiting = []
        finish()
    }

    private func finish() {
        let end = end
        self.end = nil
        end?.resume()
    }
}
