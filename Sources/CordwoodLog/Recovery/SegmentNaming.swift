internal import CordwoodBase

/// How the files of a stream are named. Names are hints; headers are the truth.
public enum SegmentNaming: Hashable, Sendable {
    /// As `SegmentName`.
    case segmented
    /// As `PartitionFileName`.
    case partition

    /// The segment that a file stands for; `nil` when the name is not one of the stream with this prefix.
    func parse(_ name: String, prefix: String) -> SegmentName? {
        switch self {
        case .segmented: return SegmentName(name, prefix: prefix)
        case .partition:
            guard name.hasPrefix(prefix), let file = PartitionFileName(name) else { return nil }
            return SegmentName(prefix: prefix, segment: file.segment, incarnation: 0)
        }
    }
}
