import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

@testable import CordwoodNode

@Suite("A frame between peers")
struct PeerFrameTests {
    @Test func comesBackAsItWasSent() throws {
        for frame in sampleFrames { #expect(try unsealed(sealed(frame)) == frame) }
        #expect(Set(sampleFrames.map(\.kind)) == Set(PeerFrame.Kind.allCases))
    }

    @Test func isRefusedWhenItIsCutOffAnywhere() throws {
        for frame in sampleFrames {
            let bytes = sealed(frame)
            for count in 0..<bytes.count {
                #expect(throws: DecodeError.self) { try unsealed([UInt8](bytes[..<count])) }
            }
        }
    }

    @Test func isRefusedWithAnyByteChanged() throws {
        for frame in sampleFrames {
            let bytes = sealed(frame)
            for position in bytes.indices {
                for change in [0x01, 0x80, 0xff] as [UInt8] {
                    var changed = bytes
                    changed[position] ^= change
                    #expect(throws: DecodeError.self, "byte \(position) of \(frame.kind)") { try unsealed(changed) }
                }
            }
        }
    }

    @Test func isRefusedAtAnotherPlaceThanItsOwn() throws {
        let bytes = sealed(.alive, FrameSeal(dialled: 1, accepted: 2, fromDialled: false))
        var next = FrameSeal(dialled: 1, accepted: 2, fromDialled: false)
        #expect(try unsealed(bytes, next) == .alive)
        next.advance()
        let others = [
            next, .handshake, FrameSeal(dialled: 1, accepted: 2, fromDialled: true),
            FrameSeal(dialled: 2, accepted: 1, fromDialled: false),
        ]
        for seal in others { #expect(throws: DecodeError.self) { try unsealed(bytes, seal) } }
    }

    @Test func isRefusedByItsLengthBeforeItsBodyIsThere() throws {
        let bytes = sealed(.request(number: 1, service: 1, [UInt8](repeating: 0, count: 1000)))
        let header = [UInt8](bytes[..<PeerFrame.headerBytes])
        #expect(throws: DecodeError.invalid(field: "frame length", value: 1016)) {
            try unsealed(header, maxBodyBytes: 1015)
        }
        #expect(throws: DecodeError.truncated(needed: 1016, available: 0)) {
            try unsealed(header, maxBodyBytes: 1016)
        }
    }

    /// What a body says is judged even though its checksums are those of an honest peer.
    @Test func withAnHonestChecksumAndACutBodyIsRefused() throws {
        for frame in sampleFrames {
            let body = [UInt8](sealed(frame)[PeerFrame.headerBytes...])
            let least: Int
            switch frame {
            // What follows the fixed part is as long as it is.
            case .request, .answer: least = PeerFrame.callHeaderBytes
            default: least = body.count
            }
            for count in 0..<least {
                #expect(throws: DecodeError.self, "\(count) bytes of \(frame.kind)") {
                    try unsealed(sealed(frame.kind, body: [UInt8](body[..<count])))
                }
            }
        }
    }

    @Test func withBytesBehindItsBodyIsRefused() throws {
        for frame in sampleFrames {
            switch frame {
            case .request, .answer, .alive: continue
            default: break
            }
            let body = [UInt8](sealed(frame)[PeerFrame.headerBytes...]) + [0]
            #expect(throws: DecodeError.self) { try unsealed(sealed(frame.kind, body: body)) }
        }
    }

    /// Whatever is taken says exactly what its bytes say, so a peer cannot mean anything else by them.
    @Test func withAnyBitChangedAndSealedAnewIsRefusedOrMeansWhatItSays() throws {
        for frame in sampleFrames {
            let body = [UInt8](sealed(frame)[PeerFrame.headerBytes...])
            for position in body.indices {
                for bit in 0..<8 {
                    var changed = body
                    changed[position] ^= 1 << bit
                    let bytes = sealed(frame.kind, body: changed)
                    guard let decoded = try? unsealed(bytes) else { continue }
                    #expect(sealed(decoded) == bytes, "bit \(bit) of byte \(position) of \(frame.kind)")
                }
            }
        }
    }

    @Test func ofRandomBytesNeverStopsTheProcess() throws {
        let random = VirtualRandom(seed: 7)
        var taken = 0
        for _ in 0..<20_000 {
            let kind = PeerFrame.Kind.allCases[Int(random.next(below: UInt64(PeerFrame.Kind.allCases.count)))]
            let length = Int(random.next(below: 300))
            var body = [UInt8](repeating: 0, count: length)
            for position in body.indices where random.chance(1, in: 2) {
                body[position] = UInt8(truncatingIfNeeded: random.next())
            }
            if (try? unsealed(sealed(kind, body: body))) != nil { taken += 1 }
        }
        #expect(taken > 0)
    }

    // MARK: What a message may say

    private func message(
        _ kind: RaftMessage.Kind = .append, _ change: (inout [UInt8]) -> Void
    ) throws -> PeerFrame {
        var message = RaftMessage(kind, from: 1, to: 2, term: 3)
        message.index = 10
        message.logTerm = 3
        message.entryCount = 2
        let entries = [sampleEntry(11), sampleEntry(12)]
        var body = [UInt8](sealed(.message(message, entries[...], attachment: []))[PeerFrame.headerBytes...])
        change(&body)
        return try unsealed(sealed(.message, body: body))
    }

    private func set(_ bytes: inout [UInt8], at offset: Int, _ value: UInt64) {
        for byte in 0..<8 { bytes[offset + byte] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(byte))) }
    }

    @Test func thatAnnouncesMoreEntriesThanItCanHoldIsRefusedBeforeMemoryIsTaken() throws {
        #expect(throws: DecodeError.invalid(field: "number of entries", value: UInt64(UInt32.max))) {
            try message { $0.replaceSubrange(4..<8, with: [0xff, 0xff, 0xff, 0xff]) }
        }
        #expect(throws: DecodeError.self) {
            try message { $0.replaceSubrange(12..<16, with: [0xff, 0xff, 0xff, 0xff]) }
        }
        // The number of slices of the first entry.
        #expect(throws: DecodeError.self) {
            try message {
                $0.replaceSubrange(
                    PeerMessageCodec.fixedBytes + 26..<PeerMessageCodec.fixedBytes + 28, with: [0xff, 0xff])
            }
        }
    }

    @Test func withEntriesThatDoNotFollowEachOtherIsRefused() throws {
        let second = PeerMessageCodec.fixedBytes + EntryContent.lengthBytes(of: sampleEntry(11))
        #expect(throws: DecodeError.invalid(field: "index of an entry", value: 14)) {
            try message { set(&$0, at: second, 14) }
        }
        #expect(throws: DecodeError.invalid(field: "term of an entry", value: 2)) {
            try message { set(&$0, at: second + 8, 2) }
        }
        #expect(throws: DecodeError.invalid(field: "term of an entry", value: 4)) {
            try message { set(&$0, at: second + 8, 4) }
        }
    }

    @Test func withNumbersThatNothingCountsToIsRefused() throws {
        for field in 0..<7 {
            #expect(throws: DecodeError.self, "field \(field)") {
                try message { set(&$0, at: 16 + 8 * field, UInt64(Int64.max)) }
            }
        }
    }

    @Test func withEntriesWhereNoneBelongIsRefused() throws {
        #expect(throws: DecodeError.self) { try message { $0[0] = RaftMessage.Kind.heartbeat.rawValue } }
    }

    @Test func cutsTextsThatNoHandshakeHasRoomFor() throws {
        let name = String(repeating: "ä", count: 1000)
        let hello = PeerHello(
            connection: .control, identity: PeerIdentity(cluster: testCluster, name: name, replica: 1), target: 2,
            nonce: 3, maxBodyBytes: 4)
        let bytes = sealed(.hello(hello))
        #expect(bytes.count <= PeerFrame.maxHandshakeBytes)
        #expect(try unsealed(bytes) == .hello(hello))
        #expect(hello.identity.name == String(repeating: "ä", count: 256))
    }
}
