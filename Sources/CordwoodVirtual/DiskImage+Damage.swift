import CordwoodBase

/// Damage done to durable bytes: bit rot, zeroed sectors, cut files. It works on an image, as on a disk taken out of
/// its machine, and bypasses every fault and every clock.
extension DiskImage {
    /// Paths of all files, sorted.
    public var paths: [String] {
        var found: [String] = []
        var waiting: [(UInt64, String)] = [(DiskImage.root, "")]
        while let (node, path) = waiting.popLast() {
            for (name, child) in directories[node] ?? [:] {
                if directories[child] == nil { found.append("\(path)/\(name)") }
                waiting.append((child, "\(path)/\(name)"))
            }
        }
        return found.sorted()
    }

    /// The contents of a file, or `nil` when there is none.
    public func contents(_ path: String) -> [UInt8]? {
        guard case .file(let node)? = find(path) else { return nil }
        let bytes = file(node).cached
        return bytes.bytes(0..<bytes.size)
    }

    /// Changes the bytes of a file in place; the length may change too. Only for an image without anything pending.
    public mutating func damage(_ path: String, _ body: (inout [UInt8]) -> Void) {
        guard var bytes = contents(path), case .file(let node)? = find(path) else {
            brokenInvariant("no file \(path) to damage")
        }
        body(&bytes)
        replace(node, with: bytes)
    }

    /// Inverts the bits of `mask` in one byte.
    public mutating func flip(_ path: String, at offset: UInt64, mask: UInt8) {
        overwrite(path, at: offset, count: 1) { $0[0] ^= mask }
    }

    /// Sets a range to zero, as far as the file reaches.
    public mutating func zero(_ path: String, _ range: Range<UInt64>) {
        overwrite(path, at: range.lowerBound, count: range.count) { bytes in
            for position in bytes.indices { bytes[position] = 0 }
        }
    }

    /// Puts a copy of some bytes of a file over others, as a write that went to a wrong place does; both ranges as far
    /// as the file reaches.
    public mutating func copy(_ path: String, from source: UInt64, to target: UInt64, count: Int) {
        guard case .file(let node)? = find(path) else { brokenInvariant("no file \(path) to damage") }
        let durable = file(node).durable
        let bytes = durable.bytes(min(source, durable.size)..<min(source + UInt64(count), durable.size))
        overwrite(path, at: target, count: bytes.count) { there in
            for (position, byte) in zip(there.indices, bytes) { there[position] = byte }
        }
    }

    /// Cuts or extends a file.
    public mutating func truncate(_ path: String, to size: UInt64) {
        guard case .file(let node)? = find(path) else { brokenInvariant("no file \(path) to truncate") }
        var state = file(node)
        state.durable.discard(from: size)
        state.durable.size = size
        state.cached = state.durable
        files[node] = state
    }

    /// Puts a file in place, made with its directories if missing.
    public mutating func put(_ path: String, _ bytes: [UInt8]) {
        var directory = ""
        for name in DiskImage.components(path).dropLast() {
            directory += "/" + name
            if find(directory) == nil, let place = place(directory) { makeDirectory(at: place) }
        }
        guard let place = place(path) else { brokenInvariant("no directory for \(path)") }
        let node = node(at: place) ?? makeFile(at: place)
        replace(node, with: bytes)
        self = flushed()
    }

    /// Takes a file away.
    public mutating func remove(_ path: String) {
        guard let place = place(path), node(at: place) != nil else { brokenInvariant("no file \(path) to remove") }
        change(.unlink(place))
        self = flushed()
    }

    /// Gives a file another name.
    public mutating func rename(_ source: String, to target: String) {
        guard let from = place(source), node(at: from) != nil, let to = place(target) else {
            brokenInvariant("cannot rename \(source) to \(target)")
        }
        change(.rename(from, to))
        self = flushed()
    }

    private mutating func overwrite(
        _ path: String, at offset: UInt64, count: Int, _ body: (inout [UInt8]) -> Void
    ) {
        guard case .file(let node)? = find(path) else { brokenInvariant("no file \(path) to damage") }
        var state = file(node)
        let end = min(offset + UInt64(count), state.durable.size)
        // What is still to be written there will take the damage away again.
        guard offset < end, !state.writes.contains(where: { $0.offset < end && $0.end > offset }) else { return }
        var bytes = state.durable.bytes(offset..<end)
        body(&bytes)
        bytes.withUnsafeBytes {
            state.durable.write($0, at: offset)
            if offset < state.cached.size {
                state.cached.write(
                    UnsafeRawBufferPointer(rebasing: $0.prefix(Int(min(end, state.cached.size) - offset))), at: offset)
            }
        }
        files[node] = state
    }

    private mutating func replace(_ node: UInt64, with bytes: [UInt8]) {
        var state = FileState()
        bytes.withUnsafeBytes { state.durable.write($0, at: 0) }
        state.durable.size = UInt64(bytes.count)
        state.cached = state.durable
        files[node] = state
    }
}
