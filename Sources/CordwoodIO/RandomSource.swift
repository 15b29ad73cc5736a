/// Where randomness comes from: the system in production, a seed in tests.
public protocol RandomSource: AnyObject {
    func next() -> UInt64
}

extension RandomSource {
    /// A number below `bound`, which must not be 0; the bias is below 2^-32 for bounds below 2^32.
    public func next(below bound: UInt64) -> UInt64 { next().multipliedFullWidth(by: bound).high }
}
