public import CordwoodBase
public import CordwoodRaft

/// The group as the node knows it: who is in it under which name, which ids were ever given out, and what was fixed
/// when the group was made. It lives in the system checkpoint and changes by configuration entries.
public struct Membership: Hashable, Sendable {
    /// One incarnation of a disk, under the operator's name for its node.
    public struct Member: Hashable, Sendable {
        public var replica: ReplicaID
        public var name: String
        /// Where its peers reach it; empty in a group of one that never had peers.
        public var address: String
        /// The directory that goes by this replica's id; `.none` while nobody has come for it. It never changes once
        /// it is set: a directory that was made anew has another id and is another replica.
        public var node: UniqueID

        public init(replica: ReplicaID, name: String, address: String = "", node: UniqueID = .none) {
            self.replica = replica
            self.name = name
            self.address = address
            self.node = node
        }
    }

    public var configuration: GroupConfiguration
    /// Ascending by replica.
    public var members: [Member]
    /// The next id to give out; ids are never reused.
    public var nextReplica: ReplicaID
    /// Fixed for a routing epoch.
    public var partitionCount: Int
    /// Raft index of the newest configuration entry that is in force.
    public var configurationIndex: RaftIndex

    public init(
        configuration: GroupConfiguration, members: [Member], nextReplica: ReplicaID, partitionCount: Int,
        configurationIndex: RaftIndex = 0
    ) {
        self.configuration = configuration
        self.members = members
        self.nextReplica = nextReplica
        self.partitionCount = partitionCount
        self.configurationIndex = configurationIndex
    }

    /// A group of one voter.
    public static func single(_ name: String, partitionCount: Int) -> Membership {
        Membership(
            configuration: GroupConfiguration(voters: [1]), members: [Member(replica: 1, name: name)], nextReplica: 2,
            partitionCount: partitionCount)
    }

    public func member(_ replica: ReplicaID) -> Member? { members.first { $0.replica == replica } }

    public func member(named name: String) -> Member? { members.first { $0.name == name } }

    /// Whether the id was given out once and belongs to nobody any more. One that joins has no configuration yet and
    /// cannot tell: who let it in may not have known of its leader.
    public func isRetired(_ replica: ReplicaID) -> Bool {
        configurationIndex > 0 && replica < nextReplica && member(replica) == nil
    }

    /// Takes up a change that the group has agreed on. `configuration` is what the core made of its steps.
    mutating func apply(_ change: MembershipChange, leading configuration: GroupConfiguration, at index: RaftIndex) {
        for member in change.members {
            members.removeAll { $0.replica == member.replica }
            members.append(member)
            nextReplica = max(nextReplica, member.replica.next)
        }
        members.removeAll { !configuration.contains($0.replica) }
        members.sort { $0.replica < $1.replica }
        self.configuration = configuration
        configurationIndex = index
    }
}

// Stored form, little-endian: version (u16), partition count (u32), next replica (u64), configuration index (u64), the
// configuration, number of members (u16), and the members. A member: replica (u64), two strings (u16 length, UTF-8),
// and from version 2 on the id of its node (16 bytes).

extension Membership {
    private static let version: UInt16 = 2

    public func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: Self.version)
        bytes.append(littleEndian: UInt32(partitionCount))
        bytes.append(littleEndian: nextReplica.rawValue)
        bytes.append(littleEndian: configurationIndex.rawValue)
        configuration.encode(into: &bytes)
        bytes.append(littleEndian: UInt16(members.count))
        for member in members { member.encode(into: &bytes) }
        return bytes
    }

    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        self = try bytes.decoded { (reader) throws(DecodeError) in try Membership(from: &reader) }
    }

    private init(from reader: inout ByteReader) throws(DecodeError) {
        let version = try reader.integer(UInt16.self)
        guard (1...Self.version).contains(version) else {
            throw .invalid(field: "membership version", value: UInt64(version))
        }
        let partitions = try reader.integer(UInt32.self)
        guard PartitionDispatcherConfiguration.partitionCounts.contains(Int(partitions)) else {
            throw .invalid(field: "partition count", value: UInt64(partitions))
        }
        let nextReplica: ReplicaID = try reader.position()
        let configurationIndex: RaftIndex = try reader.position()
        let configuration = try GroupConfiguration(from: &reader)
        let count = Int(try reader.integer(UInt16.self))
        var members: [Member] = []
        for _ in 0..<count {
            let member = try Member(from: &reader, hasNode: version > 1)
            guard member.replica < nextReplica, members.last.map({ $0.replica < member.replica }) ?? true else {
                throw .invalid(field: "member", value: member.replica.rawValue)
            }
            members.append(member)
        }
        self.init(
            configuration: configuration, members: members, nextReplica: nextReplica, partitionCount: Int(partitions),
            configurationIndex: configurationIndex)
    }
}

extension Membership.Member {
    func encode(into bytes: inout [UInt8]) {
        bytes.append(littleEndian: replica.rawValue)
        bytes.append(text: name)
        bytes.append(text: address)
        bytes.append(node)
    }

    init(from reader: inout ByteReader, hasNode: Bool = true) throws(DecodeError) {
        let replica: ReplicaID = try reader.position()
        let name = try reader.text()
        let address = try reader.text()
        self.init(replica: replica, name: name, address: address, node: hasNode ? try reader.uniqueID() : .none)
    }
}
