public import CordwoodBase
internal import CordwoodLog

/// Going on behind a repair: a partition whose files could not be used has ignored what was handed to it meanwhile.
extension SegmentedStateMachine {
    static let frozenByOperator = "by an operator"

    /// Payload bytes that are taken again before they are written.
    private static let retakenBytes = 8 << 20

    /// Whether an entry of several partitions, this one among them, has yet to be decided.
    public func isMeeting(_ partition: PartitionID) -> Bool {
        meetings.values.contains { $0.participants.contains { $0.partition == partition } }
    }

    /// Gives a partition's log what it has ignored, out of the segmented log, and lets its machine go on. Nothing is
    /// held back meanwhile: what is dispatched beside it is taken again with the rest.
    ///
    /// - Parameters:
    ///   - start: where the segmented log begins; what is below is not the partition's, or its log holds it.
    ///   - gate: has been given entries that are not dispatched yet.
    ///   - read: gives the entries from an index on, at least one, never beyond the range.
    /// - Throws: `LogError.corrupt` when the segmented log does not go back to where the partition's log ends, and what
    ///   `read` throws.
    public func retake(
        _ partition: PartitionID, from start: RaftIndex, gate: PartitionGate? = nil,
        read: (Range<RaftIndex>) async throws -> [Entry]
    ) async throws {
        func last() -> RaftIndex { max(dispatchedThrough, gate?.forwardedThrough ?? 0) }
        let log = lane(of: partition).log
        var next = max((log.anchor?.raftIndex ?? 0).next, start)
        var takenBytes = 0
        while log.isToRetake {
            if next > last() {
                log.endRetaking()
                break
            }
            // What a truncation drops meanwhile is not taken.
            for entry in try await read(next..<last().next) where entry.index <= last() {
                next = entry.index.next
                for slice in entry.slices where slice.partition == partition && slice.partitionIndex >= log.nextIndex {
                    try log.retake(retaken(slice, of: entry))
                    takenBytes += Int(slice.length)
                }
            }
            if takenBytes > Self.retakenBytes {
                try await logs.persist(partition)
                takenBytes = 0
            }
        }
        if log.openState.failure == nil, frozenReason(of: partition) != Self.frozenByOperator { unfreeze(partition) }
    }

    /// The record as it was handed over the first time. What was decided of it then is decided alike.
    private func retaken(_ slice: EntrySlice, of entry: Entry) -> PartitionLogRecord {
        var record = record(slice, of: entry)
        if let sessionOf, let call = sessionOf(record.payload), !use(call, entry) {
            record.verdict = .refused
        } else if case .many = entry.slices, meetings[entry.index] != nil {
            record.verdict = .undecided
        }
        return record
    }
}
