internal import CordwoodBase

/// Event id to sequence, and what tells whether a command repeats an earlier one. Rebuilt by applying the log again.
///
/// An id is known by 96 bits of its hash: a 32-bit fingerprint in the table and a 64-bit tag in a column by sequence.
/// Two different ids are taken for one with a probability of 2^-96 a pair, far below that of two equal ids being drawn
/// (58 random bits a millisecond). Content digests exist only where a client brought ids; elsewhere they cost nothing.
struct EventIDIndex: ~Copyable {
    private var table = FingerprintTable()
    private var tags = ChunkedBuffer<UInt64>(chunkShift: 12)
    private var digests = SparseColumn()

    /// What is known of an id.
    struct Name: Equatable {
        let fingerprint: UInt32
        let tag: UInt64

        init(_ id: EventID) {
            var halves = (id.uuid.high.littleEndian, id.uuid.low.littleEndian)
            let hash = withUnsafeBytes(of: &halves) { Checksum.xxh3Wide($0, seed: 0) }
            fingerprint = UInt32(truncatingIfNeeded: hash.high >> 32)
            tag = hash.low
        }

        init(fingerprint: UInt32, tag: UInt64) {
            self.fingerprint = fingerprint
            self.tag = tag
        }
    }

    var count: Int { tags.count }
    var allocatedBytes: Int { table.allocatedBytes + tags.allocatedBytes + digests.allocatedBytes }

    @inline(__always)
    func sequence(of name: Name) -> UInt32? {
        table.first(name.fingerprint) { tags[Int($0)] == name.tag }
    }

    /// Lets the memory come that finding or adding a name looks at.
    @inline(__always)
    func prefetch(_ name: Name) { table.prefetch(name.fingerprint) }

    /// Digest of the event's content, 0 when no id of its command came from a client.
    func digest(of sequence: UInt32) -> UInt64 { digests[Int(sequence)] }

    /// Adds the next event: its sequence is `count`.
    @inline(__always)
    mutating func append(_ name: Name, digest: UInt64) {
        let sequence = tags.count
        tags.append(name.tag)
        if digest != 0 { digests.set(digest, at: sequence) }
        table.insert(name.fingerprint, UInt32(sequence))
    }

    /// The names of all events in order of sequence.
    func names() -> [Name] {
        var fingerprints = [UInt32](repeating: 0, count: count)
        table.forEach { fingerprint, sequence in fingerprints[Int(sequence)] = fingerprint }
        return fingerprints.indices.map { Name(fingerprint: fingerprints[$0], tag: tags[$0]) }
    }
}

/// A column in which whole stretches are zero and then take no memory.
struct SparseColumn {
    private static let chunkShift = 9
    private var chunks: [[UInt64]] = []

    var allocatedBytes: Int { chunks.reduce(0) { $0 + 8 + $1.capacity * 8 } }

    subscript(position: Int) -> UInt64 {
        let chunk = position >> Self.chunkShift
        guard chunk < chunks.count, !chunks[chunk].isEmpty else { return 0 }
        return chunks[chunk][position & (1 << Self.chunkShift - 1)]
    }

    mutating func set(_ value: UInt64, at position: Int) {
        let chunk = position >> Self.chunkShift
        while chunks.count <= chunk { chunks.append([]) }
        if chunks[chunk].isEmpty { chunks[chunk] = [UInt64](repeating: 0, count: 1 << Self.chunkShift) }
        chunks[chunk][position & (1 << Self.chunkShift - 1)] = value
    }
}
