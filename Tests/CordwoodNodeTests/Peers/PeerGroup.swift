import CordwoodBase
import CordwoodIO
import CordwoodNode
import CordwoodRaft

let testCluster = UniqueID(high: 0xc0, low: 0xde)

/// A transport with a memory of what it was told.
final class PeerUnderTest {
    let transport: PeerTransport
    let replica: ReplicaID
    private(set) var address: PeerAddress
    private(set) var messages: [RaftMessage] = []
    private(set) var entries: [Entry] = []
    private(set) var attachments: [[UInt8]] = []
    private(set) var unreachable: [ReplicaID] = []
    private(set) var refusals: [PeerRefusal] = []
    var onMessage: (RaftMessage) -> Void = { _ in }

    let log = RecordingLog()

    init(
        _ replica: ReplicaID, cluster: UniqueID = testCluster, seams: Seams,
        _ change: (inout PeerConfiguration) -> Void = { _ in }
    ) {
        var configuration = PeerConfiguration()
        change(&configuration)
        let name = "node-\(replica)"
        self.replica = replica
        address = PeerAddress(replica: replica, name: name, address: SocketAddress(host: name, port: 0))
        transport = PeerTransport(
            identity: PeerIdentity(cluster: cluster, name: name, replica: replica), configuration: configuration,
            seams: seams, log: log)
        transport.onMessage = { [unowned self] message, entries, attachment in
            messages.append(message)
            self.entries.append(contentsOf: entries)
            if !attachment.isEmpty { attachments.append(attachment) }
            onMessage(message)
        }
        transport.onUnreachable = { [unowned self] in unreachable.append($0) }
        transport.onRefused = { [unowned self] reason, _ in refusals.append(reason) }
    }

    /// Listens, on the loopback interface unless the host is named.
    func listen(host: String = "127.0.0.1", port: UInt16 = 0) async throws {
        address.address = try await transport.listen(on: SocketAddress(host: host, port: port))
        transport.identity.address = address.address
    }

    /// A message to a peer whose context tells it from others.
    func send(_ kind: RaftMessage.Kind, to peer: ReplicaID, term: Term = 1, context: UInt64 = 0) {
        var message = RaftMessage(kind, from: replica, to: peer, term: term)
        message.context = context
        transport.send(message)
    }

    /// An append of so many entries behind `index`.
    func sendAppend(to peer: ReplicaID, after index: RaftIndex = 0, count: Int, payloadBytes: Int = 16) {
        var message = RaftMessage(.append, from: replica, to: peer, term: 3)
        message.index = index
        message.logTerm = index == 0 ? 0 : 3
        message.entryCount = UInt32(count)
        let entries = (0..<count).map { sampleEntry(index + UInt64($0 + 1), payloadBytes: payloadBytes) }
        transport.send(message, entries: entries[...])
    }

    func contexts(_ kind: RaftMessage.Kind) -> [UInt64] { messages.filter { $0.kind == kind }.map(\.context) }
}

/// Keeps what is said at the levels that operators see.
final class RecordingLog: LogSink {
    let level = LogLevel.info
    private(set) var events: [LogEvent] = []

    func write(_ event: LogEvent) { events.append(event) }

    func said(_ text: String) -> Bool { events.contains { $0.message.contains(text) } }
}

func sampleEntry(_ index: RaftIndex, payloadBytes: Int = 16) -> Entry {
    let payload = (0..<payloadBytes).map { UInt8(truncatingIfNeeded: $0 &+ Int(index.rawValue)) }
    let slice = EntrySlice(
        partition: PartitionID(index.rawValue % 7), partitionIndex: PartitionLogIndex(index.rawValue),
        previousRaftIndex: index.previous, offset: 0, length: UInt32(payloadBytes))
    return Entry(
        index: index, term: 3, type: .application, timestampMicroseconds: 1_700_000_000_000_000, slices: .one(slice),
        payload: payload)
}

/// Lets every transport know all of them.
func introduce(_ peers: [PeerUnderTest]) {
    for peer in peers { peer.transport.updateMembers(peers.map(\.address)) }
}

enum PeerTestError: Error {
    case tooLate(String)
    case unexpected
    case finished
}

/// Waits until something holds.
func until(_ what: String, _ seams: Seams, seconds: UInt64 = 20, _ holds: () -> Bool) async throws {
    let deadline = seams.clock.monotonicNanoseconds + seconds * 1_000_000_000
    while !holds() {
        if seams.clock.monotonicNanoseconds > deadline { throw PeerTestError.tooLate(what) }
        await seams.clock.sleep(nanoseconds: 1_000_000)
    }
}

/// Nodes that listen on hosts of their own and know each other.
func peerGroup(
    _ count: UInt64, _ seams: Seams, _ change: (inout PeerConfiguration) -> Void = { _ in }
) async throws -> [PeerUnderTest] {
    var peers: [PeerUnderTest] = []
    for number in 1...count {
        let peer = PeerUnderTest(ReplicaID(number), seams: seams, change)
        try await peer.listen(host: "node-\(number)", port: 7000)
        peers.append(peer)
    }
    introduce(peers)
    return peers
}

func close(_ peers: [PeerUnderTest]) async {
    for peer in peers { await peer.transport.close() }
}
