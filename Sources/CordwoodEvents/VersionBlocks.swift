internal import CProcessor
internal import CordwoodBase

/// The events of one stream by version, as `VersionBlocks` keeps them.
struct VersionList {
    var count: UInt32 = 0
    /// With one event its sequence, with more the position of the newest block.
    var tail: UInt32 = 0
}

/// The sequences of all streams' events, each stream's in order of version, in blocks of one shared arena.
///
/// A stream with one event needs no block. With more it has a chain of blocks of 8, 16, ... up to 1024 words, so that a
/// block's depth in the chain and the first version in it follow from each other. Two words head a block: the position
/// of the block before it, and that of the block at its depth with the lowest set bit cleared. By these any version and
/// any sequence is found in few steps from the newest block, and nothing is ever moved.
struct VersionBlocks: ~Copyable {
    private static let headWords = 2
    private static let smallestShift = 3
    private static let largestShift = 10
    /// Depth from which on all blocks are of the largest size.
    private static let levelDepth = UInt32(largestShift - smallestShift)

    private var words = ChunkedBuffer<UInt32>(chunkShift: 14)

    var allocatedBytes: Int { words.allocatedBytes }

    /// True when there is room for this many more blocks of any size, unused ends of chunks included.
    func hasRoom(forBlocks count: Int) -> Bool {
        words.count + (count + 1) << (Self.largestShift + 1) < Int(UInt32.max)
    }

    @inline(__always)
    mutating func append(_ sequence: UInt32, to list: inout VersionList) {
        let version = list.count
        list.count += 1
        if version == 0 {
            list.tail = sequence
            return
        }
        if version == 1 {
            let first = list.tail
            list.tail = newBlock(depth: 0, previous: 0, jump: 0)
            words[Int(list.tail) + Self.headWords] = first
        }
        let depth = Self.depth(of: version)
        let start = Self.firstVersion(atDepth: depth)
        if version == start {
            let jump = block(atDepth: depth & (depth - 1), from: list.tail, depth: depth - 1)
            list.tail = newBlock(depth: depth, previous: list.tail, jump: jump)
        }
        words[Int(list.tail) + Self.headWords + Int(version - start)] = sequence
    }

    /// Lets the memory come into which the list's next sequence goes.
    @inline(__always)
    func prefetchEnd(of list: VersionList) {
        guard list.count > 1 else { return }
        let start = Self.firstVersion(atDepth: Self.depth(of: list.count - 1))
        cprocessor_prefetch(words.pointer(at: Int(list.tail)) + Self.headWords + Int(list.count - start))
    }

    /// Events of the list with a sequence below `bound`.
    func count(of list: VersionList, below bound: UInt32) -> UInt32 {
        if list.count == 0 { return 0 }
        if list.count == 1 { return list.tail < bound ? 1 : 0 }
        var depth = Self.depth(of: list.count - 1)
        var position = list.tail
        var end = list.count
        while words[Int(position) + Self.headWords] >= bound {
            if depth == 0 { return 0 }
            let jump = words[Int(position) + 1]
            if words[Int(jump) + Self.headWords] >= bound {
                position = jump
                depth &= depth - 1
            } else {
                position = words[Int(position)]
                depth -= 1
            }
            end = Self.firstVersion(atDepth: depth + 1)
        }
        let start = Self.firstVersion(atDepth: depth)
        var low: UInt32 = 0
        var high = end - start
        while high - low > 1 {
            let middle = (low + high) / 2
            if words[Int(position) + Self.headWords + Int(middle)] < bound { low = middle } else { high = middle }
        }
        return start + low + 1
    }

    func forEachSequence(of list: VersionList, versions: Range<UInt32>, _ body: (UInt32) -> Void) {
        invariant(versions.upperBound <= list.count, "versions \(versions) of \(list.count)")
        guard !versions.isEmpty else { return }
        if list.count == 1 { return body(list.tail) }
        let tailDepth = Self.depth(of: list.count - 1)
        for depth in Self.depth(of: versions.lowerBound)...Self.depth(of: versions.upperBound - 1) {
            let position = Int(block(atDepth: depth, from: list.tail, depth: tailDepth)) + Self.headWords
            let start = Self.firstVersion(atDepth: depth)
            let end = min(versions.upperBound, Self.firstVersion(atDepth: depth + 1))
            for version in max(versions.lowerBound, start)..<end { body(words[position + Int(version - start)]) }
        }
    }

    /// The block at `target` of the chain that ends with the block at `position`, which is at `depth`.
    private func block(atDepth target: UInt32, from position: UInt32, depth: UInt32) -> UInt32 {
        var position = position
        var depth = depth
        while depth > target {
            let jumpDepth = depth & (depth - 1)
            if jumpDepth >= target {
                position = words[Int(position) + 1]
                depth = jumpDepth
            } else {
                position = words[Int(position)]
                depth -= 1
            }
        }
        return position
    }

    private mutating func newBlock(depth: UInt32, previous: UInt32, jump: UInt32) -> UInt32 {
        let shift = min(Self.largestShift, Self.smallestShift + Int(depth))
        let position = words.allocate(1 << shift)
        words[position] = previous
        words[position + 1] = jump
        return UInt32(position)
    }

    /// Versions in the blocks before the one at `depth`.
    @inline(__always)
    private static func firstVersion(atDepth depth: UInt32) -> UInt32 {
        let growing = min(depth, levelDepth)
        let head = UInt32(headWords)
        let before = (1 << growing - 1) << UInt32(smallestShift) - head * growing
        return before + (depth - growing) * (1 << UInt32(largestShift) - head)
    }

    @inline(__always)
    private static func depth(of version: UInt32) -> UInt32 {
        let levelStart = firstVersion(atDepth: levelDepth)
        if version >= levelStart {
            return levelDepth + (version - levelStart) / (1 << UInt32(largestShift) - UInt32(headWords))
        }
        var depth: UInt32 = 0
        while firstVersion(atDepth: depth + 1) <= version { depth += 1 }
        return depth
    }
}
