public import CordwoodBase

extension DiskImage {
    /// A hash of all that is durable: names, lengths and bytes. Images with equal fingerprints hold the same files.
    public var fingerprint: ChainValue {
        var words: [UInt64] = []
        add(DiskImage.root, to: &words)
        return words.withUnsafeBytes { Checksum.xxh3Wide($0, seed: 0) }
    }

    private func add(_ node: UInt64, to words: inout [UInt64]) {
        if let names = durableDirectories[node] {
            words.append(UInt64(names.count))
            for (name, child) in names.sorted(by: { $0.key < $1.key }) {
                words.append(Array(name.utf8).withUnsafeBytes { Checksum.xxh3($0, seed: 0) })
                add(child, to: &words)
            }
        } else if let file = files[node] {
            words.append(file.durable.size)
            file.durable.forEachPage { number, bytes in
                words.append(UInt64(number))
                words.append(Checksum.xxh3(bytes, seed: 0))
            }
        }
    }
}
