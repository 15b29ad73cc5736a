internal import CProcessor

/// SHA-1, for name-based UUIDs alone: version 5 prescribes it. Nothing here relies on its strength.
enum SHA1 {
    /// The first 16 bytes of the digest of `prefix` followed by `bytes`, as two big-endian numbers.
    ///
    /// - Parameter byProcessor: takes the processor's own instructions where it has them.
    static func leadingHalves(
        prefix: (UInt64, UInt64), bytes: UnsafeRawBufferPointer, byProcessor: Bool = true
    ) -> (high: UInt64, low: UInt64) {
        let length = 16 + bytes.count
        var state = State(byProcessor: byProcessor)
        return withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { block in
            block.storeBytes(of: prefix.0.bigEndian, toByteOffset: 0, as: UInt64.self)
            block.storeBytes(of: prefix.1.bigEndian, toByteOffset: 8, as: UInt64.self)
            var filled = 16
            var taken = 0
            while taken < bytes.count {
                let count = min(64 - filled, bytes.count - taken)
                copy(bytes[taken..<taken + count], into: block, at: filled)
                taken += count
                filled += count
                if filled == 64 {
                    state.absorb(block)
                    filled = 0
                }
            }
            block[filled] = 0x80
            filled += 1
            if filled > 56 {
                clear(block, from: filled, to: 64)
                state.absorb(block)
                filled = 0
            }
            clear(block, from: filled, to: 56)
            block.storeBytes(of: (UInt64(length) * 8).bigEndian, toByteOffset: 56, as: UInt64.self)
            state.absorb(block)
            return (
                high: UInt64(state.a) << 32 | UInt64(state.b),
                low: UInt64(state.c) << 32 | UInt64(state.d)
            )
        }
    }

    private static func copy(
        _ source: Slice<UnsafeRawBufferPointer>, into block: UnsafeMutableRawBufferPointer, at offset: Int
    ) {
        UnsafeMutableRawBufferPointer(rebasing: block[offset..<offset + source.count])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: source))
    }

    private static func clear(_ block: UnsafeMutableRawBufferPointer, from start: Int, to end: Int) {
        guard start < end else { return }
        UnsafeMutableRawBufferPointer(rebasing: block[start..<end]).initializeMemory(as: UInt8.self, repeating: 0)
    }

    private struct State {
        var a: UInt32 = 0x6745_2301
        var b: UInt32 = 0xEFCD_AB89
        var c: UInt32 = 0x98BA_DCFE
        var d: UInt32 = 0x1032_5476
        var e: UInt32 = 0xC3D2_E1F0
        let byProcessor: Bool

        init(byProcessor: Bool) { self.byProcessor = byProcessor }

        mutating func absorb(_ block: UnsafeMutableRawBufferPointer) {
            if !byProcessor || !absorbByProcessor(block) { absorbByWords(block) }
        }

        /// A third of the time; the difference is a thirtieth of the whole work of an append. False where the processor
        /// has no such instructions.
        private mutating func absorbByProcessor(_ block: UnsafeMutableRawBufferPointer) -> Bool {
            var words = (a, b, c, d, e)
            let isDone = withUnsafeMutableBytes(of: &words) { words in
                cprocessor_sha1_absorb(words.bindMemory(to: UInt32.self).baseAddress, block.baseAddress) != 0
            }
            if isDone { (a, b, c, d, e) = words }
            return isDone
        }

        private mutating func absorbByWords(_ block: UnsafeMutableRawBufferPointer) {
            withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 80) { words in
                for position in 0..<16 {
                    words[position] = UInt32(bigEndian: block.load(fromByteOffset: position &* 4, as: UInt32.self))
                }
                for position in 16..<80 {
                    let mixed =
                        words[position &- 3] ^ words[position &- 8] ^ words[position &- 14] ^ words[position &- 16]
                    words[position] = mixed << 1 | mixed >> 31
                }
                var working = self
                for position in 0..<20 {
                    working.step((working.b & working.c) | (~working.b & working.d), 0x5A82_7999, words[position])
                }
                for position in 20..<40 {
                    working.step(working.b ^ working.c ^ working.d, 0x6ED9_EBA1, words[position])
                }
                for position in 40..<60 {
                    let majority = (working.b & working.c) | (working.b & working.d) | (working.c & working.d)
                    working.step(majority, 0x8F1B_BCDC, words[position])
                }
                for position in 60..<80 {
                    working.step(working.b ^ working.c ^ working.d, 0xCA62_C1D6, words[position])
                }
                a &+= working.a
                b &+= working.b
                c &+= working.c
                d &+= working.d
                e &+= working.e
            }
        }

        @inline(__always)
        private mutating func step(_ mixed: UInt32, _ constant: UInt32, _ word: UInt32) {
            let next = (a << 5 | a >> 27) &+ mixed &+ e &+ constant &+ word
            e = d
            d = c
            c = b << 30 | b >> 2
            b = a
            a = next
        }
    }
}
