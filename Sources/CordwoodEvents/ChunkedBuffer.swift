internal import CordwoodBase

/// A growing column of plain values that never moves more than one chunk when it grows.
///
/// Chunks hold 2^`chunkShift` elements. The first one starts small and doubles, so that a partition with few events
/// costs little; from then on whole chunks are added. A position names an element for good.
struct ChunkedBuffer<Element: BitwiseCopyable>: ~Copyable {
    private let chunkShift: Int
    private let chunkMask: Int
    /// Memory of `chunkCount` chunks, room for the addresses of `chunkCapacity`.
    private var chunks: UnsafeMutablePointer<UnsafeMutablePointer<Element>>
    private var chunkCount = 0
    private var chunkCapacity = 1
    /// Position behind the last element for which there is memory.
    private var end = 0
    /// Elements in use, the gaps that `allocate` left included.
    private(set) var count = 0

    /// - Parameter chunkShift: binary logarithm of the elements a chunk.
    init(chunkShift: Int) {
        self.chunkShift = chunkShift
        chunkMask = 1 << chunkShift - 1
        chunks = .allocate(capacity: 1)
    }

    deinit {
        for number in 0..<chunkCount { chunks[number].deallocate() }
        chunks.deallocate()
    }

    /// Bytes of memory taken.
    var allocatedBytes: Int { end * MemoryLayout<Element>.stride + chunkCapacity * 8 }

    @inline(__always)
    subscript(position: Int) -> Element {
        get { pointer(at: position).pointee }
        nonmutating set { pointer(at: position).pointee = newValue }
    }

    /// The element's address; the rest of its chunk lies behind it. Valid until the next growth.
    @inline(__always)
    func pointer(at position: Int) -> UnsafeMutablePointer<Element> {
        invariant(position >= 0 && position < count, "element \(position) of \(count)")
        return chunks[position >> chunkShift] + position & chunkMask
    }

    @inline(__always)
    mutating func append(_ element: Element) {
        let position = count < end ? count : allocate(1)
        count = position + 1
        chunks[position >> chunkShift][position & chunkMask] = element
    }

    /// Takes `length` elements that lie in one chunk, uninitialised, and returns the position of the first. What is
    /// left of a chunk that is too small for them stays unused.
    mutating func allocate(_ length: Int) -> Int {
        let chunkSize = chunkMask + 1
        invariant(length > 0 && length <= chunkSize, "\(length) elements of a chunk of \(chunkSize)")
        if count & chunkMask + length > chunkSize {
            if count < end { growLast(to: chunkSize) }
            count = chunkCount << chunkShift
        }
        if count + length > end {
            if count == chunkCount << chunkShift {
                addChunk(capacity: chunkCount == 0 ? min(chunkSize, max(length, 8)) : chunkSize)
            } else {
                let lastCapacity = end & chunkMask
                growLast(to: min(chunkSize, max(lastCapacity * 2, count & chunkMask + length)))
            }
        }
        let position = count
        count += length
        return position
    }

    private mutating func addChunk(capacity: Int) {
        if chunkCount == chunkCapacity {
            let grown = UnsafeMutablePointer<UnsafeMutablePointer<Element>>.allocate(capacity: chunkCapacity * 2)
            grown.update(from: chunks, count: chunkCount)
            chunks.deallocate()
            chunks = grown
            chunkCapacity *= 2
        }
        chunks[chunkCount] = .allocate(capacity: capacity)
        end = chunkCount << chunkShift + capacity
        chunkCount += 1
    }

    /// Gives the last chunk, which is not of full size, memory for more elements.
    private mutating func growLast(to capacity: Int) {
        let start = (chunkCount - 1) << chunkShift
        let grown = UnsafeMutablePointer<Element>.allocate(capacity: capacity)
        grown.update(from: chunks[chunkCount - 1], count: count - start)
        chunks[chunkCount - 1].deallocate()
        chunks[chunkCount - 1] = grown
        end = start + capacity
    }
}
