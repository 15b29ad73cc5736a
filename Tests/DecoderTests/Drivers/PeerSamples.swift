import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft

@testable import CordwoodNode

/// What nodes say to each other when all is well.
enum PeerSamples {
    static let cluster = UniqueID(high: 1, low: 2)
    static let node = UniqueID(high: 3, low: 4)

    static let membership = Membership(
        configuration: GroupConfiguration(voters: [1, 2, 3], learners: [4]),
        members: (1...4).map {
            Membership.Member(replica: ReplicaID($0), name: "node-\($0)", address: "host:\($0)", node: node)
        }, nextReplica: 5, partitionCount: 16, configurationIndex: 9)

    static let admission = Admission(cluster: cluster, replica: 4, membership: membership)

    static let manifest = SnapshotManifest(
        boundary: LogBoundary(index: 40, term: 2, chain: ChainValue(high: 1, low: 2)), timestampMicroseconds: 5,
        membership: membership, sessions: SessionTable(capacity: 4),
        partitions: [
            SnapshotManifest.Partition(
                line: .init(partition: 1, persisted: 9, raftIndex: 30, chain: ChainValue(high: 3, low: 4)), first: 4,
                snapshot: SnapshotFile(
                    partition: 1, index: 5, byteCount: 700, checksum: ChainValue(high: 5, low: 6))),
            SnapshotManifest.Partition(
                line: .init(partition: 7, persisted: 2, raftIndex: 40, chain: ChainValue(high: 7, low: 8)), first: 1),
        ])

    static func sealedManifest(_ body: [UInt8]) -> [UInt8] {
        let check = body.withUnsafeBytes { Checksum.xxh3Wide($0, seed: SnapshotManifest.seed) }
        return body + [UInt8](littleEndian: check.low) + [UInt8](littleEndian: check.high)
    }

    // MARK: Frames

    static let frames: [PeerFrame] = {
        let identity = PeerIdentity(
            cluster: cluster, name: "node-1", replica: 1, address: SocketAddress(host: "host", port: 7000))
        var append = RaftMessage(.append, from: 1, to: 2, term: 5)
        append.index = 0
        append.entryCount = UInt32(LogSamples.entries.count)
        var vote = RaftMessage(.vote, from: 1, to: 2, term: 5)
        vote.isTransfer = true
        return [
            .hello(
                PeerHello(connection: .consensus, identity: identity, target: 2, nonce: 0xfeed, maxBodyBytes: 1 << 20)),
            .welcome(
                PeerWelcome(
                    version: 1, maxBodyBytes: 1 << 20, cluster: cluster, replica: 2, nonce: 7, name: "node-2")),
            .refusal(PeerParting(.cluster, cluster: cluster, "not here")),
            .message(append, LogSamples.entries[...], attachment: []),
            .message(vote, [], attachment: []),
            .message(RaftMessage(.snapshot, from: 1, to: 2, term: 5), [], attachment: [1, 2, 3]),
            .request(number: 77, service: PeerService.forward.rawValue, [1, 2, 3]),
            .answer(number: 77, .success([4, 5])), .answer(number: 78, .refused(code: 3, "no")), .alive,
        ]
    }()

    static func body(of frame: PeerFrame) -> [UInt8] {
        var body = [UInt8](repeating: 0, count: frame.bodyBytes)
        body.withUnsafeMutableBytes {
            var writer = ByteWriter($0)
            frame.encodeBody(into: &writer)
        }
        return body
    }

    static func whole(_ frame: PeerFrame) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: PeerFrame.headerBytes) + body(of: frame)
        bytes.withUnsafeMutableBytes { PeerFrameHeader.seal($0, kind: frame.kind, .handshake) }
        return bytes
    }

    // MARK: Calls

    static let commands = [
        ForwardedCommand(partition: 3, acknowledgement: .quorum, payload: [1, 2]),
        ForwardedCommand(partition: 4, acknowledgement: .durable, payload: []),
    ]

    static let outcomes: [ForwardedOutcome] = [
        .applied(5, timestampMicroseconds: 6, ApplyOutcome(answer: [1, 2, 3], refused: true, eventCount: 4)),
        .durable(7), .aborted, .rejected(ForwardRejection(kind: .busy, text: "later")), .unknown("who knows"),
    ]

    static let operations: [MemberOperation] = [
        .add(name: "d", address: "host:1", node: node), .promote(name: "d"), .demote(name: "d"), .remove(name: "d"),
        .replace(old: "a", new: "d"), .move(name: "a", address: "host:2"), .transfer(name: "b"), .transfer(name: nil),
        .leaveJoint,
    ]

    static let joinRequests: [JoinRequest] = [
        .found(shape: 9, name: "a", node: node), .join(name: "d", address: "host:4", node: node),
    ]

    static let joinAnswers: [JoinAnswer] = [.founding(node: node), .admitted(admission)]

    static let report = MemberReport(
        role: .follower, isDegraded: true, term: 5, leader: 1, commit: 9, dispatched: 9, durable: 10, last: 11,
        startedMicroseconds: 12, clientAddress: "host:6379")

    static let changes: [MembershipChange] = [
        MembershipChange(.leaveJoint),
        MembershipChange(
            ConfigurationChange([.addVoter(4), .remove(2), .addLearner(5), .update(3)]),
            members: [.init(replica: 5, name: "node-5", address: "host:5", node: node)]),
    ]
}
