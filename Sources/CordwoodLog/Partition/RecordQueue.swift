internal import CProcessor
internal import CordwoodBase

/// The records that a partition log has taken and not written, in index order, taken from the front.
///
/// A record is a plain value in one array and its payload a copy in a chunk of memory of the queue's own, behind the
/// payload before it. So taking a record allocates nothing, keeps nothing else alive, and writing many reads memory in
/// the order in which it lies. The first chunks are small and double: a partition that is written seldom costs little.
struct RecordQueue: ~Copyable {
    /// What one record takes in memory beside its payload, unused ends of chunks included.
    static let overheadBytes = 96

    private static let smallestChunkBytes = 256
    private static let largestChunkBytes = 64 << 10
    private static let prefetchedBytes = 512

    /// A record without its payload.
    private struct Item {
        var position: PartitionRecordPosition
        var payload: UnsafeMutableRawPointer
        var byteCount: UInt32
        var verdict: PartitionLogRecord.Verdict
    }

    private struct Chunk {
        var memory: UnsafeMutableRawPointer
        var capacity: Int
        var used: Int
        /// Records whose payload lies here.
        var recordCount: Int
    }

    private var items: [Item] = []
    /// Items before this one have been taken.
    private var head = 0
    /// Oldest first; payloads are added to the last one.
    private var chunks: [Chunk] = []
    private(set) var byteCount = 0

    init() {}

    deinit { for chunk in chunks { chunk.memory.deallocate() } }

    var count: Int { items.count - head }
    var isEmpty: Bool { head == items.count }
    var first: PartitionLogRecord? { isEmpty ? nil : self[0] }

    /// A record with a copy of its payload.
    subscript(offset: Int) -> PartitionLogRecord {
        let item = items[head + offset]
        return PartitionLogRecord(
            position: item.position, payload: [UInt8](Self.payload(of: item))[...], verdict: item.verdict)
    }

    func position(_ offset: Int) -> PartitionRecordPosition { items[head + offset].position }

    func verdict(_ offset: Int) -> PartitionLogRecord.Verdict { items[head + offset].verdict }

    /// A record's payload where it lies, valid until the record is removed.
    func payload(_ offset: Int) -> UnsafeRawBufferPointer { Self.payload(of: items[head + offset]) }

    mutating func setVerdict(_ offset: Int, _ verdict: PartitionLogRecord.Verdict) {
        items[head + offset].verdict = verdict
    }

    mutating func append(_ record: PartitionLogRecord) {
        let length = record.byteCount
        let memory = room(for: length)
        record.payload.withUnsafeBytes { source in
            if let start = source.baseAddress { memory.copyMemory(from: start, byteCount: source.count) }
        }
        items.append(
            Item(position: record.position, payload: memory, byteCount: UInt32(length), verdict: record.verdict))
        byteCount += length + Self.overheadBytes
    }

    mutating func removeFirst(_ number: Int) {
        var emptied = 0
        for offset in 0..<number {
            byteCount -= Int(items[head + offset].byteCount) + Self.overheadBytes
            chunks[emptied].recordCount -= 1
            if chunks[emptied].recordCount == 0 { emptied += 1 }
        }
        for chunk in chunks[..<emptied] { chunk.memory.deallocate() }
        chunks.removeFirst(emptied)
        head += number
        if head == items.count {
            items.removeAll(keepingCapacity: items.capacity <= 1024)
            head = 0
        } else if head > 64, head * 2 > items.count {
            items.removeFirst(head)
            head = 0
        }
    }

    mutating func removeLast() {
        let item = items.removeLast()
        byteCount -= Int(item.byteCount) + Self.overheadBytes
        let newest = chunks.count - 1
        chunks[newest].used -= Int(item.byteCount)
        chunks[newest].recordCount -= 1
        if chunks[newest].recordCount == 0 { chunks.removeLast().memory.deallocate() }
    }

    /// Memory for a payload behind the last one.
    @inline(__always)
    private mutating func room(for length: Int) -> UnsafeMutableRawPointer {
        if let last = chunks.last, last.capacity - last.used >= length {
            chunks[chunks.count - 1].used += length
            chunks[chunks.count - 1].recordCount += 1
            let place = last.memory + last.used
            prefetch(place + length, last.capacity - last.used - length, for: length)
            return place
        }
        return addChunk(for: length)
    }

    /// Lets the memory come into which the next payload will go, if it is like this one: other partitions have their
    /// turn before. Everything that is written later waits for what is written to memory that is not there.
    @inline(__always)
    private func prefetch(_ place: UnsafeMutableRawPointer, _ capacity: Int, for length: Int) {
        for offset in stride(from: 0, to: min(capacity, length, Self.prefetchedBytes), by: 64) {
            cprocessor_prefetch(place + offset)
        }
    }

    @inline(never)
    private mutating func addChunk(for length: Int) -> UnsafeMutableRawPointer {
        let doubled = min(2 * (chunks.last?.capacity ?? 0), Self.largestChunkBytes)
        let capacity = max(length, doubled, Self.smallestChunkBytes)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 8)
        chunks.append(Chunk(memory: memory, capacity: capacity, used: length, recordCount: 1))
        return memory
    }

    private static func payload(of item: Item) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: item.payload, count: Int(item.byteCount))
    }
}
