import CordwoodBase
public import CordwoodIO
import CordwoodRaft

/// How a node whose directory is empty comes into a group. A directory that has a log belongs to its group already, and
/// nothing here changes that.
public enum GroupStart: Hashable, Sendable {
    /// Makes a group of one; others may join it.
    case alone
    /// Makes a group together with the others that are named, this node among them. It begins once all of them have
    /// been heard.
    case founding([Founder])
    /// Asks one of these members to be taken in, as a learner first.
    case joining([SocketAddress])

    /// Whether a new directory is one of several from the start.
    var meetsOthers: Bool {
        switch self {
        case .alone: false
        case .founding(let founders): founders.count > 1
        case .joining: true
        }
    }

    /// A member of the first configuration.
    public struct Founder: Hashable, Sendable {
        public var name: String
        public var address: SocketAddress

        public init(name: String, address: SocketAddress) {
            self.name = name
            self.address = address
        }
    }
}

/// Where a new directory belongs: as whom it opens its log, and who else is there.
struct Admission: Hashable {
    var cluster: UniqueID
    var replica: ReplicaID
    /// Of a founder the first configuration; of one that joins the members whom it may meet, without a configuration:
    /// the group's own comes with the first snapshot.
    var membership: Membership

    /// The first configuration of a group, once the directories of all founders are known. Everyone who knows them
    /// comes to the same one, under the same cluster id.
    init(founding founders: [GroupStart.Founder], nodes: [String: UniqueID], partitionCount: Int, as name: String) {
        let members = founders.sorted { $0.name < $1.name }.enumerated().map { place, founder in
            Membership.Member(
                replica: ReplicaID(UInt64(place + 1)), name: founder.name, address: "\(founder.address)",
                node: nodes[founder.name] ?? .none)
        }
        membership = Membership(
            configuration: GroupConfiguration(voters: members.map(\.replica)), members: members,
            nextReplica: ReplicaID(UInt64(members.count + 1)), partitionCount: partitionCount, configurationIndex: 1)
        let hash = membership.encoded().withUnsafeBytes { Checksum.xxh3Wide($0, seed: 0) }
        cluster = UniqueID(high: hash.high, low: hash.low)
        replica = membership.member(named: name)?.replica ?? .none
    }

    init(cluster: UniqueID, replica: ReplicaID, membership: Membership) {
        self.cluster = cluster
        self.replica = replica
        self.membership = membership
    }

    /// Whether the log is to begin behind the entry that stands for the first configuration.
    var isFounding: Bool { !membership.configuration.voters.isEmpty }

    /// Stands for the first configuration at index 1, so that whoever joins later is behind the log and gets the
    /// configuration with a snapshot. Its chain is equal on all founders and differs from any other group's.
    var foundingBoundary: LogBoundary {
        LogBoundary(index: 1, term: 1, chain: ChainValue(high: cluster.high, low: cluster.low))
    }

    func encode(into bytes: inout [UInt8]) {
        bytes.append(cluster)
        bytes.append(littleEndian: replica.rawValue)
        let membership = membership.encoded()
        bytes.append(littleEndian: UInt32(membership.count))
        bytes.append(contentsOf: membership)
    }

    init(from reader: inout ByteReader) throws(DecodeError) {
        cluster = try reader.uniqueID()
        replica = try reader.position()
        let length = Int(try reader.integer(UInt32.self))
        membership = try Membership(decoding: [UInt8](try reader.take(length)))
    }
}
