/// Durations in nanoseconds, counted in buckets of about 3 % width, so that millions cost a few kilobytes and
/// percentiles need no sorting.
struct LatencyHistogram: Sendable {
    /// Buckets a power of two.
    private static let steps = 32
    private static let stepBits = 5

    private var buckets = [UInt64](repeating: 0, count: 60 * LatencyHistogram.steps)
    private(set) var count: UInt64 = 0
    private(set) var sumNanoseconds: UInt64 = 0

    mutating func record(_ nanoseconds: UInt64) {
        buckets[LatencyHistogram.bucket(nanoseconds)] += 1
        count += 1
        sumNanoseconds += nanoseconds
    }

    /// Takes over what another one has counted.
    mutating func add(_ other: LatencyHistogram) {
        for index in buckets.indices { buckets[index] += other.buckets[index] }
        count += other.count
        sumNanoseconds += other.sumNanoseconds
    }

    var meanNanoseconds: Double { count == 0 ? 0 : Double(sumNanoseconds) / Double(count) }

    /// The duration that this share of all, 0 to 1, did not exceed.
    func percentileNanoseconds(_ share: Double) -> UInt64 {
        let rank = max(1, UInt64((Double(count) * share).rounded(.up)))
        var seen: UInt64 = 0
        for (index, bucket) in buckets.enumerated() {
            seen += bucket
            if seen >= rank { return LatencyHistogram.middle(of: index) }
        }
        return 0
    }

    /// p50, p99 and p99.9 in microseconds, as columns.
    var columns: Report.Row {
        [("p50_us", 0.5), ("p99_us", 0.99), ("p99.9_us", 0.999)].map { name, share in
            (name, .number(Double(percentileNanoseconds(share)) / 1000, digits: 1))
        }
    }

    private static func bucket(_ nanoseconds: UInt64) -> Int {
        guard nanoseconds >= UInt64(steps) else { return Int(nanoseconds) }
        let exponent = 63 - nanoseconds.leadingZeroBitCount
        let step = Int(nanoseconds >> UInt64(exponent - stepBits)) & (steps - 1)
        return (exponent - stepBits + 1) * steps + step
    }

    private static func middle(of bucket: Int) -> UInt64 {
        guard bucket >= steps else { return UInt64(bucket) }
        let shift = UInt64(bucket / steps - 1)
        let low = UInt64(steps + bucket % steps) << shift
        return low + (1 << shift) / 2
    }
}
