public import CordwoodBase
internal import CordwoodIO
public import CordwoodRaft

/// What can still be read of a partition log, whatever else of it is damaged: every batch that verifies at its place.
///
/// A log with damage in it cannot be opened, or not be read behind the damage, but most of it is as good as ever. Here
/// nothing follows from what stands before it: each file is looked at by itself, at every aligned offset. What is read
/// may be of an end that was cut or written over, so nothing of it counts by itself; whoever takes a run of records
/// says what it follows, and gets only what goes on from there by the partition chain.
///
/// A snapshot of the files at one time: what is written later is not in it.
public final class PartitionSalvage {
    private struct Batch {
        var first: UInt64
        var last: UInt64
        var path: String
        var offsets: Range<UInt64>
        var seed: LinkSeed
        var alignmentBytes: Int
    }

    public let partition: PartitionID
    /// What does not verify, as far as it can be told from what was never written: at most one piece a file.
    public private(set) var damages: [Damage] = []

    private unowned let pool: PartitionLogPool
    /// In the order of files and offsets.
    private var batches: [Batch] = []

    private static let chunkBytes = 256 << 10

    private init(_ partition: PartitionID, _ pool: PartitionLogPool) {
        self.partition = partition
        self.pool = pool
    }

    /// Looks through the files of a partition.
    public static func read(_ partition: PartitionID, in pool: PartitionLogPool) async throws(LogError)
        -> PartitionSalvage
    {
        let salvage = PartitionSalvage(partition, pool)
        let shard = try await pool.shard(of: partition)
        for segment in shard.segments[partition] ?? [] { await salvage.scan(shard.file(partition, segment)) }
        return salvage
    }

    private func scan(_ path: String) async {
        do throws(IOError) {
            let file = try await pool.seams.files.open(path, FileMode(.mustExist, writable: false))
            await scan(path, file)
            await file.close()
        } catch { note(path, 0..<0, "\(error)") }
    }

    private func scan(_ path: String, _ file: any File) async {
        let header: SegmentHeader
        let size: UInt64
        do {
            size = try await file.size()
            let block = IOBuffer(count: LogFormat.segmentHeaderBytes)
            let count = try await file.read(into: block, 0..<block.count, at: 0)
            header = try SegmentHeader(decoding: block[0..<count])
        } catch { return note(path, 0..<UInt64(LogFormat.segmentHeaderBytes), "no segment header: \(error)") }
        guard header.kind == .partition, header.partition == partition else { return }
        let cursor = SegmentCursor(
            file: file, header: header, limit: size, from: header.firstBatchOffset, chunkBytes: Self.chunkBytes)
        var end = header.firstBatchOffset
        var sawNonZero = false
        while !cursor.isAtLimit {
            do throws(IOError) {
                guard try await cursor.advanceToMarker(nonZero: &sawNonZero) else { break }
                guard case .batch(let view) = try await cursor.read() else {
                    cursor.offset += UInt64(cursor.alignmentBytes)
                    continue
                }
                if view.offset > end { note(path, end..<view.offset, "no batch verifies") }
                take(view, path, cursor)
                cursor.offset = view.end
                end = view.end
            } catch {
                note(path, cursor.offset..<cursor.offset + UInt64(cursor.alignmentBytes), "\(error)")
                cursor.offset += UInt64(cursor.alignmentBytes)
            }
        }
    }

    private func note(_ path: String, _ offsets: Range<UInt64>, _ reason: String) {
        if damages.last?.file == path { return }
        damages.append(Damage(.corrupt, file: path, offsets: offsets, detail: "partition \(partition): \(reason)"))
    }

    private func take(_ view: BatchView, _ path: String, _ cursor: SegmentCursor) {
        var first: UInt64?
        var last: UInt64 = 0
        for record in view.records where record.header.rawKind == RecordKind.partitionEntry.rawValue {
            guard let header = try? record.partitionHeader() else { return }
            last = header.position.partitionIndex.rawValue
            first = first ?? last
        }
        guard let first else { return }
        batches.append(
            Batch(
                first: first, last: last, path: path, offsets: view.offset..<view.end, seed: cursor.seed,
                alignmentBytes: cursor.alignmentBytes))
    }

    // MARK: Giving

    /// Lowest index of any record that can be read, if there is one.
    public var firstIndex: PartitionLogIndex? { batches.map(\.first).min().map { PartitionLogIndex($0) } }

    /// Records that go on from a point, in their transfer form: through `last` at most, about `maxBytes` at most. `nil`
    /// when the record behind the point is damaged, or is not there.
    public func run(
        after point: PartitionPoint, through last: PartitionLogIndex, maxBytes: Int
    ) async throws(LogError) -> [UInt8]? {
        var run = Run(
            bytes: PartitionExport.begin(partition, after: point, capacityBytes: min(maxBytes, 4 << 20)), point: point)
        while run.point.partitionIndex < last, run.count == 0 || run.bytes.count < maxBytes {
            let before = run.count
            let next = run.point.partitionIndex.next.rawValue
            // The same index may stand in several places: the later one is more likely to be the one that counts.
            for batch in batches.reversed() where batch.first <= next && batch.last >= next {
                if try await add(batch, to: &run, through: last, maxBytes: maxBytes) { break }
            }
            if run.count == before { break }
        }
        guard run.count > 0 else { return nil }
        PartitionExport.finish(&run.bytes, count: run.count)
        return run.bytes
    }

    private struct Run {
        var bytes: [UInt8]
        var point: PartitionPoint
        var count = 0
    }

    /// Adds what goes on from the run's point. False when nothing of the batch does.
    private func add(
        _ batch: Batch, to run: inout Run, through last: PartitionLogIndex, maxBytes: Int
    ) async throws(LogError) -> Bool {
        let buffer = IOBuffer(count: batch.offsets.count)
        do throws(IOError) {
            let got = try await pool.descriptors.with(batch.path) { file throws(IOError) in
                try await file.read(into: buffer, 0..<buffer.count, at: batch.offsets.lowerBound)
            }
            guard got == buffer.count else { return false }
        } catch { return false }
        guard
            case .batch(let view) = BatchReading.decode(
                buffer[0..<buffer.count], at: batch.offsets.lowerBound, seed: batch.seed,
                alignmentBytes: batch.alignmentBytes)
        else { return false }
        let before = run.count
        for record in view.records where record.header.rawKind == RecordKind.partitionEntry.rawValue {
            guard let header = try? record.partitionHeader() else { break }
            let found = header.position.partitionIndex
            if found <= run.point.partitionIndex { continue }
            guard found == run.point.partitionIndex.next, found <= last,
                header.chain == record.partitionChain(after: run.point.chain),
                run.count == 0 || run.bytes.count + record.bytes.count <= maxBytes
            else { break }
            run.bytes.append(contentsOf: record.bytes)
            let padding = record.header.paddedBytes - record.bytes.count
            if padding > 0 { run.bytes.append(contentsOf: repeatElement(0, count: padding)) }
            run.point = PartitionPoint(
                partitionIndex: found, raftIndex: header.position.raftIndex, term: header.position.term,
                chain: header.chain)
            run.count += 1
        }
        return run.count > before
    }
}
