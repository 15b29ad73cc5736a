import CordwoodBase
public import CordwoodIO

extension PeerTransport {
    /// Listens for peers; returns the address that is bound. Port 0 takes a free one.
    public func listen(on address: SocketAddress) async throws(IOError) -> SocketAddress {
        let listener = try await seams.network.listen(address)
        if isClosed {
            listener.close()
            throw IOError(.closed, operation: "listen", subject: address.description)
        }
        self.listener = listener
        spawn("peer listener") { [self] in
            while !isClosed {
                do throws(IOError) {
                    take(try await listener.accept())
                } catch {
                    if isClosed || error.reason == .closed { return }
                    note(.warn, "cannot accept: \(error)", from: listener.address)
                    await clock.sleep(nanoseconds: configuration.backOffNanoseconds)
                }
            }
        }
        return listener.address
    }

    private func take(_ connection: any Connection) {
        if isClosed { return connection.close() }
        // Of too many the oldest goes: whoever means well is done in no time.
        if strangers.count >= configuration.strangers { strangers.removeFirst().close() }
        strangers.append(connection)
        spawn("peer handshake") { [self] in
            let session = await receiveHandshake(connection)
            strangers.removeAll { $0 === connection }
            if let session { await serve(session) }
        }
    }

    /// Hears who dials. Closes the connection of one that does not belong here, and tells it why.
    private func receiveHandshake(_ connection: any Connection) async -> AcceptedSession? {
        let timer = clock.schedule(atNanoseconds: clock.monotonicNanoseconds + configuration.handshakeNanoseconds) {
            connection.close()
        }
        defer { clock.cancel(timer) }
        let receiver = FrameReceiver(connection)
        do {
            guard case .hello(let hello) = try await receiver.handshakeFrame() else {
                throw DecodeError.invalid(field: "first frame of a peer", value: 0)
            }
            if let (reason, text) = flaw(in: hello) {
                note(
                    reason == .notReady ? .debug : .error, "refused \(hello.identity.name): \(text)",
                    from: connection.peerAddress)
                try await connection.sendHandshake(
                    .refusal(PeerParting(reason, cluster: identity.cluster, text)))
                // The other side reads the refusal and closes; its time to do so is that of the handshake.
                _ = try await receiver.fill()
                connection.close()
                return nil
            }
            let welcome = PeerWelcome(
                version: min(hello.versions.upperBound, PeerFrame.versions.upperBound),
                maxBodyBytes: configuration.maxFrameBytes, cluster: identity.cluster, replica: identity.replica,
                nonce: seams.random.next(), name: identity.name)
            try await connection.sendHandshake(.welcome(welcome))
            if isClosed { throw IOError(.closed, operation: "accept", subject: "\(connection.peerAddress)") }
            return open(receiver, hello, welcome)
        } catch {
            note(.debug, "handshake failed: \(error)", from: connection.peerAddress)
            connection.close()
            return nil
        }
    }

    private func open(_ receiver: FrameReceiver, _ hello: PeerHello, _ welcome: PeerWelcome) -> AcceptedSession {
        receiver.adopt(
            FrameSeal(dialled: hello.nonce, accepted: welcome.nonce, fromDialled: false),
            maxBodyBytes: configuration.maxFrameBytes)
        let session = PeerSession(
            receiver, FrameSeal(dialled: hello.nonce, accepted: welcome.nonce, fromDialled: true),
            peer: hello.identity, kind: hello.connection, maxBodyBytes: hello.maxBodyBytes,
            outbox: makeOutbox(), sendBytes: configuration.sendBytes, clock: clock)
        // A peer has one connection of a kind: an older one is left over from before it lost it.
        if hello.connection != .guest {
            for other in accepted
            where other.peer.replica == hello.identity.replica && other.kind == hello.connection {
                other.end("replaced")
            }
        }
        let opened = AcceptedSession(session, self)
        accepted.append(opened)
        adopt(session)
        session.onEnd = { [weak self, unowned session, unowned opened] in
            guard let self else { return }
            forget(session)
            accepted.removeAll { $0 === opened }
            opened.room.raise()
            forgetStrangers()
        }
        return opened
    }

    private func serve(_ session: AcceptedSession) async {
        if session.kind == .consensus { meet(session.peer) }
        spawn("peer writer") { await session.write() }
        await session.read()
    }

    /// Why the one that dials is not to be here.
    private func flaw(in hello: PeerHello) -> (PeerRefusal, String)? {
        let peer = hello.identity
        if !hello.versions.overlaps(PeerFrame.versions) {
            return (.version, "versions \(hello.versions) and \(PeerFrame.versions) have none in common")
        }
        let isGuest = hello.connection == .guest
        // Nodes without a cluster may call each other: so they found one.
        if identity.cluster == .none, !(isGuest && peer.cluster == .none) {
            return (.notReady, "\(identity.name) is no member of a cluster")
        }
        if peer.cluster != identity.cluster, !(isGuest && peer.cluster == .none) {
            return (.cluster, "this is cluster \(identity.cluster), and \(peer.name) belongs to \(peer.cluster)")
        }
        if peer.replica != .none, isRetired(peer.replica) {
            return (.retired, "replica \(peer.replica) has been removed from the group")
        }
        if hello.target != .none, hello.target != identity.replica {
            return (.replica, "this is replica \(identity.replica), not \(hello.target)")
        }
        if !isGuest, peer.replica == .none || peer.replica == identity.replica {
            return (.replica, "\(peer.name) calls itself replica \(peer.replica)")
        }
        if accepted.count >= configuration.sessions {
            return (.crowded, "\(configuration.sessions) connections are here already")
        }
        if isGuest, accepted.count(where: { $0.kind == .guest }) >= configuration.guests {
            return (.crowded, "\(configuration.guests) guests are here already")
        }
        return nil
    }

    func note(_ level: LogLevel, _ message: String, from address: SocketAddress) {
        note(level, message, PeerAddress(replica: .none, name: "", address: address))
    }
}
