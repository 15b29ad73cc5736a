internal import CordwoodBase
internal import CordwoodIO
internal import CordwoodLog
internal import CordwoodRaft

/// Reads a data directory and reports on it, one command a call. Confined to the loop.
final class Inspector {
    enum Command: String, CaseIterable, Sendable {
        case segments
        case dump
        case verify
        case watermarks
        case floor
        case digest

        var summary: String {
            switch self {
            case .segments: "segment files: what each holds, and what holds it back"
            case .dump: "records, one a line"
            case .verify: "checks everything that can be checked; names each damage with its place and class"
            case .watermarks: "each partition's counters as recovery would have them: lower bounds"
            case .digest: "a value over each partition's records: equal on replicas that hold the same"
            case .floor: "where truncation stands and who holds it back, from these bytes: a lower bound"
            }
        }
    }

    let root: String
    let files: any FileSystem
    let output: Output
    /// All damage found, in order.
    private(set) var damage: [Damage] = []

    init(directory: String, files: any FileSystem, output: Output) {
        root = directory
        self.files = files
        self.output = output
    }

    func run(_ command: Command, filter: DumpFilter = DumpFilter()) async -> ExitCode {
        do throws(InspectionError) {
            let directory = try await DataDirectory.find(root, files: files)
            switch command {
            case .segments: try await segments(directory)
            case .dump: try await dump(directory, filter)
            case .verify: try await verify(directory)
            case .watermarks: try await watermarks(directory)
            case .floor: try await floor(directory)
            case .digest: try await digest(directory)
            }
        } catch {
            output.note(error.description)
            return .unreadable
        }
        for damage in damage { report(damage) }
        return damage.isEmpty ? .clean : .damaged
    }

    func note(_ found: Damage?) {
        if let found { damage.append(found) }
    }

    private func report(_ damage: Damage) {
        output.line(
            "damage",
            [
                ("class", .text(damage.kind.rawValue)), ("file", .text(damage.file)),
                ("from", .number(damage.offsets.lowerBound)), ("to", .number(damage.offsets.upperBound)),
                ("first_index", damage.indexes.map { .number($0.lowerBound.rawValue) } ?? .absent),
                ("end_index", damage.indexes.map { .number($0.upperBound.rawValue) } ?? .absent),
                ("detail", .text(damage.detail)),
            ])
    }

    // MARK: Reading

    /// One log as it was read.
    struct Reading<Visitor: StreamVisitor> {
        var scan: StreamScan
        var visitor: Visitor
    }

    func readLog(_ path: String) async throws(InspectionError) -> Reading<LogInspection> {
        try await read(path, prefix: "", kind: .segmented, partition: 0) { LogInspection() }
    }

    func readPartition(
        _ partition: PartitionID, in path: String, checkpoint: SystemCheckpoint.Line?,
        onRecord: ((RecordView, SegmentID, BatchView) -> Void)? = nil
    ) async throws(InspectionError) -> Reading<PartitionInspection> {
        try await read(path, prefix: PartitionFileName.prefix(of: partition), kind: .partition, partition: partition) {
            let visitor = PartitionInspection(checkpoint: checkpoint)
            visitor.onRecord = onRecord
            return visitor
        }
    }

    /// Scans a stream. Beside a running node a file may change while it is read, so damage counts only when it is found
    /// twice in the same place.
    private func read<Visitor: StreamVisitor>(
        _ path: String, prefix: String, kind: LogKind, partition: PartitionID, _ makeVisitor: () -> Visitor
    ) async throws(InspectionError) -> Reading<Visitor> {
        var options = StreamScanner.Options.inspecting
        if kind == .partition { options.naming = .partition }
        var seen: Damage?
        var failure = "\(path): changes while it is read"
        for _ in 0..<Self.maxAttempts {
            let scanner = StreamScanner(
                directory: path, prefix: prefix, kind: kind, partition: partition, files: files, options: options)
            do throws(LogError) {
                let (scan, visitor) = try await scanner.run(makeVisitor)
                guard let damage = scan.damage, damage != seen else { return Reading(scan: scan, visitor: visitor) }
                seen = damage
            } catch {
                guard case .unavailable(let reason) = error else { throw .unreadable("\(error)") }
                failure = reason
            }
        }
        throw .unreadable(failure)
    }

    private static let maxAttempts = 5
}

extension StreamScanner.Options {
    /// Reads what the system has, cached or not, and syncs nothing.
    static var inspecting: StreamScanner.Options {
        var options = StreamScanner.Options()
        options.readsPastCaches = false
        options.knownNames = ["lock"]
        return options
    }
}

extension LogContents {
    /// What the newest system checkpoint says of a partition.
    func checkpointLine(of partition: PartitionID) -> SystemCheckpoint.Line? {
        guard let lines = checkpoint?.partitions else { return nil }
        // Ascending, and up to 65,536 of them.
        var low = 0
        var high = lines.count
        while low < high {
            let middle = (low + high) / 2
            if lines[middle].partition < partition { low = middle + 1 } else { high = middle }
        }
        return low < lines.count && lines[low].partition == partition ? lines[low] : nil
    }
}
