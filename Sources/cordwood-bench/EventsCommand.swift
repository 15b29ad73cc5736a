// `cordwood-bench events`: apply alone, timed one by one, and what ten million events weigh in memory.

internal import CordwoodBase
internal import CordwoodEvents
internal import CordwoodMachine
internal import CordwoodOptions
internal import Glibc

extension BenchCommand {
    /// What the event store's apply costs and what its indexes weigh, without any I/O. One case a process, so that the
    /// resident bytes are those of this case.
    static let events = BenchCommand(
        "events", operands: ["[COUNT]", "[server|client]"],
        "apply of 256-byte events to 100,000 random streams, ids made by server or client"
    ) { run in
        let count = run.operands.first.map { UInt64($0) } ?? 10_000_000
        let ids = run.operands.dropFirst().first ?? "server"
        guard let count, count > 0, ids == "server" || ids == "client" else {
            throw OptionError(.usage, "events: the operands are a number of events, then server or client")
        }
        run.report().add(EventsBench(eventCount: count, idsAreSupplied: ids == "client").run())
    }
}

/// Applies events of 256 bytes to random streams, spread over partitions as the server spreads them.
private struct EventsBench {
    let eventCount: UInt64
    /// True when every event id comes from the client, so that apply looks for repeats.
    let idsAreSupplied: Bool

    private let streamCount: UInt64 = 100_000
    private let partitionCount = 32
    private let payload = [UInt8](repeating: 0x78, count: 256)

    private struct Stream {
        let name: [UInt8]
        let key: PartitionKey
    }

    func run() -> Report.Row {
        let stores = (0..<partitionCount).map { Self.makeStore(PartitionID(UInt64($0))) }
        let streams = (0..<streamCount).map { number in
            let name = Array("stream-\(number)".utf8)
            return Stream(name: name, key: name.withUnsafeBytes { PartitionKey(defaultFor: $0) })
        }
        let clock = ContinuousClock()
        var latencies = LatencyHistogram()
        var worst: UInt64 = 0
        var total: UInt64 = 0
        var random = SplitMix(state: 42)
        let residentBefore = Self.residentBytes()
        for number in 0..<eventCount {
            let stream = streams[Int(random.next() % streamCount)]
            let command = encode(number, stream, random.next())
            let store = stores[Int(stream.key.partition(of: partitionCount).rawValue)]
            let start = clock.now
            let outcome = store.apply(
                PartitionCommand(
                    partition: 0, partitionIndex: store.lastAppliedIndex.next, raftIndex: RaftIndex(number + 1),
                    term: 1, timestampMicroseconds: Int64(number), payload: command[...]))
            let elapsed = UInt64((clock.now - start).attoseconds / 1_000_000_000)
            invariant(outcome.eventCount == 1, "event \(number) was not stored")
            latencies.record(elapsed)
            worst = max(worst, elapsed)
            total += elapsed
        }
        let resident = Self.residentBytes() - residentBefore
        let indexBytes = stores.reduce(0) { $0 + $1.indexBytes }
        let start = clock.now
        let snapshotBytes = stores.reduce(0) { $0 + $1.snapshot().count }
        let snapshotTime = clock.now - start
        return [
            ("ids", .text(idsAreSupplied ? "client" : "server")), ("events", .count(eventCount)),
            ("apply_ns", .count(total / eventCount)), ("p50_ns", .count(latencies.percentileNanoseconds(0.5))),
            ("p99_ns", .count(latencies.percentileNanoseconds(0.99))),
            ("p99.9_ns", .count(latencies.percentileNanoseconds(0.999))), ("worst_us", .count(worst / 1000)),
            ("index_bytes_each", .number(Double(indexBytes) / Double(eventCount), digits: 1)),
            ("resident_bytes_each", .number(Double(resident) / Double(eventCount), digits: 1)),
            ("snapshot_bytes_each", .number(Double(snapshotBytes) / Double(eventCount), digits: 1)),
            ("snapshots_ms", .count(UInt64(snapshotTime / .milliseconds(1)))),
        ]
    }

    private func encode(_ number: UInt64, _ stream: Stream, _ random: UInt64) -> [UInt8] {
        let id = EventID(
            milliseconds: 1_700_000_000_000 + number / 100, partitionHash: stream.key.hash, random: random)
        return stream.name.withUnsafeBytes { name in
            payload.withUnsafeBytes { payload in
                AppendCommand.encode(
                    key: stream.key,
                    event: EventDraft(
                        streamID: name, name: UnsafeRawBufferPointer(rebasing: name[..<6]), id: id,
                        idIsSupplied: idsAreSupplied, payload: payload))
            }
        }
    }

    private static func makeStore(_ partition: PartitionID) -> EventStore {
        EventStore(
            context: MachineContext(
                partition: partition, log: NoLog(), derived: NoFiles(), watermark: { .max }, report: { _ in }))
    }

    /// Bytes of this process that are in memory, 0 where the kernel does not say.
    private static func residentBytes() -> Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var total = 0
        var resident = 0
        let fields = withUnsafeMutablePointer(to: &total) { total in
            withUnsafeMutablePointer(to: &resident) { resident in
                withVaList([total, resident]) { vfscanf(file, "%ld %ld", $0) }
            }
        }
        return fields == 2 ? resident * sysconf(Int32(_SC_PAGESIZE)) : 0
    }
}

private struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// A partition log that has nothing: apply reads no log.
private final class NoLog: PartitionLogReading {
    var startIndex: PartitionLogIndex { 1 }
    var nextIndex: PartitionLogIndex { 1 }

    func commands(from index: PartitionLogIndex, maxCount: Int, maxBytes: Int) async throws -> [PartitionCommand] { [] }
}

private final class NoFiles: DerivedFiles {
    func replace(_ name: String, with bytes: [UInt8]) async throws {}
    func read(_ name: String) async throws -> [UInt8]? { nil }
    func delete(_ name: String) async throws {}
}
