public import CordwoodBase
internal import CordwoodIO
public import CordwoodRaft

/// The recovery policy `rollback-to-partition-checkpoint`: the segmented log gives up what its partitions had not
/// persisted when the node stopped, instead of forwarding it again.
///
/// The first entry of which some partition's file lacks its slice is dropped, and every entry behind it. That loses
/// nothing acknowledged only where the gate `.partition` was in force: there an entry was acknowledged when all
/// partitions of it and of all before it held it. So every entry to be dropped must lie in the run of that gate which
/// reaches the log's end; where one does not, nothing is changed and its index is named. The drop is a truncation
/// record in the segmented log; partition files that are ahead of it then are cut when they are opened.
public struct PartitionRollback {
    /// Why nothing was rolled back.
    public enum Refusal: Error, Hashable, Sendable {
        /// The entry at the index would be dropped and may have been acknowledged.
        case outsideGate(RaftIndex, reason: String)
        case log(LogError)
    }

    private let store: SegmentedLogStore
    private let logs: PartitionLogPool

    /// - Parameter logs: the partition logs of the same directory, for reading; they must know nothing of the entries
    ///   of this log yet.
    public init(_ store: SegmentedLogStore, logs: PartitionLogPool) {
        self.store = store
        self.logs = logs
    }

    /// Rolls back, durably. Returns the entries dropped, which may be none.
    public func run() async throws(Refusal) -> Range<RaftIndex> {
        let end = store.nextIndex
        let first: RaftIndex
        do throws(LogError) { first = try await firstLacking() } catch { throw .log(error) }
        guard first < end else { return end..<end }
        try check(first)
        do throws(LogError) {
            let ticket = try store.truncate(after: first.previous)
            store.endBatch()
            try await store.waitUntilDurable(ticket)
        } catch { throw .log(error) }
        return first..<end
    }

    /// The lowest index of which some partition's file lacks its slice; behind the last when none does.
    public func firstLacking() async throws(LogError) -> RaftIndex {
        let lines = Dictionary(
            (store.checkpoint?.partitions ?? []).map { ($0.partition, $0.persisted) }, uniquingKeysWith: { $1 })
        var next = store.startIndex
        while next < store.nextIndex {
            for entry in try await store.entries(in: next..<store.nextIndex, maxBytes: 4 << 20) {
                for slice in entry.slices where slice.partitionIndex > lines[slice.partition] ?? 0 {
                    guard try await isHeld(slice, of: entry) else { return entry.index }
                }
                next = entry.index.next
            }
        }
        return next
    }

    private func isHeld(_ slice: EntrySlice, of entry: Entry) async throws(LogError) -> Bool {
        let log = logs.store(of: slice.partition)
        try await log.open()
        guard slice.partitionIndex <= log.writtenIndex else { return false }
        // What lies below the log's first record was compacted, under a snapshot: it had been persisted and applied.
        if slice.partitionIndex < log.startIndex { return true }
        return try await log.holds(slice.partitionIndex, raftIndex: entry.index, term: entry.term)
    }

    /// Whether everything from `first` on lies in the run of the gate `.partition` that reaches the end.
    private func check(_ first: RaftIndex) throws(Refusal) {
        if first <= store.state.commitHint {
            throw .outsideGate(first, reason: "it is known to be committed, up to \(store.state.commitHint)")
        }
        guard let begin = store.partitionGateRun else {
            throw .outsideGate(first, reason: "the log's end was written under the gate 'segmented'")
        }
        if first < begin {
            throw .outsideGate(first, reason: "the gate 'partition' is in force from \(begin) on")
        }
    }
}

extension SegmentedLogStore {
    /// Where the run of the gate `.partition` begins that is in force at the log's end; `nil` when another gate is.
    public var partitionGateRun: RaftIndex? {
        var begin: RaftIndex?
        for record in gates {
            if record.gate == .segmented { begin = nil } else if begin == nil { begin = record.from }
        }
        return begin
    }
}
