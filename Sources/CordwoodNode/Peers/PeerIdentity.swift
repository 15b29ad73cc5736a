public import CordwoodBase
public import CordwoodIO

/// Who a node is to its peers; said first on every connection.
public struct PeerIdentity: Hashable, Sendable {
    /// `.none` while the node has not joined a cluster.
    public var cluster: UniqueID
    /// The operator's name for the node.
    public var name: String
    /// `.none` while the node has not joined.
    public var replica: ReplicaID
    /// Where this node can be dialled, for peers that do not know it yet; `nil` when it cannot.
    public var address: SocketAddress?

    public init(cluster: UniqueID, name: String, replica: ReplicaID, address: SocketAddress? = nil) {
        self.cluster = cluster
        self.name = name
        self.replica = replica
        self.address = address
    }
}

/// Where a member is reached.
public struct PeerAddress: Hashable, Sendable {
    public var replica: ReplicaID
    public var name: String
    public var address: SocketAddress

    public init(replica: ReplicaID, name: String, address: SocketAddress) {
        self.replica = replica
        self.name = name
        self.address = address
    }
}

/// How the consensus connection to a peer stands.
public struct PeerStatus: Hashable, Sendable {
    public var peer: PeerAddress
    /// False for one that is known from its own connection alone.
    public var isMember: Bool
    public var isConnected: Bool
    /// What waits for the connection, in bytes.
    public var queuedBytes: Int
    /// Attempts to connect that failed since the last that did not.
    public var failedAttempts: Int
}
