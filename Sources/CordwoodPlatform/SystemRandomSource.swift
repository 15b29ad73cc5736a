internal import CordwoodIO

/// The system's own randomness.
final class SystemRandomSource: RandomSource {
    private var generator = SystemRandomNumberGenerator()

    func next() -> UInt64 { generator.next() }
}
