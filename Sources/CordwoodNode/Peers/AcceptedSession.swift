import CordwoodBase
import CordwoodIO
import CordwoodRaft

/// The end of a connection that was dialled: takes messages of consensus, or answers calls.
final class AcceptedSession {
    let room = LoopSignal()

    private let session: PeerSession
    private unowned let transport: PeerTransport
    private var calls = 0
    private var callBytes = 0

    init(_ session: PeerSession, _ transport: PeerTransport) {
        self.session = session
        self.transport = transport
        session.outbox.willSend = { [unowned self] _ in
            room.raise()
            return true
        }
    }

    var peer: PeerIdentity { session.peer }
    var kind: PeerConnectionKind { session.kind }
    var isLive: Bool { session.ending == nil }

    func end(_ why: String) { session.end(why) }

    func write() async { await session.write() }

    /// Takes what arrives until the session ends.
    func read() async {
        repeat {
            while let frame = session.nextFrame() {
                do throws(DecodeError) {
                    try take(frame)
                } catch {
                    session.end("malformed frame: \(error)")
                }
            }
            while isLive, isCrowded { await room.wait() }
        } while await session.receive()
        transport.note(
            .debug, "\(kind) connection ended: \(session.ending ?? "")", from: session.connection.peerAddress)
    }

    private func take(_ frame: FrameReceiver.Frame) throws(DecodeError) {
        switch frame.kind {
        case .message where kind == .consensus:
            var reader = ByteReader(frame.body)
            let decoded = try PeerMessageCodec.decode(from: &reader)
            try reader.end()
            take(decoded)
        case .request where kind != .consensus:
            guard case .request(let number, let service, let body) = try PeerFrame(.request, body: frame.body)
            else { return }
            answer(number, service, body)
        default: session.end("a frame where none belongs")
        }
    }

    // MARK: Consensus

    private func take(_ decoded: PeerMessageCodec.Decoded) {
        let message = decoded.message
        guard message.from == peer.replica, message.to == transport.identity.replica else {
            return session.end("a message from \(message.from) to \(message.to)")
        }
        if transport.isRetired(message.from) { return session.end("retired") }
        if !transport.isClosed { transport.onMessage(message, decoded.entries, decoded.attachment) }
    }

    // MARK: Calls

    /// Requests are read as long as there is room for them and for what has been answered.
    private var isCrowded: Bool {
        let configuration = transport.configuration
        return calls >= configuration.callsInProgress || callBytes >= configuration.callBytesInProgress
            || session.outbox.bytes >= configuration.queueBytes
    }

    private func answer(_ number: UInt64, _ rawService: UInt8, _ body: [UInt8]) {
        guard let service = PeerService(rawValue: rawService), let serve = transport.services[service],
            peer.replica != .none || service == .join
        else {
            return send(number, .refused(code: PeerRefusalCode.unavailable, "service \(rawService) is not offered"))
        }
        calls += 1
        callBytes += body.count
        let caller = PeerCaller(replica: peer.replica, name: peer.name, address: session.connection.peerAddress)
        transport.seams.scheduler.spawn("peer service") { [self] in
            let answer = await serve(caller, body)
            calls -= 1
            callBytes -= body.count
            send(number, answer)
            room.raise()
        }
    }

    private func send(_ number: UInt64, _ answer: PeerAnswer) {
        guard isLive else { return }
        let frame = PeerFrame.answer(number: number, answer)
        let limit = session.maxBodyBytes
        if frame.bodyBytes > limit {
            let text = "an answer of \(frame.bodyBytes) bytes, where \(limit) fit"
            return session.outbox.appendAnswer(
                .answer(number: number, .refused(code: PeerRefusalCode.answerTooLarge, text)))
        }
        session.outbox.appendAnswer(frame)
    }
}
