/// Sizes and durations as people write them: a whole number and a unit.
public enum Quantity {
    private static let sizeUnits: [(name: String, bytes: UInt64)] = [
        ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1),
    ]

    private static let durationUnits: [(name: String, nanoseconds: UInt64)] = [
        ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000),
        ("ms", 1_000_000), ("us", 1_000), ("ns", 1),
    ]

    /// Bytes: `64MiB`, `512KiB`; a number without a unit counts bytes. `nil` when the text is no size or overflows.
    public static func size(_ text: String) -> UInt64? {
        value(text, units: sizeUnits.map { ($0.name, $0.bytes) }, bare: 1)
    }

    /// Nanoseconds: `150ms`, `8s`; only 0 needs no unit. `nil` when the text is no duration or overflows.
    public static func duration(_ text: String) -> UInt64? {
        text == "0" ? 0 : value(text, units: durationUnits.map { ($0.name, $0.nanoseconds) }, bare: nil)
    }

    /// The size in the largest unit that gives a whole number.
    public static func sizeText(_ bytes: UInt64) -> String {
        let unit = sizeUnits.first { bytes >= $0.bytes && bytes % $0.bytes == 0 }
        return unit.map { "\(bytes / $0.bytes)\($0.name)" } ?? "0"
    }

    /// The duration in the largest unit that gives a whole number.
    public static func durationText(_ nanoseconds: UInt64) -> String {
        let unit = durationUnits.first { nanoseconds >= $0.nanoseconds && nanoseconds % $0.nanoseconds == 0 }
        return unit.map { "\(nanoseconds / $0.nanoseconds)\($0.name)" } ?? "0"
    }

    private static func value(_ text: String, units: [(String, UInt64)], bare: UInt64?) -> UInt64? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = UInt64(digits) else { return nil }
        let suffix = text.dropFirst(digits.count)
        guard let scale = suffix.isEmpty ? bare : units.first(where: { $0.0 == suffix })?.1 else { return nil }
        let (product, overflowed) = number.multipliedReportingOverflow(by: scale)
        return overflowed ? nil : product
    }
}
