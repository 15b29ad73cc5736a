internal import CordwoodIO
internal import CordwoodOptions

extension BenchCommand {
    /// Durable appends through the segmented log, and beside each figure what the device gives for writes of the same
    /// size at the same depth. The two are measured in turns, so that both meet the same mood of the device.
    static let append = BenchCommand("append", "durable appends through the log store, and the device beside them") {
        run in
        nonisolated(unsafe) let report = run.report()
        let payloads = try run.counts(BenchOptions.payload)
        let writers = try run.counts(BenchOptions.writers)
        let depth = run.values[BenchOptions.depth]
        try run.onEachBackend { io, seams, _ in
            let device = try await DeviceCeiling(seams, directory: run.directory)
            for payloadBytes in payloads {
                for writerCount in writers {
                    let point = try await AppendPoint(
                        payloadBytes: payloadBytes, writers: writerCount, depth: depth
                    ).measure(seams, device, directory: run.directory, forNanoseconds: run.timeNanoseconds)
                    report.add([("io", .text(io))] + point)
                }
            }
            try await device.close()
        }
    }
}

/// One row of `append`: a payload size and a number of writers.
struct AppendPoint {
    /// Turns that log and device take.
    private static let rounds: UInt64 = 4

    var payloadBytes: Int
    var writers: Int
    var depth: Int

    func measure(
        _ seams: Seams, _ device: DeviceCeiling, directory: String, forNanoseconds nanoseconds: UInt64
    ) async throws -> Report.Row {
        let workload = try await LogWorkload(seams, under: directory, depth: depth)
        let share = nanoseconds / AppendPoint.rounds
        // The first batches meet cold code and the making of the spare segment.
        _ = try await workload.append(writers: writers, payloadBytes: payloadBytes, forNanoseconds: share)
        var log = LogWorkload.Figures()
        var ceiling: DeviceCeiling.Figures?
        var single: DeviceCeiling.Figures?
        for _ in 0..<AppendPoint.rounds {
            let round = try await workload.append(
                writers: writers, payloadBytes: payloadBytes, forNanoseconds: share)
            log += round
            let blockBytes = max(1, (round.batchBytes + 4095) / 4096) * 4096
            let beside = try await device.measure(blockBytes: blockBytes, depth: depth, forNanoseconds: share)
            ceiling = ceiling.map { $0.merged(with: beside) } ?? beside
            let smallest = try await device.measure(blockBytes: 4096, depth: 1, forNanoseconds: share)
            single = single.map { $0.merged(with: smallest) } ?? smallest
        }
        try await workload.remove()
        guard let ceiling, let single else { return [] }
        let p50 = Double(log.latency.percentileNanoseconds(0.5))
        return [
            ("payload_bytes", .count(UInt64(payloadBytes))), ("writers", .count(UInt64(writers))),
            ("depth", .count(UInt64(depth))), ("appends_per_s", .number(log.entriesPerSecond, digits: 0)),
            ("MB_per_s", .number(log.megabytesPerSecond, digits: 1)),
        ] + log.latency.columns + [
            ("syncs_per_s", .number(log.syncsPerSecond, digits: 0)),
            ("batch_bytes", .count(UInt64(log.batchBytes))),
            ("bytes_per_payload_byte", .number(log.bytesPerPayloadByte, digits: 2)),
            ("cpu_us_each", .number(log.processMicrosecondsEach, digits: 2)),
            ("device_writes_per_s", .number(ceiling.writesPerSecond, digits: 0)),
            ("of_device", .number(log.batchesPerSecond / ceiling.writesPerSecond, digits: 2)),
            ("p50_of_device_4KiB", .number(p50 / Double(single.latency.percentileNanoseconds(0.5)), digits: 2)),
        ]
    }
}
