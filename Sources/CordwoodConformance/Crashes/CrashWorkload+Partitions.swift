import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual

/// Workloads on one partition's log, without the segmented log before it.
extension CrashWorkload {
    /// All workloads of the engine on one replica.
    public static let standard: [CrashWorkload] =
        CrashScript.all.map { $0.workload(opening: SegmentedLogStoreFactory.openSmall) } + [
            partitionFlush, partitionRoll, partitionCut, partitionCompaction,
            MachineConformance.crashWorkload(TallyMachine.subject),
            MachineConformance.crashWorkload(TallyMachine.largeSubject, name: "segments freed behind checkpoints"),
        ]

    /// Records that become durable in several rounds.
    private static let partitionFlush = appending("partition log flushed", [3, 1, 8, 2], bytes: 300)

    /// Records that fill several segments.
    private static let partitionRoll = appending("partition log rolled", [6, 6, 6, 6, 6, 6], bytes: 4000)

    private static func appending(_ name: String, _ rounds: [Int], bytes: Int) -> CrashWorkload {
        CrashWorkload(name) {
            var subject = CrashSubject<[PartitionLogRecord]>(
                from: [],
                run: { seams, ledger in
                    let pool = pool(seams)
                    let log = pool.store(of: 0)
                    for count in rounds {
                        var records = ledger.current
                        for _ in 0..<count {
                            let record = record(UInt64(records.count) + 1, bytes: bytes, term: 1)
                            records.append(record)
                            log.append(record)
                        }
                        let step = ledger.begin(records)
                        try await pool.persist(0)
                        ledger.acknowledge(step)
                    }
                    try await pool.close()
                },
                read: { seams in try await readAll(pool(seams)) })
            // What was not persisted may be there in part.
            subject.match = { found, history, acknowledged, begun in
                guard found.starts(with: history[acknowledged]), history[begun].starts(with: found) else { return nil }
                return (acknowledged...begun).last { history[$0].count <= found.count }
            }
            subject.describe = { "\($0.count) records" }
            return subject
        }
    }

    /// Records that were never committed, and that a truncation of the segmented log covers, give way to others. The
    /// truncation is known before the log is opened, so a recovery does the cut again.
    private static let partitionCut = CrashWorkload("partition log cut") {
        let kept: UInt64 = 11
        let written = VirtualWorld(seed: 3)
        try written.run { seams in
            let pool = pool(seams)
            for last in stride(from: 6 as UInt64, through: 30, by: 6) {
                for index in last - 5...last { pool.store(of: 0).append(record(index, bytes: 4000, term: 1)) }
                try await pool.persist(0)
            }
            try await pool.close()
        }
        let expected =
            (1...kept).map { record($0, bytes: 4000, term: 1) }
            + (kept + 1...kept + 6).map { record($0, bytes: 900, term: 2) }
        @Sendable func cut(_ seams: Seams) async throws -> [PartitionLogRecord] {
            let pool = pool(seams)
            pool.noteDropped(
                (kept + 1...30).map {
                    DroppedRecord(
                        partition: 0, partitionIndex: PartitionLogIndex($0),
                        position: LogPosition(index: RaftIndex($0 * 10), term: 1))
                })
            let log = pool.store(of: 0)
            try await log.open()
            // Those that take the place of what was cut come from the segmented log, again after every restart.
            while log.nextIndex.rawValue <= kept + 6 {
                log.append(record(log.nextIndex.rawValue, bytes: 900, term: 2))
            }
            try await pool.persist(0)
            return try await readAll(pool)
        }
        return CrashSubject(
            on: written.disk.image.flushed(), from: expected,
            run: { seams, ledger in
                _ = try await cut(seams)
                ledger.acknowledgeAll()
            }, read: cut)
    }

    /// The front of a log goes, segment by segment.
    private static let partitionCompaction = CrashWorkload("partition log compacted") {
        let all = (1...36).map { record($0, bytes: 4000, term: 1) }
        let written = VirtualWorld(seed: 5)
        try written.run { seams in
            let pool = pool(seams)
            for round in 0..<6 {
                for record in all[round * 6..<round * 6 + 6] { pool.store(of: 0).append(record) }
                try await pool.persist(0)
            }
            try await pool.close()
        }
        var subject = CrashSubject(
            on: written.disk.image.flushed(), from: all,
            run: { seams, ledger in
                let pool = pool(seams)
                let log = pool.store(of: 0)
                try await log.open()
                for index in [9, 20, 33] as [UInt64] {
                    let step = ledger.begin(Array(all[Int(index)...]))
                    try await log.compact(through: PartitionLogIndex(index))
                    ledger.acknowledge(step)
                }
                try await pool.close()
            }, read: { seams in try await readAll(pool(seams)) })
        // Whole segments go: what lies below the compaction may stay, what lies above it must.
        subject.match = { found, history, acknowledged, begun in
            guard let last = found.last, last == all[all.count - 1], found.count >= history[begun].count,
                all.suffix(found.count).elementsEqual(found)
            else { return nil }
            return acknowledged
        }
        subject.describe = { "\($0.count) records from \(String(describing: $0.first?.position.partitionIndex))" }
        return subject
    }

    // MARK: A partition log

    private static func pool(_ seams: Seams) -> PartitionLogPool {
        var configuration = PartitionLogPool.Configuration(
            directory: "partitions",
            identity: LogIdentity(
                cluster: UniqueID(high: 1, low: 1), node: UniqueID(high: 2, low: 2), replica: 1,
                store: UniqueID(high: 3, low: 3), log: .none))
        configuration.segmentBytes = 64 << 10
        configuration.batchBytes = 16 << 10
        return PartitionLogPool(configuration: configuration, seams: seams, partitionCount: 1)
    }

    private static func record(_ index: UInt64, bytes: Int, term: Term) -> PartitionLogRecord {
        PartitionLogRecord(
            position: PartitionRecordPosition(
                partitionIndex: PartitionLogIndex(index), raftIndex: RaftIndex(index * 10), term: term,
                timestampMicroseconds: Int64(index) * 1000, type: .application),
            payload: (0..<bytes).map { UInt8(truncatingIfNeeded: Int(index) &* 31 &+ $0) }[...])
    }

    private static func readAll(_ pool: PartitionLogPool) async throws -> [PartitionLogRecord] {
        let log = pool.store(of: 0)
        try await log.open()
        var records: [PartitionLogRecord] = []
        while log.startIndex + UInt64(records.count) < log.nextIndex {
            let page = try await log.records(
                from: log.startIndex + UInt64(records.count), maxCount: 64, maxBytes: 1 << 20)
            if page.isEmpty { throw ConformanceFailure("no records from \(log.startIndex) + \(records.count)") }
            records += page
        }
        return records
    }
}
