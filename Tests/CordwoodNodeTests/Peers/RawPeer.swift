import CordwoodBase
import CordwoodIO
import CordwoodRaft

@testable import CordwoodNode

/// The other end of a connection, played by hand: it says and hears frames one at a time, and does what it is told.
final class RawPeer {
    let connection: any Connection
    private let receiver: FrameReceiver
    private var seal = FrameSeal.handshake

    init(_ connection: any Connection) {
        self.connection = connection
        receiver = FrameReceiver(connection)
    }

    /// Dials a transport and is welcomed.
    static func dial(
        _ peer: PeerUnderTest, as replica: ReplicaID, _ seams: Seams, _ kind: PeerConnectionKind = .consensus
    ) async throws -> RawPeer {
        let raw = RawPeer(try await seams.network.connect(peer.address.address))
        let hello = PeerHello(
            connection: kind,
            identity: PeerIdentity(cluster: testCluster, name: "raw-\(replica)", replica: replica),
            target: peer.replica, nonce: 5, maxBodyBytes: 1 << 20)
        try await raw.say(.hello(hello))
        guard case .welcome(let welcome) = try await raw.hear() else { throw PeerTestError.unexpected }
        raw.begin(dialled: 5, accepted: welcome.nonce, hasDialled: true)
        return raw
    }

    /// Takes the next connection of a listener and welcomes whoever it is.
    static func accept(
        _ listener: any Listener, as replica: ReplicaID, maxBodyBytes: Int = 1 << 20
    ) async throws -> (RawPeer, PeerHello) {
        let raw = RawPeer(try await listener.accept())
        guard case .hello(let hello) = try await raw.hear() else { throw PeerTestError.unexpected }
        let welcome = PeerWelcome(
            version: 1, maxBodyBytes: maxBodyBytes, cluster: testCluster, replica: replica, nonce: 6, name: "raw")
        try await raw.say(.welcome(welcome))
        raw.begin(dialled: hello.nonce, accepted: 6, hasDialled: false)
        return (raw, hello)
    }

    private func begin(dialled: UInt64, accepted: UInt64, hasDialled: Bool) {
        seal = FrameSeal(dialled: dialled, accepted: accepted, fromDialled: !hasDialled)
        receiver.adopt(
            FrameSeal(dialled: dialled, accepted: accepted, fromDialled: hasDialled), maxBodyBytes: 1 << 20)
    }

    func say(_ frame: PeerFrame) async throws {
        try await say(bytes: sealed(frame, seal))
        if frame.kind != .hello, frame.kind != .welcome, frame.kind != .refusal { seal.advance() }
    }

    func say(bytes: [UInt8]) async throws {
        let buffer = IOBuffer(count: bytes.count)
        buffer.bytes.copyBytes(from: bytes)
        try await connection.send(buffer, 0..<bytes.count)
    }

    /// The next frame that is no sign of life.
    func hear() async throws -> PeerFrame {
        while true {
            while let frame = try receiver.take() {
                if frame.kind != .alive { return try PeerFrame(frame.kind, body: frame.body) }
            }
            guard try await receiver.fill() else { throw PeerTestError.finished }
        }
    }

    /// Returns when the other side has ended the connection.
    func hearEnd() async {
        do {
            while true { _ = try await hear() }
        } catch {}
    }
}
