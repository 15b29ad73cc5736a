import CordwoodEvents
import CordwoodIO

/// Draws event ids: time and partition hash from the caller, the rest from xoshiro256** seeded once from the seam, so
/// that an id costs no system call.
struct EventIDSource {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    init(random: any RandomSource) {
        // A state of nothing but zeros would stay that way.
        state = (random.next() | 1, random.next(), random.next(), random.next())
    }

    mutating func next(milliseconds: UInt64, under key: PartitionKey) -> EventID {
        EventID(milliseconds: milliseconds, partitionHash: key.hash, random: draw())
    }

    private mutating func draw() -> UInt64 {
        let result = rotated(state.1 &* 5, by: 7) &* 9
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = rotated(state.3, by: 45)
        return result
    }

    private func rotated(_ value: UInt64, by count: UInt64) -> UInt64 { value << count | value >> (64 - count) }
}
