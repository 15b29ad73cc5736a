import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

/// A batch that verifies at its place belongs to the stream only when it names the batch before it.
@Suite("The link between batches")
struct LinkTests {
    /// What the end of a stream is, for whoever goes on with it.
    private struct End {
        var path: String
        var header: SegmentHeader
        var offset: UInt64
        var epoch: StreamEpoch
        var link: PhysicalLink
        var last: LogBoundary
    }

    private func end(of image: DiskImage) throws -> End {
        let path = try #require(
            image.paths.first { $0.hasSuffix(".seg") && image.contents($0)?.contains(0x43) == true })
        let bytes = try #require(image.contents(path))
        return try bytes.withUnsafeBytes { raw in
            let header = try SegmentHeader(decoding: raw)
            var end = End(
                path: path, header: header, offset: header.firstBatchOffset, epoch: 0, link: .zero, last: .zero)
            while case .batch(let batch) = BatchReading.decode(
                UnsafeRawBufferPointer(rebasing: raw[Int(end.offset)...]), at: end.offset, seed: LinkSeed(header),
                alignmentBytes: header.alignmentBytes)
            {
                end.offset = batch.end
                end.epoch = batch.header.epoch
                end.link = batch.link
                for record in batch.records where record.header.kind == .entry {
                    let entry = try record.entryHeader()
                    end.last = LogBoundary(index: entry.raftIndex, term: entry.term, chain: entry.chain)
                }
            }
            return end
        }
    }

    /// The image with one more batch behind the end, sealed for its place, that names `link` as the one before.
    private func continued(_ image: DiskImage, naming link: (End) -> PhysicalLink) throws -> DiskImage {
        let end = try end(of: image)
        let builder = BatchBuilder(capacityBytes: 4096, alignmentBytes: end.header.alignmentBytes)
        _ = builder.append(LogWorld.entry(end.last.index.next), after: end.last.chain)
        _ = builder.finish(
            at: .init(
                seed: LinkSeed(end.header), offset: end.offset, epoch: end.epoch,
                promise: StreamPosition(segment: end.header.segment, offset: end.offset), previousLink: link(end),
                commitHint: 0))
        let batch = [UInt8](builder.buffer[0..<builder.lengthBytes])
        var image = image
        image.damage(end.path) { $0.replaceSubrange(Int(end.offset)..<Int(end.offset) + batch.count, with: batch) }
        return image
    }

    private func lastIndex(_ image: DiskImage) throws -> RaftIndex {
        try VirtualWorld(seed: 2, disk: image).run { seams in
            let store = try await LogWorld.open(seams)
            return store.nextIndex.previous
        }
    }

    @Test("takes the batch that follows, and not the same batch when it follows another")
    func follows() throws {
        let image = try LogWorld.run { store, _ in
            for index in 1...3 as ClosedRange<UInt64> { try await store.write([LogWorld.entry(RaftIndex(index))]) }
        }
        #expect(try lastIndex(try continued(image) { $0.link }) == 4)
        #expect(try lastIndex(try continued(image) { _ in PhysicalLink(rawValue: 7) }) == 3)
        #expect(try lastIndex(try continued(image) { _ in .zero }) == 3)
    }
}
