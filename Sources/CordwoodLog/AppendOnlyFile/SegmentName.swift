internal import CordwoodBase

/// The name of a segment's file: prefix, segment id and incarnation, 16 hexadecimal digits each. A hint; what the
/// header says is the truth.
public struct SegmentName: Hashable, Sendable, CustomStringConvertible {
    public var prefix: String
    public var segment: SegmentID
    public var incarnation: SegmentIncarnation

    public static let suffix = ".seg"

    public init(prefix: String = "", segment: SegmentID, incarnation: SegmentIncarnation) {
        self.prefix = prefix
        self.segment = segment
        self.incarnation = incarnation
    }

    /// `nil` when the name is not one of a segment with this prefix.
    public init?(_ name: String, prefix: String = "") {
        guard name.hasPrefix(prefix), name.hasSuffix(Self.suffix) else { return nil }
        let parts = name.dropFirst(prefix.count).dropLast(Self.suffix.count).split(
            separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let id = Self.number(parts[0]), let incarnation = Self.number(parts[1]), id != 0 else {
            return nil
        }
        self.init(prefix: prefix, segment: SegmentID(id), incarnation: SegmentIncarnation(incarnation))
    }

    public var description: String {
        prefix + hexadecimal(segment.rawValue) + "-" + hexadecimal(incarnation.rawValue) + Self.suffix
    }

    /// 16 lower-case hexadecimal digits.
    static func number(_ digits: some StringProtocol) -> UInt64? {
        guard digits.utf8.count == 16, !digits.contains("+"), digits.lowercased() == String(digits) else { return nil }
        return UInt64(digits, radix: 16)
    }
}
