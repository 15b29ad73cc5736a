/// The bytes of an answer. Most answers are short, and a short one lies in the value itself: an apply that answers
/// shortly allocates nothing.
struct AnswerBytes: Sendable, Hashable {
    static let shortCount = 48

    private typealias Words = (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)

    /// The bytes of a short answer, zeros behind them.
    private var words: Words = (0, 0, 0, 0, 0, 0)
    private var count: Int
    /// The bytes of a longer one.
    private var long: [UInt8]?

    init(_ bytes: UnsafeRawBufferPointer) {
        count = bytes.count
        if count > Self.shortCount {
            long = [UInt8](bytes)
        } else {
            withUnsafeMutableBytes(of: &words) { $0.copyMemory(from: bytes) }
        }
    }

    init(_ bytes: [UInt8]) {
        self = bytes.withUnsafeBytes { AnswerBytes($0) }
        if bytes.count > Self.shortCount { long = bytes }
    }

    func withUnsafeBytes<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        if let long { return long.withUnsafeBytes(body) }
        return Swift.withUnsafeBytes(of: words) { body(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }

    var array: [UInt8] { long ?? withUnsafeBytes { [UInt8]($0) } }

    static func == (left: AnswerBytes, right: AnswerBytes) -> Bool {
        left.words == right.words && left.count == right.count && left.long == right.long
    }

    func hash(into hasher: inout Hasher) { withUnsafeBytes { hasher.combine(bytes: $0) } }
}
