internal import CordwoodIO

extension BenchCommand {
    /// Durable writes of growing blocks, one to four at a time.
    static let device = BenchCommand("device", "the device's own ceiling for durable writes") { run in
        let report = run.report()
        nonisolated(unsafe) let rows = report
        try run.onEachBackend { io, seams, _ in
            let ceiling = try await DeviceCeiling(seams, directory: run.directory)
            for blockBytes in [4096, 16384, 65536, 262144] {
                for depth in 1...4 {
                    let figures = try await ceiling.measure(
                        blockBytes: blockBytes, depth: depth, forNanoseconds: run.timeNanoseconds)
                    rows.add(
                        [
                            ("io", .text(io)), ("direct", .text(ceiling.isDirect ? "yes" : "no")),
                            ("block_bytes", .count(UInt64(blockBytes))), ("depth", .count(UInt64(depth))),
                            ("writes_per_s", .number(figures.writesPerSecond, digits: 0)),
                            ("MB_per_s", .number(figures.megabytesPerSecond, digits: 1)),
                        ] + figures.latency.columns)
                }
            }
            try await ceiling.close()
        }
    }
}
