import Glibc

/// The bytes of a file, in pages that are shared between copies until one of them changes; pages of zeros take no room.
struct SparseBytes: Sendable {
    static let pageBytes = 4096

    /// The length of the file. Bytes may be kept beyond it while a crash state is put together; reads do not see them.
    var size: UInt64 = 0

    /// `nil` is a page of zeros, as is every page beyond the last.
    private var pages: [[UInt8]?] = []

    /// Copies what the file holds from `offset` on. Returns the bytes copied: fewer only at the end of the file.
    func read(at offset: UInt64, into target: UnsafeMutableRawBufferPointer) -> Int {
        guard offset < size else { return 0 }
        let count = Int(min(UInt64(target.count), size - offset))
        SparseBytes.eachPiece(of: offset, count) { page, range, position in
            let piece = UnsafeMutableRawBufferPointer(rebasing: target[position..<position + range.count])
            if page < pages.count, let bytes = pages[page] {
                bytes.withUnsafeBytes { piece.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
            } else {
                piece.initializeMemory(as: UInt8.self, repeating: 0)
            }
        }
        return count
    }

    func bytes(_ range: Range<UInt64>) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
            count = read(at: range.lowerBound, into: UnsafeMutableRawBufferPointer(buffer))
        }
    }

    /// Puts bytes in place without changing `size`.
    mutating func write(_ source: UnsafeRawBufferPointer, at offset: UInt64) {
        SparseBytes.eachPiece(of: offset, source.count) { page, range, position in
            let piece = UnsafeRawBufferPointer(rebasing: source[position..<position + range.count])
            let zeros = SparseBytes.isZero(piece)
            if page >= pages.count {
                if zeros { return }
                pages.append(contentsOf: repeatElement(nil, count: page + 1 - pages.count))
            }
            if pages[page] == nil {
                if zeros { return }
                pages[page] = [UInt8](repeating: 0, count: SparseBytes.pageBytes)
            }
            pages[page]?.withUnsafeMutableBytes {
                UnsafeMutableRawBufferPointer(rebasing: $0[range]).copyMemory(from: piece)
            }
        }
    }

    /// Forgets what is kept from `end` on, so that a file which grows over it again shows zeros.
    mutating func discard(from end: UInt64) {
        let keptPages = Int((end + UInt64(SparseBytes.pageBytes) - 1) / UInt64(SparseBytes.pageBytes))
        if keptPages < pages.count { pages.removeSubrange(keptPages...) }
        let inLastPage = Int(end % UInt64(SparseBytes.pageBytes))
        if inLastPage > 0, keptPages <= pages.count {
            _ = pages[keptPages - 1]?.withUnsafeMutableBytes {
                UnsafeMutableRawBufferPointer(rebasing: $0[inLastPage...]).initializeMemory(
                    as: UInt8.self, repeating: 0)
            }
        }
    }

    /// The pages that are not all zeros, up to the end of the file.
    func forEachPage(_ body: (Int, UnsafeRawBufferPointer) -> Void) {
        for (number, page) in pages.enumerated() {
            guard let page else { continue }
            page.withUnsafeBytes { bytes in
                let start = UInt64(number * SparseBytes.pageBytes)
                let visible = UnsafeRawBufferPointer(
                    rebasing: bytes.prefix(Int(clamping: size > start ? size - start : 0)))
                if !SparseBytes.isZero(visible) { body(number, visible) }
            }
        }
    }

    /// Compares each byte with the one before it, in one call.
    private static func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return true }
        return bytes[0] == 0 && memcmp(start, start + 1, bytes.count - 1) == 0
    }

    private static func eachPiece(of offset: UInt64, _ count: Int, _ body: (Int, Range<Int>, Int) -> Void) {
        var position = 0
        while position < count {
            let place = offset + UInt64(position)
            let page = Int(place / UInt64(SparseBytes.pageBytes))
            let start = Int(place % UInt64(SparseBytes.pageBytes))
            let length = min(SparseBytes.pageBytes - start, count - position)
            body(page, start..<start + length, position)
            position += length
        }
    }
}
