import CordwoodBase
import CordwoodRaft

@testable import CordwoodNode

// What comes from other nodes, and what a node keeps of its group.

extension DecoderDriver {
    static let peerDrivers = [frame, call, member]

    // MARK: Frames

    private static let maxBodyBytes = 1 << 20

    private static let frame = DecoderDriver(
        "peer-frame",
        samples: {
            PeerSamples.frames.map { PeerSamples.whole($0).form(0) }
                + PeerSamples.frames.map { PeerSamples.body(of: $0).form($0.kind.rawValue).form(1) }
                + nastyNumbers.map { number in
                    var header = [UInt8](repeating: 0, count: 8)
                    header += [UInt8](littleEndian: UInt32(truncatingIfNeeded: number)) + [4, 0, 0, 0]
                    return header.form(2)
                }
        },
        forms: [
            { readFrames([UInt8]($0)) },
            { bytes in
                // Sealed: a body of a kind.
                guard let kind = bytes.first.flatMap({ PeerFrame.Kind(rawValue: $0) }) else { return }
                readBody(kind, [UInt8](bytes.dropFirst()))
            },
            { bytes in
                // Sealed: a header whose fields the bytes decide, and what follows.
                var bytes = bytes
                var header = bytes.takeFirst(16)
                let check = header.withUnsafeBytes { Checksum.xxh3($0, seed: FrameSeal.handshake.seed) }
                header += [UInt8](littleEndian: check)
                readFrames(header + bytes)
            },
        ])

    /// Frames one behind the other, as a connection takes them.
    private static func readFrames(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { raw in
            var seal = FrameSeal.handshake
            var rest = raw[...]
            while rest.count >= PeerFrame.headerBytes {
                let start = UnsafeRawBufferPointer(rebasing: rest)
                guard let header = try? PeerFrameHeader(decoding: start, seal, maxBodyBytes: maxBodyBytes) else {
                    return
                }
                demand(header.bodyBytes <= maxBodyBytes, "a body of \(header.bodyBytes) bytes was let in")
                rest = rest.dropFirst(PeerFrame.headerBytes)
                guard rest.count >= header.bodyBytes else { return }
                let body = UnsafeRawBufferPointer(rebasing: rest.prefix(header.bodyBytes))
                guard (try? header.verify(body)) != nil else { return }
                readBody(header.kind, [UInt8](body))
                rest = rest.dropFirst(header.bodyBytes)
                seal.advance()
            }
        }
    }

    private static func readBody(_ kind: PeerFrame.Kind, _ body: [UInt8]) {
        guard let frame = body.withUnsafeBytes({ try? PeerFrame(kind, body: $0) }) else { return }
        let again = PeerSamples.body(of: frame)
        demand(again == body, "\(frame) was written differently")
    }

    // MARK: Calls

    private static let call = DecoderDriver(
        "peer-call",
        samples: {
            var samples = [ForwardedCommand.encode(PeerSamples.commands).form(0)]
            samples.append(ForwardedOutcome.encode(PeerSamples.outcomes).form(1))
            samples += PeerSamples.operations.map { $0.encoded().form(2) }
            samples.append(MemberOperationResult(replica: 4, configurationIndex: 9).encoded().form(3))
            samples += PeerSamples.joinRequests.map { $0.encoded().form(4) }
            samples += PeerSamples.joinAnswers.map { $0.encoded().form(5) }
            samples.append(PeerSamples.report.encoded().form(6))
            return samples
        },
        forms: [
            { bytes in roundTrip(bytes, { try ForwardedCommand.decode($0) }, { ForwardedCommand.encode($0) }) },
            { bytes in roundTrip(bytes, { try ForwardedOutcome.decode($0) }, { ForwardedOutcome.encode($0) }) },
            { bytes in roundTrip(bytes, { try MemberOperation(decoding: $0) }, { $0.encoded() }) },
            { bytes in roundTrip(bytes, { try MemberOperationResult(decoding: $0) }, { $0.encoded() }) },
            { bytes in roundTrip(bytes, { try JoinRequest(decoding: $0) }, { $0.encoded() }) },
            { bytes in roundTrip(bytes, { try JoinAnswer(decoding: $0) }, { $0.encoded() }) },
            { bytes in roundTrip(bytes, { try MemberReport(decoding: $0) }, { $0.encoded() }) },
        ])

    // MARK: Members

    private static let member = DecoderDriver(
        "membership",
        samples: {
            var file: [UInt8] = [UInt8](littleEndian: GroupEntrance.version)
            file.append(PeerSamples.node)
            file.append(1)
            PeerSamples.admission.encode(into: &file)
            var configuration: [UInt8] = []
            PeerSamples.membership.configuration.encode(into: &configuration)
            return [PeerSamples.membership.encoded().form(0)] + PeerSamples.changes.map { $0.encoded().form(1) }
                + [file.form(2), configuration.form(3)]
        },
        forms: [
            { bytes in roundTrip(bytes, { try Membership(decoding: $0) }, { $0.encoded() }) },
            { bytes in
                roundTrip(bytes, { try MembershipChange(decoding: $0) }, { $0.encoded() })
                guard let change = try? MembershipChange(decoding: [UInt8](bytes)) else { return }
                // A group that takes the change up, if its core makes a configuration of it.
                var membership = PeerSamples.membership
                guard let next = try? membership.configuration.applying(change.change) else { return }
                membership.apply(change, leading: next, at: 10)
                demand(
                    (try? Membership(decoding: membership.encoded())) == membership, "\(membership) cannot be kept")
            },
            { bytes in
                // Sealed: the file in which a node keeps to which group it belongs.
                let check = [UInt8](bytes).withUnsafeBytes { Checksum.xxh3($0, seed: 0) }
                _ = try? GroupEntrance.decode([UInt8](bytes) + [UInt8](littleEndian: check))
                _ = try? GroupEntrance.decode([UInt8](bytes))
            },
            { bytes in
                roundTrip(
                    bytes, { try $0.decoded { (reader) throws(DecodeError) in try GroupConfiguration(from: &reader) } },
                    { configuration in
                        var bytes: [UInt8] = []
                        configuration.encode(into: &bytes)
                        return bytes
                    })
            },
        ])
}
