internal import CordwoodBase

/// A growing column of plain values that never moves more than one chunk when it grows.
///
/// Chunks hold 2^`chunkShift` elements. The first one starts small and doubles, so that a partition with few events
/// costs little; from then on whole chunks are added. A position names an element for good.
final class ChunkedBuffer<Element: BitwiseCopyable> {
    private let chunkShift: Int
    private let chunkMask: Int
    private var chunks: [UnsafeMutablePointer<Element>] = []
    /// Elements for which the last chunk has memory.
    private var lastCapacity = 0
    /// Elements in use, the gaps that `allocate` left included.
    private(set) var count = 0

    /// - Parameter chunkShift: binary logarithm of the elements a chunk.
    init(chunkShift: Int) {
        self.chunkShift = chunkShift
        chunkMask = 1 << chunkShift - 1
    }

    deinit {
        for chunk in chunks { chunk.deallocate() }
    }

    /// Bytes of memory taken.
    var allocatedBytes: Int {
        guard !chunks.isEmpty else { return 0 }
        return ((chunks.count - 1) << chunkShift + lastCapacity) * MemoryLayout<Element>.stride
    }

    @inline(__always)
    subscript(position: Int) -> Element {
        get { pointer(at: position).pointee }
        set { pointer(at: position).pointee = newValue }
    }

    /// The element's address; the rest of its chunk lies behind it. Valid until the next growth.
    @inline(__always)
    func pointer(at position: Int) -> UnsafeMutablePointer<Element> {
        invariant(position >= 0 && position < count, "element \(position) of \(count)")
        return chunks[position >> chunkShift] + position & chunkMask
    }

    @inline(__always)
    func append(_ element: Element) {
        let position = allocate(1)
        chunks[position >> chunkShift][position & chunkMask] = element
    }

    /// Takes `length` elements that lie in one chunk, uninitialised, and returns the position of the first. What is
    /// left of a chunk that is too small for them stays unused.
    func allocate(_ length: Int) -> Int {
        let chunkSize = chunkMask + 1
        invariant(length > 0 && length <= chunkSize, "\(length) elements of a chunk of \(chunkSize)")
        var used = chunks.isEmpty ? chunkSize : count - (chunks.count - 1) << chunkShift
        if chunkSize - used < length {
            if !chunks.isEmpty, lastCapacity < chunkSize { growLast(to: chunkSize, used: used) }
            let first = chunks.isEmpty
            lastCapacity = first ? min(chunkSize, max(length, 8)) : chunkSize
            count = chunks.count << chunkShift
            chunks.append(.allocate(capacity: lastCapacity))
            used = 0
        } else if lastCapacity - used < length {
            growLast(to: min(chunkSize, max(lastCapacity * 2, used + length)), used: used)
        }
        let position = count
        count += length
        return position
    }

    private func growLast(to capacity: Int, used: Int) {
        let grown = UnsafeMutablePointer<Element>.allocate(capacity: capacity)
        grown.update(from: chunks[chunks.count - 1], count: used)
        chunks[chunks.count - 1].deallocate()
        chunks[chunks.count - 1] = grown
        lastCapacity = capacity
    }
}
