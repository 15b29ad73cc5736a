/// A pattern as CONFIG GET takes it: `*` any run, `?` any byte, `[a-z]` and `[^a-z]` sets, `\` the next byte as it is.
struct GlobPattern {
    private let pattern: [UInt8]

    init(_ bytes: UnsafeRawBufferPointer) { pattern = Array(bytes) }

    init(_ text: String) { pattern = Array(text.utf8) }

    /// True when the pattern covers all of `text`.
    func matches(_ text: String) -> Bool {
        let text = Array(text.utf8)
        var at = 0
        var position = 0
        // Where to go on when a star has to take one byte more.
        var retry: (at: Int, position: Int)?
        while position < text.count {
            if at < pattern.count, pattern[at] == UInt8(ascii: "*") {
                at += 1
                retry = (at, position)
            } else if let next = step(at, text[position]) {
                at = next
                position += 1
            } else if let (star, start) = retry {
                at = star
                position = start + 1
                retry = (star, position)
            } else {
                return false
            }
        }
        while at < pattern.count, pattern[at] == UInt8(ascii: "*") { at += 1 }
        return at == pattern.count
    }

    /// The place behind the element at `at` when that element takes this byte.
    private func step(_ at: Int, _ byte: UInt8) -> Int? {
        guard at < pattern.count else { return nil }
        switch pattern[at] {
        case UInt8(ascii: "?"): return at + 1
        case UInt8(ascii: "["): return set(at + 1, byte)
        case UInt8(ascii: "\\") where at + 1 < pattern.count: return pattern[at + 1] == byte ? at + 2 : nil
        default: return pattern[at] == byte ? at + 1 : nil
        }
    }

    private func set(_ start: Int, _ byte: UInt8) -> Int? {
        var at = start
        let isNegated = at < pattern.count && pattern[at] == UInt8(ascii: "^")
        if isNegated { at += 1 }
        var isMember = false
        while at < pattern.count, pattern[at] != UInt8(ascii: "]") {
            if at + 2 < pattern.count, pattern[at + 1] == UInt8(ascii: "-"), pattern[at + 2] != UInt8(ascii: "]") {
                let low = min(pattern[at], pattern[at + 2])
                let high = max(pattern[at], pattern[at + 2])
                if byte >= low && byte <= high { isMember = true }
                at += 3
            } else {
                if pattern[at] == byte { isMember = true }
                at += 1
            }
        }
        return isMember != isNegated ? min(at + 1, pattern.count) : nil
    }
}
