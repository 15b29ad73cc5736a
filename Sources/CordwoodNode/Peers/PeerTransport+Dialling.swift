import CordwoodBase
import CordwoodIO

extension PeerTransport {
    /// Connects to a peer and greets it. The session sends what `outbox` holds.
    ///
    /// - Parameter target: the replica that is meant; another one there refuses. `.none` for whoever is there.
    func dial(
        _ address: SocketAddress, _ kind: PeerConnectionKind, target: ReplicaID, _ outbox: PeerOutbox
    ) async throws(PeerError) -> PeerSession {
        let connection: any Connection
        do throws(IOError) {
            connection = try await seams.network.connect(
                address, timeoutNanoseconds: configuration.connectNanoseconds)
        } catch {
            throw isClosed ? .closed : .unreachable("\(error)")
        }
        if isClosed {
            connection.close()
            throw .closed
        }
        greeted.append(connection)
        let timer = clock.schedule(atNanoseconds: clock.monotonicNanoseconds + configuration.handshakeNanoseconds) {
            connection.close()
        }
        defer {
            clock.cancel(timer)
            greeted.removeAll { $0 === connection }
        }
        do throws(PeerError) {
            let session = try await greet(FrameReceiver(connection), address, kind, target, outbox)
            if isClosed { throw .closed }
            adopt(session)
            return session
        } catch {
            connection.close()
            if case .wrongCluster = error { refused(.cluster, target, address) }
            if case .retired = error { refused(.retired, target, address) }
            if case .rejected(let reason, _) = error { refused(reason, target, address) }
            throw error
        }
    }

    private func refused(_ reason: PeerRefusal, _ target: ReplicaID, _ address: SocketAddress) {
        onRefused(reason, PeerAddress(replica: target, name: "", address: address))
    }

    private func greet(
        _ receiver: FrameReceiver, _ address: SocketAddress, _ kind: PeerConnectionKind, _ target: ReplicaID,
        _ outbox: PeerOutbox
    ) async throws(PeerError) -> PeerSession {
        let hello = PeerHello(
            connection: kind, identity: identity, target: target, nonce: seams.random.next(),
            maxBodyBytes: configuration.maxFrameBytes)
        let welcome: PeerWelcome
        do {
            try await receiver.connection.sendHandshake(.hello(hello))
            switch try await receiver.handshakeFrame() {
            case .welcome(let answer): welcome = answer
            case .refusal(let parting): throw PeerError(parting.reason, parting.text)
            default: throw PeerError.unreachable("\(address) does not speak the protocol of peers")
            }
        } catch let error as PeerError {
            throw error
        } catch {
            throw .unreachable("handshake with \(address): \(error)")
        }
        if let (reason, text) = flaw(in: welcome, hello) {
            let parting = PeerParting(reason, cluster: identity.cluster, text)
            _ = try? await receiver.connection.sendHandshake(.refusal(parting))
            throw PeerError(reason, text)
        }
        receiver.adopt(
            FrameSeal(dialled: hello.nonce, accepted: welcome.nonce, fromDialled: true),
            maxBodyBytes: configuration.maxFrameBytes)
        let peer = PeerIdentity(
            cluster: welcome.cluster, name: welcome.name, replica: welcome.replica, address: address)
        let session = PeerSession(
            receiver, FrameSeal(dialled: hello.nonce, accepted: welcome.nonce, fromDialled: false), peer: peer,
            kind: kind, maxBodyBytes: welcome.maxBodyBytes, outbox: outbox, sendBytes: configuration.sendBytes,
            clock: clock)
        session.onEnd = { [weak self, unowned session] in self?.forget(session) }
        return session
    }

    /// What is wrong with the one that answered.
    private func flaw(in welcome: PeerWelcome, _ hello: PeerHello) -> (PeerRefusal, String)? {
        if !hello.versions.contains(welcome.version) {
            return (.version, "version \(welcome.version) was not offered")
        }
        if hello.identity.cluster != .none, welcome.cluster != hello.identity.cluster {
            return (.cluster, "this is cluster \(hello.identity.cluster), not \(welcome.cluster)")
        }
        if hello.target != .none, welcome.replica != hello.target {
            return (.replica, "replica \(hello.target) is meant, \(welcome.replica) answers")
        }
        return nil
    }
}

extension Connection {
    /// Sends a frame of the handshake.
    func sendHandshake(_ frame: PeerFrame) async throws(IOError) {
        let count = PeerFrame.headerBytes + frame.bodyBytes
        let buffer = IOBuffer(count: count)
        var writer = ByteWriter(buffer.bytes, offset: PeerFrame.headerBytes)
        frame.encodeBody(into: &writer)
        PeerFrameHeader.seal(buffer.bytes, kind: frame.kind, .handshake)
        try await send(buffer, 0..<count)
    }
}

extension FrameReceiver {
    /// The one frame that the other side says in a handshake.
    func handshakeFrame() async throws -> PeerFrame {
        while true {
            if let frame = try take() { return try PeerFrame(frame.kind, body: frame.body) }
            guard try await fill() else {
                throw IOError(.closed, operation: "receive", subject: connection.peerAddress.description)
            }
        }
    }
}
