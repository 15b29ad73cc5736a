import CordwoodBase
import CordwoodIO

/// The frames that arrive on a connection, verified where they stand.
///
/// Memory grows with what has arrived and never with what a header promises: a peer that announces a large frame and
/// goes silent has cost a small buffer.
final class FrameReceiver {
    struct Frame {
        var kind: PeerFrame.Kind
        /// Valid until the next call of `fill`.
        var body: UnsafeRawBufferPointer
    }

    static let initialBytes = 16 << 10
    /// A buffer that has grown beyond this is given back when it is empty.
    static let retainedBytes = 4 << 20

    let connection: any Connection

    private var seal = FrameSeal.handshake
    private var maxBodyBytes = PeerFrame.maxHandshakeBytes
    private var buffer = IOBuffer(count: FrameReceiver.initialBytes)
    private var start = 0
    private var end = 0
    /// Memory held.
    var capacityBytes: Int { buffer.count }

    /// Header of the frame that has begun to arrive.
    private var header: PeerFrameHeader?

    init(_ connection: any Connection) { self.connection = connection }

    /// From the next frame on.
    func adopt(_ seal: FrameSeal, maxBodyBytes: Int) {
        self.seal = seal
        self.maxBodyBytes = maxBodyBytes
    }

    /// The next frame, if it is here as a whole.
    func take() throws(DecodeError) -> Frame? {
        let header: PeerFrameHeader
        if let known = self.header {
            header = known
        } else {
            guard end - start >= PeerFrame.headerBytes else { return nil }
            header = try PeerFrameHeader(decoding: buffer[start..<end], seal, maxBodyBytes: maxBodyBytes)
            self.header = header
        }
        let bodyStart = start + PeerFrame.headerBytes
        guard end - bodyStart >= header.bodyBytes else { return nil }
        let body = buffer[bodyStart..<bodyStart + header.bodyBytes]
        try header.verify(body)
        start = bodyStart + header.bodyBytes
        self.header = nil
        seal.advance()
        return Frame(kind: header.kind, body: body)
    }

    /// Waits for more bytes. False when the other side has finished.
    func fill() async throws(IOError) -> Bool {
        makeRoom()
        let count = try await connection.receive(into: buffer, end..<buffer.count)
        end += count
        return count > 0
    }

    /// Makes a quarter of the buffer free behind what has arrived: by moving that to the front, or by doubling.
    private func makeRoom() {
        if start == end {
            start = 0
            end = 0
            if buffer.count > FrameReceiver.retainedBytes { buffer = IOBuffer(count: FrameReceiver.initialBytes) }
        }
        guard buffer.count - end < buffer.count / 4 else { return }
        let rest = buffer[start..<end]
        if rest.count <= buffer.count / 2 {
            UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<rest.count]).copyMemory(from: rest)
        } else {
            let larger = IOBuffer(count: buffer.count * 2)
            UnsafeMutableRawBufferPointer(rebasing: larger.bytes[..<rest.count]).copyMemory(from: rest)
            buffer = larger
        }
        start = 0
        end = rest.count
    }
}
