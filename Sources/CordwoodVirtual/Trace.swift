import CordwoodBase

/// A running hash of everything that happened in a world, in its order: two runs are the same run when it is equal.
///
/// Keeping the events themselves costs memory, so they are kept on demand, for the comparison of two runs that differ.
public final class Trace {
    public private(set) var hash: UInt64 = 0
    public private(set) var count = 0

    /// The events in words, while `keepsEvents` is set.
    public private(set) var events: [String] = []
    public var keepsEvents = false

    public init() {}

    /// Folds in an event: what happened, and two numbers that say on what.
    public func record(_ what: StaticString, _ first: UInt64 = 0, _ second: UInt64 = 0) {
        let name = what.withUTF8Buffer { Checksum.xxh64(UnsafeRawBufferPointer($0), seed: hash) }
        hash = withUnsafeBytes(of: (first.littleEndian, second.littleEndian)) { Checksum.xxh64($0, seed: name) }
        count += 1
        if keepsEvents { events.append("\(what) \(first) \(second)") }
    }
}
