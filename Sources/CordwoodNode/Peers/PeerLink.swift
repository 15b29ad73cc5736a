import CordwoodBase
import CordwoodIO
import CordwoodRaft

/// The connection by which this node sends consensus messages to one peer, and the task that keeps it up.
///
/// Messages wait while it is being made. When it breaks or cannot be made, what waits is dropped: it is old by then,
/// and consensus sends again.
final class PeerLink {
    let replica: ReplicaID
    private(set) var peer: PeerAddress
    /// In the group, and not only known from its own connection.
    var isMember: Bool

    private unowned let transport: PeerTransport
    private let outbox: PeerOutbox
    private let pause = LoopSignal()
    private var session: PeerSession?
    private var isClosed = false
    private var failures = PeerFailures()

    init(_ peer: PeerAddress, isMember: Bool, _ transport: PeerTransport) {
        self.peer = peer
        self.isMember = isMember
        self.transport = transport
        replica = peer.replica
        outbox = transport.makeOutbox()
    }

    var isConnected: Bool { session != nil }

    var status: PeerStatus {
        PeerStatus(
            peer: peer, isMember: isMember, isConnected: isConnected, queuedBytes: outbox.bytes,
            failedAttempts: failures.count)
    }

    func send(_ message: RaftMessage, _ entries: ArraySlice<Entry>, _ attachment: [UInt8]) {
        let isTaken = outbox.append(message, entries, attachment: attachment)
        if !isTaken { transport.tellUnreachable(replica) }
    }

    /// The peer is known to be up: no need to wait any longer.
    func hurry() {
        guard session == nil else { return }
        failures.reset()
        pause.raise()
    }

    /// The peer is somewhere else now.
    func move(to peer: PeerAddress) {
        guard peer.address != self.peer.address else { return }
        self.peer = peer
        session?.end("the peer has moved to \(peer.address)")
        hurry()
    }

    func close() {
        isClosed = true
        session?.end("no longer wanted")
        pause.raise()
    }

    /// Dials, sends until the connection breaks, and begins again.
    func run() async {
        while !isClosed {
            let nanoseconds: UInt64
            do throws(PeerError) {
                let session = try await transport.dial(peer.address, .consensus, target: replica, outbox)
                nanoseconds = await converse(session)
            } catch {
                nanoseconds = transport.pause(after: error, &failures, peer)
            }
            if !outbox.isEmpty {
                outbox.removeAll()
                transport.tellUnreachable(replica)
            }
            if !isClosed { await pause.wait(transport.clock, nanoseconds: nanoseconds) }
        }
    }

    /// Lives with a session until it ends; returns how long to wait then.
    private func converse(_ session: PeerSession) async -> UInt64 {
        if isClosed {
            session.end("no longer wanted")
            return 0
        }
        self.session = session
        failures.reset()
        transport.note(.info, "connected", peer)
        outbox.willSend = { [unowned self] in fits($0, session) }
        transport.spawn("peer reader") {
            repeat {
                if session.nextFrame() != nil { session.end("a frame where none belongs") }
            } while await session.receive()
        }
        await session.write()
        self.session = nil
        transport.note(.info, "connection lost: \(session.ending ?? "")", peer)
        transport.tellUnreachable(replica)
        return transport.configuration.backOffNanoseconds / 2
    }

    private func fits(_ item: PeerOutbox.Item, _ session: PeerSession) -> Bool {
        let bytes = item.bytes - PeerFrame.headerBytes
        if bytes <= session.maxBodyBytes { return true }
        transport.note(.error, "a message of \(bytes) bytes, where the peer takes \(session.maxBodyBytes)", peer)
        transport.tellUnreachable(replica)
        return false
    }
}

/// Attempts that failed since the last that did not.
struct PeerFailures {
    private(set) var count = 0

    mutating func reset() { count = 0 }

    /// The pause after one more failure: it doubles up to a limit, and its second half is drawn.
    mutating func next(_ configuration: PeerConfiguration, _ random: any RandomSource) -> UInt64 {
        count += 1
        var whole = configuration.backOffNanoseconds
        for _ in 1..<count where whole < configuration.maxBackOffNanoseconds { whole *= 2 }
        whole = min(whole, configuration.maxBackOffNanoseconds)
        return whole / 2 + random.next(below: max(1, whole / 2))
    }
}
