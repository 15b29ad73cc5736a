import CordwoodBase
import CordwoodIO
import CordwoodRaft

@testable import CordwoodNode

/// A whole frame as it travels.
func sealed(_ frame: PeerFrame, _ seal: FrameSeal = .handshake) -> [UInt8] {
    var body = [UInt8](repeating: 0, count: frame.bodyBytes)
    body.withUnsafeMutableBytes {
        var writer = ByteWriter($0)
        frame.encodeBody(into: &writer)
    }
    return sealed(frame.kind, body: body, seal)
}

/// A frame with any body, with the checksums of an honest one.
func sealed(_ kind: PeerFrame.Kind, body: [UInt8], _ seal: FrameSeal = .handshake) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: PeerFrame.headerBytes) + body
    bytes.withUnsafeMutableBytes { PeerFrameHeader.seal($0, kind: kind, seal) }
    return bytes
}

/// The frame that `bytes` begin with.
func unsealed(
    _ bytes: [UInt8], _ seal: FrameSeal = .handshake, maxBodyBytes: Int = 1 << 20
) throws(DecodeError) -> PeerFrame {
    let result: Result<PeerFrame, DecodeError> = bytes.withUnsafeBytes { bytes in
        do throws(DecodeError) {
            let header = try PeerFrameHeader(decoding: bytes, seal, maxBodyBytes: maxBodyBytes)
            var reader = ByteReader(bytes, offset: PeerFrame.headerBytes)
            let body = try reader.take(header.bodyBytes)
            try header.verify(body)
            return .success(try PeerFrame(header.kind, body: body))
        } catch {
            return .failure(error)
        }
    }
    return try result.get()
}

/// One frame of every kind, those with variants in each of them.
let sampleFrames: [PeerFrame] = {
    let address = SocketAddress(host: "node-1.example", port: 7000)
    var identity = PeerIdentity(cluster: testCluster, name: "Knoten-Ä", replica: 7, address: address)
    var frames: [PeerFrame] = []
    for kind in PeerConnectionKind.allCases {
        frames.append(
            .hello(
                PeerHello(
                    connection: kind, identity: identity, target: 9, nonce: 0xfeed_face_cafe, maxBodyBytes: 1 << 20)))
    }
    identity = PeerIdentity(cluster: .none, name: "", replica: .none)
    frames.append(
        .hello(PeerHello(connection: .guest, identity: identity, target: .none, nonce: 0, maxBodyBytes: 1)))
    frames.append(
        .welcome(
            PeerWelcome(
                version: 1, maxBodyBytes: 72 << 20, cluster: testCluster, replica: 9, nonce: .max, name: "node-9")))
    for reason in PeerRefusal.allCases {
        frames.append(.refusal(PeerParting(reason, cluster: testCluster, "because of \(reason)")))
    }
    for kind in RaftMessage.Kind.allCases { frames.append(.message(sampleMessage(kind), [], attachment: [])) }
    frames.append(.message(sampleMessage(.snapshot), [], attachment: [UInt8](0..<200)))
    var append = sampleMessage(.append)
    let entries = sampleEntries(after: append.index)
    append.entryCount = UInt32(entries.count)
    append.logTerm = 1
    append.term = 5
    frames.append(.message(append, entries[...], attachment: []))
    frames.append(.request(number: 77, service: PeerService.forward.rawValue, Array("APPEND".utf8)))
    frames.append(.request(number: .max, service: 200, []))
    frames.append(.answer(number: 77, .success(Array("OK".utf8))))
    frames.append(.answer(number: 78, .success([])))
    frames.append(.answer(number: 79, .refused(code: 0x1234, "no — not here")))
    frames.append(.alive)
    return frames
}()

private func sampleMessage(_ kind: RaftMessage.Kind) -> RaftMessage {
    var message = RaftMessage(kind, from: 1, to: 2, term: 3)
    message.index = 4
    message.logTerm = 2
    message.commit = 6
    message.hint = 7
    message.context = .max
    message.quorumContactAge = 9
    message.isRejected = kind.isResponse
    message.isTransfer = kind == .vote
    return message
}

/// Entries of every type and with every number of slices that is a case of its own.
private func sampleEntries(after index: RaftIndex) -> [Entry] {
    var entries: [Entry] = []
    for (number, type) in EntryType.allCases.enumerated() {
        let count = type == .multiPartition ? 3 : number % 2
        var slices: [EntrySlice] = []
        for slice in 0..<UInt32(count) {
            slices.append(
                EntrySlice(
                    partition: PartitionID(UInt64(slice) * 5), partitionIndex: PartitionLogIndex(UInt64(slice) + 1),
                    previousRaftIndex: 2, offset: slice * 10, length: 10))
        }
        entries.append(
            Entry(
                index: index + UInt64(number + 1), term: Term(UInt64(1 + number)), type: type,
                timestampMicroseconds: -1, slices: EntrySlices(slices),
                payload: [UInt8](repeating: UInt8(number), count: count * 10)))
    }
    return entries
}
