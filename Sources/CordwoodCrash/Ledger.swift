import CordwoodBase
public import CordwoodIO
import Glibc

/// What lives that were killed have told: a file of lines, each written with one system call before the next thing is
/// done, so that a kill leaves all of them, the last one perhaps in part.
///
///     life SEED          a life begins; what it does is drawn from the seed
///     begun N            its operation N is about to be asked for
///     done N...          it is acknowledged; the numbers behind N say how
///     refused N          it was turned down, and is not done
///     failed             the store said that it can do no more
///     found N...         what the next opening found of it
///
/// The file lies apart from what is put to the test.
public final class Ledger {
    /// One life, as far as it is told.
    public struct Life: Hashable, Sendable {
        public var seed: UInt64
        /// Operations begun.
        public var begun = 0
        /// The numbers of each line that acknowledges.
        public var acknowledgements: [[UInt64]] = []
        /// Operations that were turned down.
        public var refused = Set<Int>()
        public var hasFailed = false
        /// An acknowledgement stands behind the failure.
        public var acknowledgedAfterFailure = false
        /// What was found of it later; nil while nobody has looked.
        public var found: [UInt64]?

        /// The highest operation that is acknowledged.
        public var acknowledged: Int { acknowledgements.map { Int($0.first ?? 0) }.max() ?? 0 }
    }

    public private(set) var lives: [Life] = []
    private let descriptor: Int32
    /// Called before each line; a harness ends the process there.
    var beforeLine: (String) -> Void = { _ in }
    /// Gives each acknowledgement one number more.
    var stamp: (() -> UInt64)?

    /// Opens the ledger at a path and reads what it tells, or begins one. One that another process writes is only
    /// watched.
    public init(path: String, isWatched: Bool = false) throws(IOError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw IOError(.other, operation: "open", subject: path, errorNumber: errno)
        }
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = pread(descriptor, &chunk, chunk.count, off_t(text.count)), count > 0 {
            text.append(contentsOf: chunk.prefix(count))
        }
        // A line without its end was being told when the kill came: what it speaks of has not happened.
        let whole = text.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        if whole < text.count, !isWatched { ftruncate(descriptor, off_t(whole)) }
        for line in text[..<whole].split(separator: UInt8(ascii: "\n")) {
            take(String(decoding: line, as: UTF8.self).split(separator: " "))
        }
    }

    deinit { close(descriptor) }

    private func take(_ words: [Substring]) {
        let numbers = words.dropFirst().compactMap { UInt64($0) }
        guard let word = words.first else { return }
        if word == "life", let seed = numbers.first {
            lives.append(Life(seed: seed))
        } else if let last = lives.indices.last {
            switch word {
            case "begun": lives[last].begun = max(lives[last].begun, numbers.first.map { Int($0) } ?? 0)
            case "done":
                lives[last].acknowledgements.append(numbers)
                if lives[last].hasFailed { lives[last].acknowledgedAfterFailure = true }
            case "refused": lives[last].refused.formUnion(numbers.map { Int($0) })
            case "failed": lives[last].hasFailed = true
            case "found": lives[last].found = numbers
            default: break
            }
        }
    }

    // MARK: Telling

    public func begin(lifeOf seed: UInt64) { tell("life", [seed]) }
    public func begun(_ number: Int) { tell("begun", [UInt64(number)]) }
    public func acknowledged(_ number: Int, _ how: [UInt64] = []) {
        tell("done", [UInt64(number)] + how + (stamp.map { [$0()] } ?? []))
    }

    /// The operation was turned down, and is not done.
    public func refused(_ number: Int) { tell("refused", [UInt64(number)]) }
    public func failed() { tell("failed", []) }
    public func found(_ numbers: [UInt64]) { tell("found", numbers) }

    private func tell(_ word: String, _ numbers: [UInt64]) {
        beforeLine(word)
        let words = [word] + numbers.map(String.init)
        take(words.map { $0[...] })
        put(Array((words.joined(separator: " ") + "\n").utf8))
    }

    private func put(_ bytes: [UInt8]) {
        invariant(write(descriptor, bytes, bytes.count) == bytes.count, "ledger: errno \(errno)")
    }
}
