internal import CordwoodBase
internal import CordwoodIO

/// What the device gives to whoever writes durably, one write after another into blocks that were written before: the
/// best case of a log, and the measure beside which a log's own figures stand.
final class DeviceCeiling {
    /// What was measured at one block size and depth.
    struct Figures: Sendable {
        var blockBytes: Int
        var depth: Int
        var nanoseconds: UInt64
        var latency: LatencyHistogram

        var writesPerSecond: Double { Double(latency.count) / (Double(nanoseconds) / 1e9) }
        var megabytesPerSecond: Double { writesPerSecond * Double(blockBytes) / 1e6 }

        /// Both measurements as one.
        func merged(with other: Figures) -> Figures {
            var merged = self
            merged.nanoseconds += other.nanoseconds
            merged.latency.add(other.latency)
            return merged
        }
    }

    private static let fileBytes = 64 << 20
    private static let fillBytes = 1 << 20

    private let seams: Seams
    private let path: String
    private let file: any File
    private var nextOffset: UInt64 = 0

    var isDirect: Bool { file.isDirect }

    /// Makes a file of the size of a segment in `directory` and fills it with zeros, past the page cache.
    init(_ seams: Seams, directory: String) async throws(IOError) {
        self.seams = seams
        path = "\(directory)/cordwood-bench-device-\(seams.random.next())"
        file = try await seams.files.open(path, FileMode(.mustCreate, writable: true, direct: true))
        try await file.resize(UInt64(DeviceCeiling.fileBytes))
        let zeros = IOBuffer(count: DeviceCeiling.fillBytes)
        zeros.bytes.initializeMemory(as: UInt8.self, repeating: 0)
        for offset in stride(from: 0, to: DeviceCeiling.fileBytes, by: DeviceCeiling.fillBytes) {
            try await file.write(zeros, 0..<zeros.count, at: UInt64(offset), durable: false)
        }
        try await file.sync()
    }

    /// Writes blocks of `blockBytes`, `depth` of them at a time, for `nanoseconds`.
    func measure(blockBytes: Int, depth: Int, forNanoseconds nanoseconds: UInt64) async throws(IOError) -> Figures {
        invariant(depth > 0 && blockBytes > 0 && blockBytes <= DeviceCeiling.fileBytes, "\(depth) of \(blockBytes)")
        let clock = seams.clock
        let start = clock.monotonicNanoseconds
        let measurement = Measurement(left: depth)
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
            for number in 0..<depth {
                seams.scheduler.spawn("device-\(number)") {
                    await self.write(blockBytes, until: start + nanoseconds, measurement)
                    measurement.left -= 1
                    if measurement.left == 0 { continuation.resume() }
                }
            }
        }
        if let failure = measurement.failure { throw failure }
        return Figures(
            blockBytes: blockBytes, depth: depth, nanoseconds: clock.monotonicNanoseconds - start,
            latency: measurement.latency)
    }

    func close() async throws(IOError) {
        await file.close()
        try await seams.files.remove(path)
    }

    private final class Measurement {
        var left: Int
        var latency = LatencyHistogram()
        var failure: IOError?

        init(left: Int) { self.left = left }
    }

    private func write(_ blockBytes: Int, until deadline: UInt64, _ measurement: Measurement) async {
        let block = IOBuffer(count: blockBytes)
        block.bytes.initializeMemory(as: UInt8.self, repeating: 0xC0)
        var now = seams.clock.monotonicNanoseconds
        while now < deadline, measurement.failure == nil {
            do throws(IOError) {
                try await file.write(block, 0..<blockBytes, at: takeOffset(blockBytes), durable: true)
            } catch {
                measurement.failure = error
                return
            }
            let end = seams.clock.monotonicNanoseconds
            measurement.latency.record(end - now)
            now = end
        }
    }

    private func takeOffset(_ blockBytes: Int) -> UInt64 {
        if nextOffset + UInt64(blockBytes) > UInt64(DeviceCeiling.fileBytes) { nextOffset = 0 }
        defer { nextOffset += UInt64(blockBytes) }
        return nextOffset
    }
}
