// `floor` and `watermarks`: what recovery would compute from these bytes. What the running node knows beyond them, such
// as commits that no later batch has named, is not in them, so every figure is a lower bound.

internal import CordwoodBase
internal import CordwoodEvents
internal import CordwoodLog
internal import CordwoodMachine
internal import CordwoodRaft

/// Where the floor would stand, and the readings that it comes from.
struct FloorEstimate {
    struct Holder: Equatable {
        var partition: PartitionID?
        /// `commit`, `checkpoint` or `persisted`.
        var reason: String
        var index: RaftIndex
    }

    var log: Inspector.Reading<LogInspection>?
    var partitions: [PartitionID: Inspector.Reading<PartitionInspection>] = [:]
    /// Highest Raft index that these bytes show to be committed.
    var commit: RaftIndex = 0
    /// Who needs entries, the lowest index first.
    var holders: [Holder] = []

    /// Entries below it could go.
    var floor: RaftIndex { holders.first?.index ?? commit.next }

    /// The holders of the floor in a few words.
    var holderText: String {
        holders.prefix { $0.index == floor }.map { holder in
            holder.partition.map { "partition \($0) \(holder.reason)" } ?? holder.reason
        }.joined(separator: ", ")
    }
}

/// What is known of one partition's progress.
private struct PartitionEstimate {
    var logged: PartitionLogIndex = 0
    var applied: PartitionLogIndex = 0
    var persisted: PartitionLogIndex = 0
    private(set) var lastCommand: PartitionLogIndex = 0
    let store: EventStore
    /// False when the commands from the first on are not all at hand, or are none of the event store's.
    var isEventCountKnown = true

    init(_ partition: PartitionID) {
        store = EventStore(
            context: MachineContext(
                partition: partition, log: EmptyLog(), derived: NoFiles(), watermark: { .max }, report: { _ in }))
    }

    /// Applies a committed command, if it is the next one. The machine never sees one that was refused before it.
    mutating func apply(_ command: PartitionCommand, isRefused: Bool) {
        applied = max(applied, command.partitionIndex)
        guard isEventCountKnown, command.partitionIndex > lastCommand else { return }
        guard command.partitionIndex == lastCommand.next else {
            isEventCountKnown = false
            return
        }
        lastCommand = command.partitionIndex
        guard !isRefused else { return }
        let outcome = store.apply(command)
        if outcome.refused, (try? AppendAnswer(decoding: outcome.answer)) == .refused(.malformed) {
            isEventCountKnown = false
        }
    }
}

extension Inspector {
    func floor(_ directory: DataDirectory) async throws(InspectionError) {
        let estimate = try await floorEstimate(directory)
        note(estimate.log?.scan.damage)
        for (_, reading) in estimate.partitions.sorted(by: { $0.key < $1.key }) { note(reading.scan.damage) }
        output.note("a lower bound, from the bytes on disk: a running node knows more (CORDWOOD.FLOOR)")
        let reclaimable = estimate.log?.reclaimableBytes(below: estimate.floor) ?? 0
        output.line(
            "floor",
            [
                ("bound", .text("lower")), ("floor", .number(estimate.floor.rawValue)),
                ("commit", .number(estimate.commit.rawValue)), ("reclaimable_bytes", .number(reclaimable)),
            ])
        for holder in estimate.holders.prefix(while: { $0.index == estimate.floor }) {
            output.line(
                "holder",
                [
                    ("partition", holder.partition.map { .number($0.rawValue) } ?? .absent),
                    ("reason", .text(holder.reason)), ("index", .number(holder.index.rawValue)),
                ])
        }
    }

    /// The floor of the law over what can be known offline: commit + 1, the first entry that the system checkpoint does
    /// not cover, and each partition's oldest entry that is not persisted.
    func floorEstimate(_ directory: DataDirectory) async throws(InspectionError) -> FloorEstimate {
        var estimate = FloorEstimate()
        guard let path = directory.logDirectory else { return try await readPartitions(directory, nil, estimate) }
        let first = try await readLog(path)
        estimate.log = first
        estimate.commit = first.visitor.replay.contents.commitHint
        estimate = try await readPartitions(directory, first.visitor, estimate)

        var needed: [PartitionID: RaftIndex] = [:]
        var uncovered: RaftIndex?
        let checkpoint = first.visitor.replay.contents.checkpoint
        let lines = Dictionary(
            (checkpoint?.partitions ?? []).map { ($0.partition, $0.persisted) }, uniquingKeysWith: { $1 })
        let persisted = estimate.partitions.mapValues(\.visitor.persisted)
        try await read(path) { record in
            guard let entry = try? record.entryHeader() else { return }
            if checkpoint == nil, uncovered == nil { uncovered = entry.raftIndex }
            for slice in entry.slices {
                if slice.partitionIndex > persisted[slice.partition] ?? 0, needed[slice.partition] == nil {
                    needed[slice.partition] = entry.raftIndex
                }
                if slice.partitionIndex > lines[slice.partition] ?? 0, uncovered == nil { uncovered = entry.raftIndex }
            }
        }
        var holders = needed.map { FloorEstimate.Holder(partition: $0.key, reason: "persisted", index: $0.value) }
        if let uncovered { holders.append(.init(partition: nil, reason: "checkpoint", index: uncovered)) }
        holders.append(.init(partition: nil, reason: "commit", index: estimate.commit.next))
        estimate.holders = holders.sorted {
            ($0.index, $0.partition ?? .init(UInt64.max), $0.reason)
                < ($1.index, $1.partition ?? .init(UInt64.max), $1.reason)
        }
        return estimate
    }

    private func readPartitions(
        _ directory: DataDirectory, _ log: LogInspection?, _ estimate: FloorEstimate
    ) async throws(InspectionError) -> FloorEstimate {
        var estimate = estimate
        for (partition, path) in directory.partitionDirectories.sorted(by: { $0.key < $1.key }) {
            let line = log?.replay.contents.checkpointLine(of: partition)
            let reading = try await readPartition(partition, in: path, checkpoint: line)
            estimate.partitions[partition] = reading
            // Only committed entries are in a partition's files.
            estimate.commit = max(estimate.commit, reading.visitor.lastRaftIndex)
        }
        return estimate
    }

    func watermarks(_ directory: DataDirectory) async throws(InspectionError) {
        let estimate = try await floorEstimate(directory)
        note(estimate.log?.scan.damage)
        var partitions: [PartitionID: PartitionEstimate] = [:]
        func change(_ partition: PartitionID, _ body: (inout PartitionEstimate) -> Void) {
            body(&partitions[partition, default: PartitionEstimate(partition)])
        }
        for (partition, path) in directory.partitionDirectories.sorted(by: { $0.key < $1.key }) {
            let reading = try await readPartition(partition, in: path, checkpoint: nil) { record, _, _ in
                guard let command = record.partitionCommand(partition) else { return }
                change(partition) { $0.apply(command, isRefused: record.header.flags.contains(.refused)) }
            }
            note(reading.scan.damage)
            change(partition) {
                $0.persisted = reading.visitor.persisted
                $0.logged = reading.visitor.persisted
                if reading.visitor.start > 0 { $0.isEventCountKnown = false }
            }
        }
        if let path = directory.logDirectory {
            try await read(path) { record in
                guard let entry = try? record.entryHeader() else { return }
                for slice in entry.slices {
                    change(slice.partition) {
                        $0.logged = max($0.logged, slice.partitionIndex)
                        guard entry.raftIndex <= estimate.commit else { return }
                        $0.apply(record.command(entry, slice), isRefused: false)
                    }
                }
            }
        }
        output.note("lower bounds, from the bytes on disk: a running node knows more (CORDWOOD.PARTITION STATUS)")
        output.table(
            "watermark",
            partitions.sorted { $0.key < $1.key }.map { partition, progress in
                [
                    ("bound", .text("lower")), ("partition", .number(partition.rawValue)),
                    ("logged", .number(progress.logged.rawValue)), ("confirmed", .number(progress.applied.rawValue)),
                    ("applied", .number(progress.applied.rawValue)),
                    ("persisted", .number(progress.persisted.rawValue)),
                    ("w", progress.isEventCountKnown ? .number(progress.store.eventCount) : .absent),
                ]
            })
    }

    /// Reads the segmented log once more, for its records.
    private func read(_ path: String, _ body: @escaping (RecordView) -> Void) async throws(InspectionError) {
        let scanner = StreamScanner(directory: path, kind: .segmented, files: files, options: .inspecting)
        do throws(LogError) {
            _ = try await scanner.run {
                let visitor = LogInspection()
                visitor.onRecord = { record, _, _ in body(record) }
                return visitor
            }
        } catch {
            throw .unreadable("\(error)")
        }
    }
}

extension Inspector.Reading where Visitor == LogInspection {
    /// Bytes in sealed segments that lie wholly below an index.
    fileprivate func reclaimableBytes(below floor: RaftIndex) -> UInt64 {
        scan.segments.filter { segment in
            let last = visitor.segments[segment.header.segment]?.indexes?.upperBound ?? 0
            return segment.seal != nil && last < floor.rawValue
        }.reduce(0) { $0 + $1.fileBytes }
    }
}

extension RecordView {
    /// The command of a partition log's record; `nil` for records of other kinds.
    fileprivate func partitionCommand(_ partition: PartitionID) -> PartitionCommand? {
        guard let entry = try? partitionHeader() else { return nil }
        return PartitionCommand(
            partition: partition, partitionIndex: entry.position.partitionIndex, raftIndex: entry.position.raftIndex,
            term: entry.position.term, timestampMicroseconds: entry.position.timestampMicroseconds,
            payload: [UInt8](payload)[...])
    }

    /// The command that an entry of the segmented log has for one partition.
    fileprivate func command(_ entry: SegmentedRecordHeader, _ slice: EntrySlice) -> PartitionCommand {
        let part = payload[Int(slice.offset)..<Int(slice.offset) + Int(slice.length)]
        return PartitionCommand(
            partition: slice.partition, partitionIndex: slice.partitionIndex, raftIndex: entry.raftIndex,
            term: entry.term, timestampMicroseconds: entry.timestampMicroseconds, payload: [UInt8](part)[...])
    }
}

/// Apply reads no log.
private final class EmptyLog: PartitionLogReading {
    var startIndex: PartitionLogIndex { 1 }
    var nextIndex: PartitionLogIndex { 1 }

    func commands(from index: PartitionLogIndex, maxCount: Int, maxBytes: Int) async throws -> [PartitionCommand] { [] }
}

private final class NoFiles: DerivedFiles {
    func replace(_ name: String, with bytes: [UInt8]) async throws {}
    func read(_ name: String) async throws -> [UInt8]? { nil }
    func delete(_ name: String) async throws {}
}
