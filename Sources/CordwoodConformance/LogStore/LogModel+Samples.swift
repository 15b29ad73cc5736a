import CordwoodBase

extension LogModel {
    private static let samplePartitions: UInt64 = 4

    /// Entries that may follow the log, or the log cut before `first`: each with its own payload, most of them with a
    /// slice for one partition or two.
    func sampleEntries(
        _ count: Int, term: Term, from first: RaftIndex? = nil, payloadBytes: Int = 100, withSlices: Bool = true
    ) -> [Entry] {
        var log = self
        if let first { log.apply(.truncate(after: first.previous)) }
        var made: [Entry] = []
        for _ in 0..<count {
            let index = log.nextIndex
            let payload = LogModel.samplePayload(index, term, bytes: payloadBytes)
            let slices = withSlices ? log.sampleSlices(for: index, payloadBytes: payload.count) : []
            let entry = Entry(
                index: index, term: term, type: slices.count > 1 ? .multiPartition : .application,
                timestampMicroseconds: Int64(1_000_000 + index.rawValue), slices: EntrySlices(slices),
                payload: payload)
            made.append(entry)
            log.apply(.append([entry]))
        }
        return made
    }

    /// Every seventh entry has no slice, every fifth has two.
    private func sampleSlices(for index: RaftIndex, payloadBytes: Int) -> [EntrySlice] {
        guard knowsAllPartitions, index.rawValue % 7 != 0 else { return [] }
        let first = index.rawValue % LogModel.samplePartitions
        let partitions = index.rawValue % 5 == 0 ? [first, first + LogModel.samplePartitions] : [first]
        let share = UInt32(payloadBytes / partitions.count)
        return partitions.enumerated().map { position, number in
            let partition = PartitionID(number)
            return EntrySlice(
                partition: partition, partitionIndex: nextPartitionIndex(partition),
                previousRaftIndex: partitionEnds[partition]?.raftIndex ?? 0, offset: share * UInt32(position),
                length: share)
        }
    }

    private static func samplePayload(_ index: RaftIndex, _ term: Term, bytes: Int) -> [UInt8] {
        var payload = [UInt8]("entry \(index) of term \(term) ".utf8)
        while payload.count < bytes {
            payload.append(UInt8(truncatingIfNeeded: payload.count &* 31 + payload.count >> 3))
        }
        return Array(payload.prefix(bytes))
    }
}
