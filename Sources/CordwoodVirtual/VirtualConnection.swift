import CordwoodBase
import CordwoodIO

/// One end of a connection.
///
/// What this end is sent travels in `incoming`, piece by piece and in order: the first piece that cannot pass holds up
/// all behind it.
final class VirtualConnection: Connection {
    let peerAddress: SocketAddress
    let host: String
    let life: VirtualLife?
    private(set) var number: UInt64 = 0
    /// The other end. Both ends hold each other until one closes.
    private(set) var peer: VirtualConnection?
    /// The other end, for as long as anybody has it.
    private weak var origin: VirtualConnection?

    private let network: VirtualNetwork
    private(set) var peerHost = VirtualNetwork.home
    private var unread: ArraySlice<UInt8> = []
    private var unreadAndTravelling = 0
    private var peerHasFinished = false
    private var isClosed = false
    /// The power of this end's machine has failed: it is not there any more, and nobody has said so.
    private(set) var isVanished = false
    /// Why the connection broke.
    private var failure: IOError?
    private var receiver: UInt64?
    private var sender: UInt64?

    private enum Piece {
        case bytes([UInt8])
        case end
    }

    private var incoming: [(piece: Piece, arrival: UInt64)] = []
    private var incomingStart = 0
    /// Bytes that were read here and whose sender has not heard of it.
    private var unacknowledged = 0
    /// Since when the first piece cannot pass, and after how long it is tried again.
    private var blocked: (sinceNanoseconds: UInt64, retryNanoseconds: UInt64)?

    init(_ network: VirtualNetwork, peerAddress: SocketAddress, host: String, _ life: VirtualLife?) {
        self.network = network
        self.peerAddress = peerAddress
        self.host = host
        self.life = life
    }

    static func join(_ client: VirtualConnection, _ server: VirtualConnection) {
        for (one, other) in [(client, server), (server, client)] {
            one.peer = other
            one.origin = other
            one.peerHost = other.host
            one.number = one.network.open(one)
        }
    }

    // MARK: The seam

    func receive(into buffer: IOBuffer, _ range: Range<Int>) async throws(IOError) -> Int {
        invariant(!range.isEmpty, "receive into nothing")
        while true {
            try check("receive")
            if !unread.isEmpty {
                let count = min(range.count, unread.count)
                let target = UnsafeMutableRawBufferPointer(
                    rebasing: buffer.bytes[range.lowerBound..<range.lowerBound + count])
                unread.withUnsafeBytes { target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
                unread.removeFirst(count)
                acknowledge(count)
                return count
            }
            if peerHasFinished { return 0 }
            invariant(receiver == nil, "two receives at a time from \(peerAddress)")
            await network.wait("receive from \(peerAddress)", life) { receiver = $0 }
            receiver = nil
        }
    }

    func receive(into buffer: IOBuffer, _ range: Range<Int>, for receiver: any ConnectionReceiver) {
        network.spawn("receive from \(peerAddress)", life) { [self] in
            do throws(IOError) {
                receiver.received(.success(try await receive(into: buffer, range)))
            } catch { receiver.received(.failure(error)) }
        }
    }

    func sendAtOnce(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard sender == nil, !bytes.isEmpty, (try? check("send")) != nil, let peer, !peer.isClosed else { return 0 }
        return pass(bytes, to: peer)
    }

    func send(_ buffer: IOBuffer, _ range: Range<Int>) async throws(IOError) {
        var start = range.lowerBound
        while start < range.upperBound {
            try check("send")
            guard let peer, !peer.isClosed else { throw closed("send") }
            let count = pass(buffer[start..<range.upperBound], to: peer)
            start += count
            if count > 0 || failure != nil { continue }
            invariant(sender == nil, "two sends at a time to \(peerAddress)")
            await network.wait("send to \(peerAddress)", life) { sender = $0 }
            sender = nil
        }
    }

    /// Lets go of as many bytes as the window takes, unless the connection breaks instead.
    private func pass(_ bytes: UnsafeRawBufferPointer, to peer: VirtualConnection) -> Int {
        let count = min(bytes.count, network.options.windowBytes - peer.unreadAndTravelling)
        guard count > 0 else { return 0 }
        if let permille = network.link(host, peerHost)?.condition.resetPermille, permille > 0,
            network.random.chance(permille, in: 1000), breakOff()
        {
            return 0
        }
        peer.expect(.bytes([UInt8](bytes[..<count])), bytes: count)
        return count
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        network.forget(self)
        peer?.expect(.end, bytes: 0)
        peer = nil
        wake()
    }

    private func check(_ operation: String) throws(IOError) {
        if isClosed || network.isEnded { throw closed(operation) }
        if var failure {
            failure.operation = operation
            throw failure
        }
    }

    private func closed(_ operation: String) -> IOError {
        IOError(.closed, operation: operation, subject: peerAddress.description)
    }

    private func wake() {
        network.wake(receiver)
        network.wake(sender)
    }

    /// Bytes have been read: their sender may send so many more, once it hears of it.
    private func acknowledge(_ count: Int) {
        unacknowledged += count
        if unacknowledged == count { sendAcknowledgement(sinceNanoseconds: network.clock.monotonicNanoseconds) }
    }

    private func sendAcknowledgement(sinceNanoseconds start: UInt64) {
        if network.passes(host, peerHost) {
            unreadAndTravelling -= unacknowledged
            unacknowledged = 0
            network.wake(peer?.sender)
            return
        }
        guard !isClosed, !isVanished, failure == nil, let origin else { return }
        let now = network.clock.monotonicNanoseconds
        if now - start >= network.options.userTimeoutNanoseconds { return origin.fail(errorNumber: 110) }
        _ = network.clock.schedule(atNanoseconds: now + network.options.retransmitNanoseconds) {
            self.sendAcknowledgement(sinceNanoseconds: start)
        }
    }

    // MARK: Ends that nobody chose

    /// The connection breaks under both ends: what travels is lost. False when it is broken already.
    @discardableResult
    func breakOff() -> Bool {
        if failure != nil || isClosed || isVanished { return false }
        peer?.fail(errorNumber: 104)
        fail(errorNumber: 104)
        return true
    }

    /// The connection breaks under this end.
    private func fail(errorNumber: Int32) {
        guard failure == nil, !isClosed else { return }
        failure = IOError(
            .closed, operation: "", subject: peerAddress.description, errorNumber: errorNumber)
        unread = []
        dropIncoming()
        peer = nil
        network.forget(self)
        wake()
    }

    /// This end's machine loses its power.
    func vanish() {
        isVanished = true
        unread = []
        dropIncoming()
        peer = nil
        network.forget(self)
    }

    // MARK: What travels

    /// A piece has been sent to this end: it arrives later, and never before what was sent earlier.
    private func expect(_ piece: Piece, bytes: Int) {
        unreadAndTravelling += bytes
        let last = incoming.last?.arrival ?? 0
        let arrival = max(last, network.drawArrival(peerHost, host, bytes: bytes))
        incoming.append((piece, arrival))
        if incoming.count - incomingStart == 1 { schedule(at: arrival) }
    }

    private func dropIncoming() {
        incoming = []
        incomingStart = 0
    }

    private func schedule(at nanoseconds: UInt64) {
        _ = network.clock.schedule(atNanoseconds: nanoseconds) { self.arrive() }
    }

    /// The first piece is here, unless something is in its way.
    private func arrive() {
        guard incomingStart < incoming.count else { return }
        let now = network.clock.monotonicNanoseconds
        if let clog = network.link(peerHost, host)?.clogEndNanoseconds, clog > now { return schedule(at: clog) }
        if !network.passes(peerHost, host) || network.isDown(host) { return retry(now) }
        if isVanished {
            // The machine is back and knows nothing of the connection: it says so, if it is heard.
            if network.passes(host, peerHost) { origin?.fail(errorNumber: 104) }
            return dropIncoming()
        }
        blocked = nil
        let piece = incoming[incomingStart].piece
        incomingStart += 1
        if incomingStart == incoming.count {
            incoming.removeAll(keepingCapacity: true)
            incomingStart = 0
        } else {
            schedule(at: max(now, incoming[incomingStart].arrival))
        }
        take(piece)
    }

    private func take(_ piece: Piece) {
        switch piece {
        case .bytes(let bytes):
            if isClosed { return }
            unread.append(contentsOf: bytes)
            network.trace.record("arrive", UInt64(bytes.count))
            network.wake(receiver)
        case .end:
            peerHasFinished = true
            peer = nil
            wake()
        }
    }

    /// Tries the first piece again later, and breaks the connection under its sender when that goes on for too long.
    private func retry(_ now: UInt64) {
        var state = blocked ?? (now, network.options.retransmitNanoseconds)
        if now - state.sinceNanoseconds >= network.options.userTimeoutNanoseconds {
            origin?.fail(errorNumber: 110)
            return dropIncoming()
        }
        schedule(at: now + state.retryNanoseconds)
        state.retryNanoseconds *= 2
        blocked = state
    }
}
