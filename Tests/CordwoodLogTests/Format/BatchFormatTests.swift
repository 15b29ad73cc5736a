import CordwoodBase
import CordwoodLog
import CordwoodRaft
import LogTestSupport
import Testing

@Suite("Batches")
struct BatchFormatTests {
    @Test("entries with none, one and many slices read back as written", arguments: [0, 1, 2, 17], [0, 1, 40, 5000])
    func entriesRoundTrip(slices: Int, payloadBytes: Int) throws {
        let entry = FormatSamples.entry(1, slices: slices, payloadBytes: payloadBytes)
        var chain = ChainValue.zero
        let bytes = FormatSamples.batch { chain = $0.append(entry, after: .zero) }
        try withBatch(bytes) { batch in
            let record = try #require(batch.records.first { _ in true })
            var expected = entry
            expected.chain = chain
            #expect(try record.entry() == expected)
            #expect(record.entryChain(after: .zero) == chain)
            #expect(EntryChain.value(after: .zero, entry) == chain)
            #expect(try record.entryHeader().flags == (payloadBytes == 0 ? [] : .hasPayload))
        }
    }

    @Test("every control record reads back as written")
    func controlsRoundTrip() throws {
        let bytes = FormatSamples.batch { builder in for record in FormatSamples.controls { builder.append(record) } }
        try withBatch(bytes) { batch in
            let records = try batch.records.map { try $0.control() }
            #expect(records == FormatSamples.controls)
        }
    }

    @Test("partition records carry place, term and their own chain")
    func partitionRecordsRoundTrip() throws {
        let position = PartitionRecordPosition(
            partitionIndex: 4, raftIndex: 19, term: 2, timestampMicroseconds: 55, type: .application)
        let payload: [UInt8] = [1, 2, 3]
        var chain = ChainValue.zero
        let bytes = FormatSamples.batch { builder in
            payload.withUnsafeBytes { chain = builder.append(position, payload: $0, after: .zero) }
        }
        try withBatch(bytes) { batch in
            let record = try #require(batch.records.first { _ in true })
            let header = try record.partitionHeader()
            #expect(header.position == position)
            #expect(header.chain == chain)
            #expect(record.partitionChain(after: .zero) == chain)
            #expect([UInt8](record.payload) == payload)
            #expect(payload.withUnsafeBytes { PartitionChain.value(after: .zero, position, payload: $0) } == chain)
        }
    }

    @Test("a batch is padded to the alignment and an entry larger than the buffer still fits as the first")
    func paddingAndLargeEntries() throws {
        let builder = BatchBuilder(capacityBytes: 8192, alignmentBytes: 4096)
        let large = FormatSamples.entry(1, payloadBytes: 100_000)
        #expect(builder.hasRoom(forFramed: BatchBuilder.framedBytes(of: large)))
        _ = builder.append(large, after: .zero)
        #expect(builder.lengthBytes == 102_400)
        #expect(!builder.hasRoom(forFramed: 4096))
    }

    @Test("each single flipped bit of a batch is detected")
    func flipsAreDetected() {
        let entry = FormatSamples.entry(1, slices: 2)
        var bytes = FormatSamples.batch { _ = $0.append(entry, after: .zero) }
        for position in bytes.indices {
            let bit = UInt8(1) << UInt8(position % 8)
            bytes[position] ^= bit
            if case .batch = decode(bytes) { Issue.record("flip of byte \(position) was not seen") }
            bytes[position] ^= bit
        }
        guard case .batch = decode(bytes) else { return #expect(Bool(false)) }
    }

    @Test("a batch verifies only at its offset, in its segment, incarnation and epoch")
    func batchesAreBoundToTheirPlace() {
        let bytes = FormatSamples.batch { $0.append(.promise) }
        guard case .batch = decode(bytes) else { return #expect(Bool(false)) }
        guard case .none = decode(bytes, at: 12288) else { return #expect(Bool(false)) }
        var other = FormatSamples.header
        other.incarnation = 78
        guard case .none = decode(bytes, seed: LinkSeed(other)) else { return #expect(Bool(false)) }
        other = FormatSamples.header
        other.segment = 4
        guard case .none = decode(bytes, seed: LinkSeed(other)) else { return #expect(Bool(false)) }
        other = FormatSamples.header
        other.identity.log = UniqueID(high: 0, low: 1)
        guard case .none = decode(bytes, seed: LinkSeed(other)) else { return #expect(Bool(false)) }
    }

    @Test("zeros are no batch, and a cut batch asks for its rest")
    func zerosAndCuts() {
        guard case .none = decode([UInt8](repeating: 0, count: 8192)) else { return #expect(Bool(false)) }
        let bytes = FormatSamples.batch { _ = $0.append(FormatSamples.entry(1, payloadBytes: 6000), after: .zero) }
        guard case .incomplete(_, let needed) = decode([UInt8](bytes[..<4096])) else { return #expect(Bool(false)) }
        #expect(needed == bytes.count)
    }

    @Test("decoding any bytes gives an answer", arguments: [UInt64(1), 2, 3])
    func decodersAreTotal(seed: UInt64) {
        var random = SplitMix(state: seed)
        for _ in 0..<2000 {
            let bytes = (0..<Int(random.next() % 300)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            bytes.withUnsafeBytes { raw in
                _ = BatchReading.decode(raw, at: 4096, seed: FormatSamples.seed, alignmentBytes: 4096)
                _ = try? SegmentHeader(decoding: raw)
            }
        }
    }

    private func decode(_ bytes: [UInt8], at offset: UInt64 = 8192, seed: LinkSeed = FormatSamples.seed) -> BatchReading
    {
        bytes.withUnsafeBytes { BatchReading.decode($0, at: offset, seed: seed, alignmentBytes: 4096) }
    }

    private func withBatch(_ bytes: [UInt8], _ body: (BatchView) throws -> Void) throws {
        try bytes.withUnsafeBytes {
            guard
                case .batch(let batch) = BatchReading.decode(
                    $0, at: 8192, seed: FormatSamples.seed, alignmentBytes: 4096)
            else {
                Issue.record("the batch does not verify")
                return
            }
            #expect(batch.header.epoch == 4)
            #expect(batch.header.promise == StreamPosition(segment: 3, offset: 4096))
            #expect(batch.header.previousLink == PhysicalLink(rawValue: 42))
            try body(batch)
        }
    }
}

/// A small generator whose state is its seed.
struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
