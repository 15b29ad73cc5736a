public import CordwoodBase

/// The name of a partition log's file: partition in 5 decimal digits, segment in 10.
public struct PartitionFileName: Hashable, Sendable, CustomStringConvertible {
    public var partition: PartitionID
    public var segment: SegmentID

    public static let suffix = ".log"

    public init(partition: PartitionID, segment: SegmentID) {
        self.partition = partition
        self.segment = segment
    }

    /// `nil` when the name is not one of a partition log.
    public init?(_ name: String) {
        guard name.hasSuffix(Self.suffix) else { return nil }
        let parts = name.dropLast(Self.suffix.count).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let partition = Self.number(parts[0]), let segment = Self.number(parts[1]),
            partition < LogFormat.maximumPartitions, segment > 0
        else { return nil }
        self.init(partition: PartitionID(partition), segment: SegmentID(segment))
    }

    /// What the names of all files of a partition begin with.
    public static func prefix(of partition: PartitionID) -> String { padded(partition.rawValue, 5) + "-" }

    public var description: String { Self.prefix(of: partition) + Self.padded(segment.rawValue, 10) + Self.suffix }

    private static func number(_ digits: Substring) -> UInt64? {
        digits.utf8.allSatisfy { (48...57).contains($0) } ? UInt64(digits) : nil
    }

    private static func padded(_ number: UInt64, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}
