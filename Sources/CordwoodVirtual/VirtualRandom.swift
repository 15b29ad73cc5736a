import CordwoodBase
public import CordwoodIO

/// A stream of numbers that is the same for the same seed and the same name.
///
/// Each concern of a world draws from a stream of its own, so that one more draw in one place changes nothing
/// elsewhere.
public final class VirtualRandom: RandomSource, RandomNumberGenerator {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    /// The stream of one concern of a world.
    public convenience init(seed: UInt64, concern: String) {
        var name = concern
        let number = name.withUTF8 { Checksum.xxh64(UnsafeRawBufferPointer($0), seed: seed) }
        self.init(seed: number)
    }

    /// SplitMix64: small, fast, and every seed is a good one.
    public func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// True in `numerator` of `denominator` cases.
    public func chance(_ numerator: UInt64, in denominator: UInt64) -> Bool { next(below: denominator) < numerator }

    /// A number of the range, both ends included.
    public func next(in range: ClosedRange<UInt64>) -> UInt64 {
        let span = range.upperBound - range.lowerBound
        return span == .max ? next() : range.lowerBound + next(below: span + 1)
    }
}
