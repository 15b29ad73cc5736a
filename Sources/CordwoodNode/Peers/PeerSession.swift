import CordwoodBase
import CordwoodIO

/// One connection behind its handshake, at either of its ends: frames out of an outbox, frames in.
///
/// Both ends send a sign of life when they have nothing else to send, and give up an end that is silent for too long.
/// TCP itself would go on for minutes, and after a healed partition wait for seconds before it tries again.
final class PeerSession {
    let connection: any Connection
    /// Who the other end says it is.
    let peer: PeerIdentity
    let kind: PeerConnectionKind
    /// Largest body that the other end takes.
    let maxBodyBytes: Int
    let outbox: PeerOutbox
    /// Why the session has ended, once it has.
    private(set) var ending: String?
    /// Told once when the session ends.
    var onEnd: () -> Void = {}

    private let clock: any Clock
    private let receiver: FrameReceiver
    private let sendBytes: Int
    private var seal: FrameSeal
    private var buffer = IOBuffer(count: PeerSession.initialBytes)
    private(set) var heardNanoseconds: UInt64
    private var sentNanoseconds: UInt64

    private static let initialBytes = 4 << 10
    private static let retainedBytes = 4 << 20

    init(
        _ receiver: FrameReceiver, _ seal: FrameSeal, peer: PeerIdentity, kind: PeerConnectionKind, maxBodyBytes: Int,
        outbox: PeerOutbox, sendBytes: Int, clock: any Clock
    ) {
        connection = receiver.connection
        self.receiver = receiver
        self.seal = seal
        self.peer = peer
        self.kind = kind
        self.maxBodyBytes = maxBodyBytes
        self.outbox = outbox
        self.sendBytes = sendBytes
        self.clock = clock
        heardNanoseconds = clock.monotonicNanoseconds
        sentNanoseconds = heardNanoseconds
    }

    /// Ends the session; both of its tasks come to their end.
    func end(_ why: String) {
        guard ending == nil else { return }
        ending = why
        connection.close()
        outbox.signal.raise()
        onEnd()
    }

    /// Sends a sign of life when nothing was sent for a while, and ends a session whose other end is silent. The
    /// silence begins anew when this node has stood still.
    func watch(_ now: UInt64, _ configuration: PeerConfiguration, stoodStill: Bool) {
        if stoodStill { heardNanoseconds = now }
        if now - heardNanoseconds > configuration.silenceNanoseconds {
            end("silent for \(configuration.silenceNanoseconds / 1_000_000) ms")
        } else if now - sentNanoseconds >= configuration.aliveNanoseconds {
            outbox.appendAlive()
        }
    }

    // MARK: Receiving

    /// The next frame that has arrived as a whole; signs of life are passed over. Ends the session on bytes that are no
    /// frame.
    func nextFrame() -> FrameReceiver.Frame? {
        do throws(DecodeError) {
            while ending == nil, let frame = try receiver.take() {
                if frame.kind != .alive { return frame }
            }
        } catch {
            end("malformed frame: \(error)")
        }
        return nil
    }

    /// Waits for more frames. False when the session has ended.
    func receive() async -> Bool {
        if ending != nil { return false }
        do throws(IOError) {
            if try await receiver.fill() {
                heardNanoseconds = clock.monotonicNanoseconds
                return ending == nil
            }
            end("the other side has finished")
        } catch {
            end("\(error)")
        }
        return false
    }

    // MARK: Sending

    /// Sends what the outbox holds, as much as there is in one send, until the session ends.
    func write() async {
        while ending == nil {
            let bytes = load()
            if bytes == 0 {
                await outbox.signal.wait()
                continue
            }
            do throws(IOError) {
                let taken = connection.sendAtOnce(buffer[0..<bytes])
                if taken < bytes { try await connection.send(buffer, taken..<bytes) }
                sentNanoseconds = clock.monotonicNanoseconds
            } catch {
                end("\(error)")
            }
        }
    }

    /// Puts frames from the outbox into the buffer, and returns their bytes.
    private func load() -> Int {
        var used = 0
        makeRoom()
        while let item = outbox.first {
            if used + item.bytes > buffer.count {
                if used > 0 { break }
                buffer = IOBuffer(count: item.bytes)
            }
            if outbox.willSend(item) {
                let frame = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[used..<used + item.bytes])
                var writer = ByteWriter(frame, offset: PeerFrame.headerBytes)
                item.frame.encodeBody(into: &writer)
                invariant(writer.offset == item.bytes, "a frame of \(item.bytes) bytes took \(writer.offset)")
                PeerFrameHeader.seal(frame, kind: item.frame.kind, seal)
                seal.advance()
                used += item.bytes
            }
            outbox.removeFirst()
        }
        return used
    }

    /// A buffer for what waits, up to what one send may carry; one that was made for a large frame is given back.
    private func makeRoom() {
        let wanted = min(outbox.bytes, sendBytes)
        if buffer.count < wanted {
            var count = buffer.count
            while count < wanted { count *= 2 }
            buffer = IOBuffer(count: min(count, sendBytes))
        } else if buffer.count > PeerSession.retainedBytes {
            buffer = IOBuffer(count: max(PeerSession.initialBytes, wanted))
        }
    }
}
