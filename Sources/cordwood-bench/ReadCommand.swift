// `read`: how fast entries come back from a log, verified, on the loop and on another thread.

internal import CordwoodBase
internal import CordwoodIO
internal import CordwoodLog
internal import CordwoodOptions

extension BenchCommand {
    /// Verified reads from a log: in order by ranges, and single entries here and there.
    static let read = BenchCommand("read", "verified reads from a log, in order and at random") { run in
        nonisolated(unsafe) let report = run.report()
        try run.onEachLog { io, seams, workload, payloadBytes in
            // Reopened, so that nothing is served from the cache of recent entries.
            _ = try await workload.reopen(droppingCaches: true)
            let reads = LogReads(workload, seams, payloadBytes: payloadBytes)
            report.add([("io", .text(io)), ("reads", .text("in-order"))] + (try await reads.inOrder()))
            report.add(
                [("io", .text(io)), ("reads", .text("in-order, other thread"))]
                    + (try await reads.inOrderElsewhere()))
            report.add(
                [("io", .text(io)), ("reads", .text("random"))]
                    + (try await reads.atRandom(forNanoseconds: run.timeNanoseconds)))
        }
    }
}

/// Reads of one log.
struct LogReads {
    private let workload: LogWorkload
    private let seams: Seams
    private let payloadBytes: Int

    init(_ workload: LogWorkload, _ seams: Seams, payloadBytes: Int) {
        self.workload = workload
        self.seams = seams
        self.payloadBytes = payloadBytes
    }

    /// The whole log once, in ranges of up to 1 MiB.
    func inOrder() async throws -> Report.Row {
        let store = workload.store
        var latency = LatencyHistogram()
        var next = store.startIndex
        let start = seams.clock.monotonicNanoseconds
        let processBefore = ProcessTime.nanoseconds
        var entries: UInt64 = 0
        while next < store.nextIndex {
            let before = seams.clock.monotonicNanoseconds
            let range = try await store.entries(in: next..<store.nextIndex, maxBytes: 1 << 20)
            latency.record(seams.clock.monotonicNanoseconds - before)
            entries += UInt64(range.count)
            guard let last = range.last else { break }
            next = last.index.next
        }
        return row(entries, seams.clock.monotonicNanoseconds - start, ProcessTime.nanoseconds - processBefore, latency)
    }

    /// The same through a reader on another thread, which verifies and decodes there. The caches are warm by then.
    func inOrderElsewhere() async throws -> Report.Row {
        let reader = workload.store.reader
        let (first, last) = (workload.store.startIndex, workload.store.nextIndex)
        let start = seams.clock.monotonicNanoseconds
        let processBefore = ProcessTime.nanoseconds
        let entries = try await seams.scheduler.offload {
            var next = first
            while next < last, let read = try await reader.entries(in: next..<last, maxBytes: 1 << 20).last {
                next = read.index.next
            }
            return next - first
        }
        return row(
            entries, seams.clock.monotonicNanoseconds - start, ProcessTime.nanoseconds - processBefore,
            LatencyHistogram())
    }

    /// Single entries anywhere in the log.
    func atRandom(forNanoseconds nanoseconds: UInt64) async throws -> Report.Row {
        let store = workload.store
        var latency = LatencyHistogram()
        let count = store.nextIndex.rawValue - store.startIndex.rawValue
        let start = seams.clock.monotonicNanoseconds
        let processBefore = ProcessTime.nanoseconds
        var now = start
        while now < start + nanoseconds {
            let index = RaftIndex(store.startIndex.rawValue + seams.random.next(below: count))
            _ = try await store.entry(at: index)
            let end = seams.clock.monotonicNanoseconds
            latency.record(end - now)
            now = end
        }
        return row(latency.count, now - start, ProcessTime.nanoseconds - processBefore, latency)
    }

    private func row(
        _ entries: UInt64, _ nanoseconds: UInt64, _ processNanoseconds: UInt64, _ latency: LatencyHistogram
    ) -> Report.Row {
        let seconds = Double(nanoseconds) / 1e9
        return [
            ("payload_bytes", .count(UInt64(payloadBytes))), ("entries", .count(entries)),
            ("entries_per_s", .number(Double(entries) / seconds, digits: 0)),
            ("MB_per_s", .number(Double(entries) * Double(payloadBytes) / 1e6 / seconds, digits: 1)),
            ("cpu_us_each", .number(Double(processNanoseconds) / 1000 / Double(entries), digits: 2)),
        ] + latency.columns
    }
}
