internal import CordwoodBase
internal import CordwoodIO
internal import CordwoodLog
internal import CordwoodOptions

extension BenchCommand {
    /// How fast a log is scanned and verified when it is opened, which reads past the caches, with its files forgotten
    /// by the page cache first and not; and how fast it is scanned where the page cache holds it.
    static let recovery = BenchCommand("recovery", "opening a log: scan and verification") { run in
        nonisolated(unsafe) let report = run.report()
        try run.onEachLog { io, _, workload, payloadBytes in
            func add(_ source: String, _ figures: LogWorkload.Reading) {
                let recovery = workload.store.recovery
                let entries = recovery.entries.upperBound.rawValue - recovery.entries.lowerBound.rawValue
                let seconds = Double(figures.nanoseconds) / 1e9
                report.add([
                    ("io", .text(io)), ("read", .text(source)),
                    ("payload_bytes", .count(UInt64(payloadBytes))), ("entries", .count(entries)),
                    ("segments", .count(UInt64(recovery.segmentCount))),
                    ("scanned_MB", .number(Double(figures.bytes) / 1e6, digits: 1)),
                    ("seconds", .number(seconds, digits: 3)),
                    ("MB_per_s", .number(Double(figures.bytes) / 1e6 / seconds, digits: 1)),
                    ("entries_per_s", .number(Double(entries) / seconds, digits: 0)),
                    (
                        "cpu_us_each",
                        .number(Double(figures.processNanoseconds) / 1000 / Double(entries), digits: 3)
                    ),
                ])
            }
            for droppingCaches in [true, false] {
                let reading = try await workload.reopen(droppingCaches: droppingCaches)
                add(droppingCaches ? "dropped" : "device", reading)
            }
            add("page cache", try await workload.scan())
        }
    }
}
