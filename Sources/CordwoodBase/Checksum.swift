internal import CXXHash

/// A 128-bit chain value: of Raft entries (equal on all replicas with equal prefixes) or of one partition's slices.
@frozen
public struct ChainValue: Hashable, Sendable, CustomStringConvertible {
    public let high: UInt64
    public let low: UInt64

    @inlinable
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The chain before the first entry.
    public static let zero = ChainValue(high: 0, low: 0)

    public var description: String { hexadecimal(high) + hexadecimal(low) }
}

/// The hash functions of the engine: XXH3 for what is checked, XXH64 for what must be spread the same way everywhere.
/// Swift's `Hasher` is seeded per process and decides nothing that is stored or shared.
public enum Checksum {
    /// XXH3, 64 bit, with a seed.
    public static func xxh3(_ bytes: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
        cxxhash_xxh3(bytes.baseAddress, bytes.count, seed)
    }

    /// XXH3, 128 bit, with a seed.
    public static func xxh3Wide(_ bytes: UnsafeRawBufferPointer, seed: UInt64) -> ChainValue {
        let hash = cxxhash_xxh3_wide(bytes.baseAddress, bytes.count, seed)
        return ChainValue(high: hash.high64, low: hash.low64)
    }

    /// XXH64, with a seed.
    public static func xxh64(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
        XXH64(bytes.baseAddress, bytes.count, seed)
    }

    /// XXH64 of a number's 8 little-endian bytes, seed 0: the hash behind automatic masters.
    public static func xxh64(of value: UInt64) -> UInt64 {
        withUnsafeBytes(of: value.littleEndian) { xxh64($0) }
    }
}
