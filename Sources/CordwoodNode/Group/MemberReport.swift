import CordwoodBase
import CordwoodRaft

/// What a member says of itself when another asks.
///
/// Wire form, little-endian: version (u16) = 1, role (u8), flags (u8; bit 0: it writes no more), term, leader, commit,
/// dispatched, durable and last index (u64 each), start (i64, microseconds since 1970), client address.
struct MemberReport: Hashable {
    var role: RaftRole
    /// Its store takes no more writes.
    var isDegraded: Bool
    var term: Term
    var leader: ReplicaID
    var commit: RaftIndex
    var dispatched: RaftIndex
    var durable: RaftIndex
    var last: RaftIndex
    var startedMicroseconds: Int64
    /// Empty when it serves no clients.
    var clientAddress: String

    private static let version: UInt16 = 1

    init(
        role: RaftRole, isDegraded: Bool, term: Term, leader: ReplicaID, commit: RaftIndex, dispatched: RaftIndex,
        durable: RaftIndex, last: RaftIndex, startedMicroseconds: Int64, clientAddress: String
    ) {
        self.role = role
        self.isDegraded = isDegraded
        self.term = term
        self.leader = leader
        self.commit = commit
        self.dispatched = dispatched
        self.durable = durable
        self.last = last
        self.startedMicroseconds = startedMicroseconds
        self.clientAddress = clientAddress
    }

    func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: Self.version)
        bytes.append(role.rawValue)
        bytes.append(isDegraded ? 1 : 0)
        bytes.append(littleEndian: term.rawValue)
        bytes.append(littleEndian: leader.rawValue)
        for index in [commit, dispatched, durable, last] { bytes.append(littleEndian: index.rawValue) }
        bytes.append(littleEndian: startedMicroseconds)
        bytes.append(text: clientAddress)
        return bytes
    }

    init(decoding bytes: [UInt8]) throws(DecodeError) {
        self = try bytes.decoded { (reader) throws(DecodeError) in
            let version = try reader.integer(UInt16.self)
            guard version == Self.version else { throw .invalid(field: "report version", value: UInt64(version)) }
            let code = try reader.integer(UInt8.self)
            guard let role = RaftRole(rawValue: code) else { throw .invalid(field: "role", value: UInt64(code)) }
            let flags = try reader.integer(UInt8.self)
            return MemberReport(
                role: role, isDegraded: flags & 1 != 0, term: try reader.position(),
                leader: try reader.position(), commit: try reader.position(), dispatched: try reader.position(),
                durable: try reader.position(), last: try reader.position(),
                startedMicroseconds: try reader.integer(Int64.self), clientAddress: try reader.text())
        }
    }
}

/// What the other members have said of themselves.
struct MemberReports {
    struct Received {
        var report: MemberReport
        var receivedNanoseconds: UInt64
        var roundTripNanoseconds: UInt64
    }

    var received: [ReplicaID: Received] = [:]
    /// The tick at which a member is asked again.
    var nextTick: [ReplicaID: UInt64] = [:]
    var underWay: Set<ReplicaID> = []
}
