public import CordwoodBase
public import CordwoodRaft

/// The group as the node knows it: who is in it under which name, which ids were ever given out, and what was fixed
/// when the group was made. It lives in the system checkpoint and changes by configuration entries.
public struct Membership: Hashable, Sendable {
    /// One incarnation of a disk, under the operator's name for its node.
    public struct Member: Hashable, Sendable {
        public var replica: ReplicaID
        public var name: String
        /// Where its peers reach it; empty in a group of one.
        public var address: String

        public init(replica: ReplicaID, name: String, address: String = "") {
            self.replica = replica
            self.name = name
            self.address = address
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

    // Stored form, little-endian: version (u16) = 1, partition count (u32), next replica (u64), configuration index
    // (u64), the configuration, number of members (u16), per member replica (u64) and two strings (u16 length, UTF-8).

    private static let version: UInt16 = 1

    public func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: Self.version)
        bytes.append(littleEndian: UInt32(partitionCount))
        bytes.append(littleEndian: nextReplica.rawValue)
        bytes.append(littleEndian: configurationIndex.rawValue)
        configuration.encode(into: &bytes)
        bytes.append(littleEndian: UInt16(members.count))
        for member in members {
            bytes.append(littleEndian: member.replica.rawValue)
            for text in [member.name, member.address] {
                bytes.append(littleEndian: UInt16(text.utf8.count))
                bytes.append(contentsOf: text.utf8)
            }
        }
        return bytes
    }

    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        let result: Result<Membership, DecodeError> = bytes.withUnsafeBytes { raw in
            do throws(DecodeError) {
                var reader = ByteReader(raw)
                return .success(try Membership(from: &reader))
            } catch {
                return .failure(error)
            }
        }
        self = try result.get()
    }

    private init(from reader: inout ByteReader) throws(DecodeError) {
        func text(_ reader: inout ByteReader) throws(DecodeError) -> String {
            let length = Int(try reader.integer(UInt16.self))
            return String(decoding: try reader.take(length), as: UTF8.self)
        }
        let version = try reader.integer(UInt16.self)
        guard version == Self.version else { throw .invalid(field: "membership version", value: UInt64(version)) }
        let partitions = try reader.integer(UInt32.self)
        guard PartitionDispatcherConfiguration.partitionCounts.contains(Int(partitions)) else {
            throw .invalid(field: "partition count", value: UInt64(partitions))
        }
        let nextReplica: ReplicaID = try reader.ordinal()
        let configurationIndex: RaftIndex = try reader.ordinal()
        let configuration = try GroupConfiguration(from: &reader)
        let count = Int(try reader.integer(UInt16.self))
        var members: [Member] = []
        for _ in 0..<count {
            let replica: ReplicaID = try reader.ordinal()
            guard replica < nextReplica, members.last.map({ $0.replica < replica }) ?? true else {
                throw .invalid(field: "member", value: replica.rawValue)
            }
            members.append(Member(replica: replica, name: try text(&reader), address: try text(&reader)))
        }
        guard reader.remaining == 0 else {
            throw .invalid(field: "bytes after a membership", value: UInt64(reader.remaining))
        }
        self.init(
            configuration: configuration, members: members, nextReplica: nextReplica, partitionCount: Int(partitions),
            configurationIndex: configurationIndex)
    }
}
