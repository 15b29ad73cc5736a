import CordwoodBase
import CordwoodIO

/// What a connection is for. Raw values are those of the wire.
enum PeerConnectionKind: UInt8, Hashable, CaseIterable {
    case consensus = 1
    case control = 2
    case bulk = 3
    /// One call to whoever listens at an address.
    case guest = 4

    init(_ lane: PeerLane) {
        switch lane {
        case .control: self = .control
        case .bulk: self = .bulk
        }
    }
}

/// First on every connection, by the one that dials.
struct PeerHello: Hashable {
    static let magic: UInt64 = 0x5352_4545_5044_5743  // "CWDPEERS"
    var versions: ClosedRange<UInt16> = PeerFrame.versions
    var connection: PeerConnectionKind
    var identity: PeerIdentity
    /// Whom it means to reach; `.none` for whoever is there.
    var target: ReplicaID
    /// Its half of the seed.
    var nonce: UInt64
    /// Largest body that it takes.
    var maxBodyBytes: Int

    private var host: String { identity.address?.host ?? "" }

    var encodedBytes: Int { 62 + 4 + identity.name.utf8.count + host.utf8.count }

    func encode(into writer: inout ByteWriter) {
        writer.integer(PeerHello.magic)
        writer.integer(versions.lowerBound)
        writer.integer(versions.upperBound)
        writer.integer(connection.rawValue)
        writer.zeros(3)
        writer.uniqueID(identity.cluster)
        writer.ordinal(identity.replica)
        writer.ordinal(target)
        writer.integer(nonce)
        writer.integer(UInt32(maxBodyBytes))
        writer.integer(identity.address?.port ?? 0)
        writer.text(identity.name)
        writer.text(host)
    }

    init(
        connection: PeerConnectionKind, identity: PeerIdentity, target: ReplicaID, nonce: UInt64, maxBodyBytes: Int
    ) {
        self.connection = connection
        self.identity = identity
        self.identity.name = identity.name.fittingHandshake
        if let address = identity.address, address.host.isEmpty || address.port == 0 || address.host.utf8.count > 512 {
            self.identity.address = nil
        }
        self.target = target
        self.nonce = nonce
        self.maxBodyBytes = maxBodyBytes
    }

    init(from reader: inout ByteReader) throws(DecodeError) {
        let magic = try reader.integer(UInt64.self)
        guard magic == PeerHello.magic else { throw .invalid(field: "magic of a peer", value: magic) }
        let oldest = try reader.integer(UInt16.self)
        let newest = try reader.integer(UInt16.self)
        guard oldest <= newest else { throw .invalid(field: "versions of a peer", value: UInt64(oldest)) }
        versions = oldest...newest
        let rawConnection = try reader.integer(UInt8.self)
        guard let connection = PeerConnectionKind(rawValue: rawConnection) else {
            throw .invalid(field: "kind of a connection", value: UInt64(rawConnection))
        }
        self.connection = connection
        try reader.zeros(3)
        let cluster = try reader.uniqueID()
        let replica = try reader.ordinal(ReplicaID.self)
        target = try reader.ordinal()
        nonce = try reader.integer()
        maxBodyBytes = Int(try reader.integer(UInt32.self))
        let port = try reader.integer(UInt16.self)
        let name = try reader.text()
        let host = try reader.text()
        guard (port == 0) == host.isEmpty else { throw .invalid(field: "port of a peer", value: UInt64(port)) }
        identity = PeerIdentity(
            cluster: cluster, name: name, replica: replica,
            address: host.isEmpty ? nil : SocketAddress(host: host, port: port))
    }
}

/// The answer to a hello that is accepted.
struct PeerWelcome: Hashable {
    var version: UInt16
    /// Largest body that this end takes.
    var maxBodyBytes: Int
    var cluster: UniqueID
    var replica: ReplicaID
    var nonce: UInt64
    var name: String

    var encodedBytes: Int { 40 + 2 + name.utf8.count }

    func encode(into writer: inout ByteWriter) {
        writer.integer(version)
        writer.zeros(2)
        writer.integer(UInt32(maxBodyBytes))
        writer.uniqueID(cluster)
        writer.ordinal(replica)
        writer.integer(nonce)
        writer.text(name)
    }

    init(version: UInt16, maxBodyBytes: Int, cluster: UniqueID, replica: ReplicaID, nonce: UInt64, name: String) {
        self.version = version
        self.maxBodyBytes = maxBodyBytes
        self.cluster = cluster
        self.replica = replica
        self.nonce = nonce
        self.name = name.fittingHandshake
    }

    init(from reader: inout ByteReader) throws(DecodeError) {
        version = try reader.integer()
        try reader.zeros(2)
        maxBodyBytes = Int(try reader.integer(UInt32.self))
        cluster = try reader.uniqueID()
        replica = try reader.ordinal()
        nonce = try reader.integer()
        name = try reader.text()
    }
}

/// The end of a handshake that fails, said by the one who ends it.
struct PeerParting: Hashable {
    var reason: PeerRefusal
    var cluster: UniqueID
    var text: String

    var encodedBytes: Int { 24 + 2 + text.utf8.count }

    func encode(into writer: inout ByteWriter) {
        writer.integer(reason.rawValue)
        writer.zeros(6)
        writer.uniqueID(cluster)
        writer.text(text)
    }

    init(_ reason: PeerRefusal, cluster: UniqueID, _ text: String) {
        self.reason = reason
        self.cluster = cluster
        self.text = text.fittingHandshake
    }

    init(from reader: inout ByteReader) throws(DecodeError) {
        let rawReason = try reader.integer(UInt16.self)
        guard let reason = PeerRefusal(rawValue: rawReason) else {
            throw .invalid(field: "reason of a refusal", value: UInt64(rawReason))
        }
        self.reason = reason
        try reader.zeros(6)
        cluster = try reader.uniqueID()
        text = try reader.text()
    }
}

extension String {
    /// The text, cut to what a frame of the handshake has room for.
    fileprivate var fittingHandshake: String {
        var text = self
        while text.utf8.count > 512 { text.removeLast() }
        return text
    }
}
