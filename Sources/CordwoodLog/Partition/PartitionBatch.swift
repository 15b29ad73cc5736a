internal import CordwoodBase
internal import CordwoodIO

/// A verified batch of partition records, kept for reading.
final class PartitionBatch {
    struct Place: Hashable {
        var partition: PartitionID
        var segment: SegmentID
        var offset: UInt64
    }

    let firstIndex: UInt64
    /// Memory that the batch takes.
    var byteCount: Int { bytes.count }

    private let bytes: [UInt8]
    private var records: [(header: PartitionRecordHeader, payload: Range<Int>, isRefused: Bool)] = []

    /// Takes over the records of a batch whose checksums have been verified.
    init(_ view: BatchView) throws(DecodeError) {
        var copied: [UInt8] = []
        copied.reserveCapacity(Int(view.header.bodyBytes))
        for record in view.records where record.header.rawKind == RecordKind.partitionEntry.rawValue {
            let header = try record.partitionHeader()
            let start = copied.count
            copied.append(contentsOf: record.bytes[PartitionRecord.payloadOffset...])
            records.append((header, start..<copied.count, record.header.flags.contains(.refused)))
        }
        bytes = copied
        firstIndex = records.first?.header.position.partitionIndex.rawValue ?? 0
    }

    func records(from index: PartitionLogIndex, maxCount: Int) -> [PartitionLogRecord] {
        guard index.rawValue >= firstIndex, index.rawValue - firstIndex < UInt64(records.count) else { return [] }
        let offset = Int(index.rawValue - firstIndex)
        return records[offset..<min(records.count, offset + maxCount)].map { record in
            PartitionLogRecord(
                position: record.header.position, payload: bytes[record.payload],
                verdict: record.isRefused ? .refused : .apply)
        }
    }

    func line(at index: PartitionLogIndex, of partition: PartitionID) -> SystemCheckpoint.Line? {
        guard index.rawValue >= firstIndex, index.rawValue - firstIndex < UInt64(records.count) else { return nil }
        let header = records[Int(index.rawValue - firstIndex)].header
        return SystemCheckpoint.Line(
            partition: partition, persisted: index, raftIndex: header.position.raftIndex, chain: header.chain)
    }
}

/// Batches read lately, bounded in bytes; what has not been asked for since the last round goes first.
final class BatchCache {
    private struct Held {
        var batch: PartitionBatch
        var wasUsed: Bool
    }

    private let capacityBytes: Int
    private var byteCount = 0
    private var held: [PartitionBatch.Place: Held] = [:]
    private var order: [PartitionBatch.Place] = []
    private var hand = 0

    init(capacityBytes: Int) { self.capacityBytes = capacityBytes }

    subscript(place: PartitionBatch.Place) -> PartitionBatch? {
        guard let found = held[place] else { return nil }
        if !found.wasUsed { held[place]?.wasUsed = true }
        return found.batch
    }

    func insert(_ batch: PartitionBatch, at place: PartitionBatch.Place) {
        guard batch.byteCount <= capacityBytes, held[place] == nil else { return }
        while byteCount + batch.byteCount > capacityBytes, !order.isEmpty { evictOne() }
        held[place] = Held(batch: batch, wasUsed: false)
        order.append(place)
        byteCount += batch.byteCount
    }

    /// Forgets what was read of a partition: other files take the place of those that it came from.
    func removeAll(of partition: PartitionID) {
        guard order.contains(where: { $0.partition == partition }) else { return }
        for place in order where place.partition == partition {
            byteCount -= held.removeValue(forKey: place)?.batch.byteCount ?? 0
        }
        order.removeAll { $0.partition == partition }
        hand = 0
    }

    private func evictOne() {
        while true {
            if hand >= order.count { hand = 0 }
            let place = order[hand]
            if held[place]?.wasUsed == true {
                held[place]?.wasUsed = false
                hand += 1
                continue
            }
            byteCount -= held.removeValue(forKey: place)?.batch.byteCount ?? 0
            order.swapAt(hand, order.count - 1)
            order.removeLast()
            return
        }
    }
}
