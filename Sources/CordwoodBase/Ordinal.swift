/// A 64-bit number of one kind: an index, a term, an identifier.
///
/// Each kind is a type of its own, so that a partition log index cannot be passed where a Raft index is meant.
/// Arithmetic traps on overflow; values from outside are checked before they become an `Ordinal`.
public protocol Ordinal: RawRepresentable<UInt64>, Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral,
    CustomStringConvertible, Strideable
{
    var rawValue: UInt64 { get }
    init(rawValue: UInt64)
}

extension Ordinal {
    @inlinable
    public init(_ value: UInt64) { self.init(rawValue: value) }

    @inlinable
    public init(integerLiteral value: UInt64) { self.init(rawValue: value) }

    @inlinable
    public var next: Self { Self(rawValue: rawValue + 1) }

    /// The number before this one. Traps at zero.
    @inlinable
    public var previous: Self { Self(rawValue: rawValue - 1) }

    public var description: String { String(rawValue) }

    @inlinable
    public func distance(to other: Self) -> Int {
        other.rawValue >= rawValue ? Int(other.rawValue - rawValue) : -Int(rawValue - other.rawValue)
    }

    @inlinable
    public func advanced(by n: Int) -> Self {
        n >= 0 ? Self(rawValue: rawValue + UInt64(n)) : Self(rawValue: rawValue - UInt64(n.magnitude))
    }

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    @inlinable
    public static func == (left: Self, right: Self) -> Bool { left.rawValue == right.rawValue }

    @inlinable
    public static func + (left: Self, right: UInt64) -> Self { Self(rawValue: left.rawValue + right) }

    @inlinable
    public static func - (left: Self, right: UInt64) -> Self { Self(rawValue: left.rawValue - right) }

    /// The distance between two numbers of one kind. Traps when `right` is the larger one.
    @inlinable
    public static func - (left: Self, right: Self) -> UInt64 { left.rawValue - right.rawValue }

    @inlinable
    public static func += (left: inout Self, right: UInt64) { left = left + right }
}
