internal import CordwoodBase
internal import CordwoodIO
internal import CordwoodLog
internal import CordwoodOptions

extension BenchCommand {
    /// How fast a log is scanned and verified when it is opened, with its files forgotten by the page cache and not.
    static let recovery = BenchCommand("recovery", "opening a log: scan and verification") { run in
        nonisolated(unsafe) let report = run.report()
        let payloads = try run.counts(BenchOptions.payload)
        let logBytes = Int(run.values[BenchOptions.logBytes])
        try run.onEachBackend { io, seams, _ in
            for payloadBytes in payloads {
                let workload = try await LogWorkload(seams, under: run.directory)
                try await workload.fill(entries: max(1, logBytes / payloadBytes), payloadBytes: payloadBytes)
                for droppingCaches in [true, false] {
                    let (nanoseconds, processNanoseconds) = try await workload.reopen(droppingCaches: droppingCaches)
                    let recovery = workload.store.recovery
                    let seconds = Double(nanoseconds) / 1e9
                    let entries = recovery.entries.upperBound.rawValue - recovery.entries.lowerBound.rawValue
                    report.add([
                        ("io", .text(io)), ("caches", .text(droppingCaches ? "dropped" : "warm")),
                        ("payload_bytes", .count(UInt64(payloadBytes))), ("entries", .count(entries)),
                        ("segments", .count(UInt64(recovery.segmentCount))),
                        ("scanned_MB", .number(Double(recovery.scannedBytes) / 1e6, digits: 1)),
                        ("seconds", .number(seconds, digits: 3)),
                        ("MB_per_s", .number(Double(recovery.scannedBytes) / 1e6 / seconds, digits: 1)),
                        ("entries_per_s", .number(Double(entries) / seconds, digits: 0)),
                        ("cpu_us_each", .number(Double(processNanoseconds) / 1000 / Double(entries), digits: 3)),
                    ])
                }
                try await workload.remove()
            }
        }
    }
}
