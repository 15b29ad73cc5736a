public import CordwoodBase
public import CordwoodIO

/// What a node asks of another. Raw values are those of the wire.
public enum PeerService: UInt8, Hashable, Sendable, CaseIterable {
    /// A client's command, passed on to the leader.
    case forward = 1
    /// A piece of a snapshot.
    case piece = 2
    /// A node asks to become a member. The one service that a node outside the group may use.
    case join = 3
    /// An operator's command.
    case operate = 4
    /// Intact entries in place of damaged ones.
    case repair = 5
    /// How a member is, and where its clients reach it.
    case report = 6
}

/// Which of two connections a call takes, so that bulk never delays what is small.
public enum PeerLane: UInt8, Hashable, Sendable, CaseIterable {
    case control
    case bulk
}

/// Who calls.
public struct PeerCaller: Hashable, Sendable {
    /// `.none` for a node that is no member yet.
    public var replica: ReplicaID
    public var name: String
    /// The other end of the connection.
    public var address: SocketAddress
}

/// What a service says.
public enum PeerAnswer: Hashable, Sendable {
    case success([UInt8])
    /// Declined, with the service's own code and a line of text.
    case refused(code: UInt16, String)
}

/// Codes of refusals that come from the transport and not from a service: 0xff00 and above.
public enum PeerRefusalCode {
    /// The peer does not offer the service, or not to this caller.
    public static let unavailable: UInt16 = 0xff00
    /// The answer does not fit a frame.
    public static let answerTooLarge: UInt16 = 0xff01
}

/// Why a peer ends a handshake. Raw values are those of the wire.
public enum PeerRefusal: UInt16, Hashable, Sendable, CaseIterable {
    /// No version of the protocol that both speak.
    case version = 1
    /// The two belong to different clusters.
    case cluster = 2
    /// The replica has been removed; its id is never used again.
    case retired = 3
    /// The one that was dialled is another replica, or the one that dials bears the other's own id.
    case replica = 4
    /// Too many connections.
    case crowded = 5
    /// The one that was dialled is no member of a cluster yet.
    case notReady = 6
}

/// Why a call has no answer.
public enum PeerError: Error, Hashable, Sendable, CustomStringConvertible {
    /// There is no connection, and nothing of the request has left this node: it may be sent again.
    case unreachable(String)
    /// The peer's queue on this node is full; nothing has left this node.
    case busy
    /// The connection broke behind the request. The peer may have acted on it.
    case lost(String)
    /// No answer in time. The peer may have acted on the request.
    case timedOut
    /// The service declined, by its code or one of `PeerRefusalCode`.
    case refused(code: UInt16, String)
    case wrongCluster(String)
    /// The peer says that this replica has been removed.
    case retired(String)
    /// The peer ended the handshake for another reason.
    case rejected(PeerRefusal, String)
    /// The request does not fit a frame.
    case tooLarge(bytes: Int, limit: Int)
    /// The transport has been closed.
    case closed

    /// Whether the peer may have acted on the request.
    public var mayHaveActed: Bool {
        switch self {
        case .lost, .timedOut: true
        default: false
        }
    }

    /// Whether nothing of the request has left this node, so that it may be sent again as it is.
    var hasNotLeft: Bool {
        switch self {
        case .unreachable, .busy, .wrongCluster, .retired, .rejected, .closed: true
        case .lost, .timedOut, .refused, .tooLarge: false
        }
    }

    init(_ refusal: PeerRefusal, _ text: String) {
        switch refusal {
        case .cluster: self = .wrongCluster(text)
        case .retired: self = .retired(text)
        case .version, .replica, .crowded, .notReady: self = .rejected(refusal, text)
        }
    }

    public var description: String {
        switch self {
        case .unreachable(let text): "unreachable: \(text)"
        case .busy: "too much is queued for the peer"
        case .lost(let text): "connection lost: \(text)"
        case .timedOut: "no answer in time"
        case .refused(let code, let text): "refused (\(code)): \(text)"
        case .wrongCluster(let text): "another cluster: \(text)"
        case .retired(let text): "retired: \(text)"
        case .rejected(let refusal, let text): "rejected (\(refusal)): \(text)"
        case .tooLarge(let bytes, let limit): "\(bytes) bytes do not fit a frame of \(limit)"
        case .closed: "closed"
        }
    }
}
