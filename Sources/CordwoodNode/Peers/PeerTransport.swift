public import CordwoodBase
public import CordwoodIO
public import CordwoodRaft

/// How a node talks to its peers.
///
/// Each pair of nodes has a connection a direction for consensus, dialled by the one that sends: fire and forget.
/// Calls, which have answers, travel on connections of their own, one for what is small and one for bulk, so that
/// neither delays a heartbeat. `PeerFrame` states what is on the wire.
///
/// A peer that is slow, gone or hostile costs bounded memory: queues are bounded by bytes, frames by length before
/// memory is taken, strangers by number and time. Nothing here is reliable: what cannot be sent is dropped, and whoever
/// sent it hears of it.
///
/// Confined to the loop of its seams. `close` is to be called before the last reference goes.
public final class PeerTransport {
    public let configuration: PeerConfiguration
    /// Who this node says it is. A change shows on connections that are made from then on.
    public var identity: PeerIdentity

    /// Whether an id has been removed from the group: it is refused, and what it says is dropped.
    public var isRetired: (ReplicaID) -> Bool = { _ in false }
    /// Told of every message of consensus, in order for each peer. The entries' chain values are not known.
    public var onMessage: (RaftMessage, [Entry], _ attachment: [UInt8]) -> Void = { _, _, _ in }
    /// Told that a connection broke, or that messages to a peer were dropped; never from within `send`.
    public var onUnreachable: (ReplicaID) -> Void = { _ in }
    /// Told that a peer refused this node.
    public var onRefused: (PeerRefusal, PeerAddress) -> Void = { _, _ in }
    /// Who answers calls.
    public var services: [PeerService: (PeerCaller, [UInt8]) async -> PeerAnswer] = [:]

    let seams: Seams
    private let log: any LogSink

    /// Ascending by replica; never this one.
    private var links: [PeerLink] = []
    /// In the order in which they were made.
    private var channels: [PeerChannel] = []
    /// Accepted connections behind their handshake, in the order in which they came.
    var accepted: [AcceptedSession] = []
    /// Accepted connections in their handshake, the oldest first.
    var strangers: [any Connection] = []
    /// Dialled connections in theirs.
    var greeted: [any Connection] = []
    private var sessions: [PeerSession] = []
    var listener: (any Listener)?
    private(set) var isClosed = false
    private let watching = LoopSignal()
    private var isWatching = false
    private var unreachable: [ReplicaID] = []
    private var tasks = 0
    private let quiet = LoopSignal()

    public init(
        identity: PeerIdentity, configuration: PeerConfiguration = PeerConfiguration(), seams: Seams,
        log: any LogSink = SilentLog()
    ) {
        self.identity = identity
        self.configuration = configuration
        self.seams = seams
        self.log = log
    }

    var clock: any Clock { seams.clock }

    // MARK: Members

    /// Who is in the group: new members are dialled, connections to and from those gone are ended. This replica may be
    /// among them.
    public func updateMembers(_ members: [PeerAddress]) {
        guard !isClosed else { return }
        for member in members where member.replica != identity.replica && member.replica != .none {
            if let link = link(to: member.replica) {
                link.isMember = true
                link.move(to: member)
            } else {
                addLink(member, isMember: true)
            }
        }
        let wanted = Set(members.map(\.replica))
        for link in links where !wanted.contains(link.replica) { link.isMember = false }
        for session in accepted where isRetired(session.peer.replica) { session.end("retired") }
        forgetStrangers()
        dropStaleChannels()
    }

    /// Channels to peers that are gone, or are somewhere else now.
    private func dropStaleChannels() {
        func isStale(_ channel: PeerChannel) -> Bool {
            guard channel.kind != .guest else { return false }
            return link(to: channel.peer.replica)?.peer.address != channel.peer.address
        }
        for channel in channels where isStale(channel) { channel.close(.unreachable("the peer is gone or has moved")) }
        channels.removeAll(where: isStale)
    }

    /// Whether there is a connection by which messages reach the peer.
    public func isConnected(to replica: ReplicaID) -> Bool { link(to: replica)?.isConnected ?? false }

    /// Peers that are dialled, ascending by replica.
    public var status: [PeerStatus] { links.map(\.status) }

    private func link(to replica: ReplicaID) -> PeerLink? { links.first { $0.replica == replica } }

    private func addLink(_ peer: PeerAddress, isMember: Bool) {
        let link = PeerLink(peer, isMember: isMember, self)
        links.insert(link, at: links.firstIndex { $0.replica > peer.replica } ?? links.count)
        spawn("peer link") { await link.run() }
        watch()
    }

    /// A peer has dialled this node, so it is up. One that is not known to be a member is answered where it says that
    /// it listens, as long as its connection lasts: a new member hears from its leader before it knows the group.
    func meet(_ peer: PeerIdentity) {
        if let link = link(to: peer.replica) {
            if let address = peer.address, !link.isConnected {
                link.move(to: PeerAddress(replica: peer.replica, name: peer.name, address: address))
            }
            link.hurry()
        } else if let address = peer.address {
            addLink(PeerAddress(replica: peer.replica, name: peer.name, address: address), isMember: false)
        }
    }

    /// Links to peers that are no members and do not talk to this node any more.
    func forgetStrangers() {
        for link in links where !isWanted(link) { link.close() }
        links.removeAll { !isWanted($0) }
    }

    private func isWanted(_ link: PeerLink) -> Bool {
        link.isMember
            || accepted.contains { $0.peer.replica == link.replica && $0.kind == .consensus && $0.isLive }
    }

    // MARK: Consensus

    /// Sends a message to `message.to`, some time, or never. `entries` are those that an append names.
    public func send(_ message: RaftMessage, entries: ArraySlice<Entry> = [], attachment: [UInt8] = []) {
        invariant(
            entries.count == (message.kind == .append ? Int(message.entryCount) : 0),
            "\(message.kind) of \(message.entryCount) entries sent with \(entries.count)")
        guard !isClosed else { return }
        if let link = link(to: message.to) {
            link.send(message, entries, attachment)
        } else {
            tellUnreachable(message.to)
        }
    }

    /// Tells of a peer once a turn, when whoever is sending has come to an end.
    func tellUnreachable(_ replica: ReplicaID) {
        guard !isClosed else { return }
        if unreachable.isEmpty {
            seams.scheduler.atEndOfTurn { [weak self] in
                guard let self else { return }
                let replicas = unreachable
                unreachable = []
                for replica in replicas where !isClosed { onUnreachable(replica) }
            }
        }
        if !unreachable.contains(replica) { unreachable.append(replica) }
    }

    // MARK: Calls

    /// Asks a member, and returns its answer.
    ///
    /// Bodies are bounded by the largest frame. `PeerError.mayHaveActed` tells whether a call that failed may have had
    /// its effect.
    public func call(
        _ peer: ReplicaID, _ service: PeerService, _ body: [UInt8], lane: PeerLane = .control,
        timeoutNanoseconds: UInt64
    ) async throws(PeerError) -> [UInt8] {
        if isClosed { throw .closed }
        guard let link = link(to: peer) else { throw .unreachable("replica \(peer) is not known") }
        let kind = PeerConnectionKind(lane)
        dropStaleChannels()
        if let channel = channels.first(where: { $0.peer.replica == peer && $0.kind == kind }) {
            return try await channel.call(service, body, timeoutNanoseconds: timeoutNanoseconds)
        }
        let channel = PeerChannel(link.peer, kind, self)
        channels.append(channel)
        watch()
        return try await channel.call(service, body, timeoutNanoseconds: timeoutNanoseconds)
    }

    /// Asks whoever listens at an address, on a connection of its own.
    public func call(
        address: SocketAddress, _ service: PeerService, _ body: [UInt8], timeoutNanoseconds: UInt64
    ) async throws(PeerError) -> [UInt8] {
        if isClosed { throw .closed }
        let peer = PeerAddress(replica: .none, name: "", address: address)
        let channel = PeerChannel(peer, .guest, self)
        channels.append(channel)
        watch()
        defer {
            channel.close(.closed)
            channels.removeAll { $0 === channel }
        }
        return try await channel.call(service, body, timeoutNanoseconds: timeoutNanoseconds)
    }

    // MARK: Life

    /// Ends every connection, fails every call, and returns when nothing of the transport runs any more but what
    /// services still do.
    public func close() async {
        guard !isClosed else { return }
        isClosed = true
        listener?.close()
        for link in links { link.close() }
        for channel in channels { channel.close(.closed) }
        for connection in strangers + greeted { connection.close() }
        for session in sessions { session.end("closed") }
        watching.raise()
        while tasks > 0 { await quiet.wait() }
        links = []
        channels = []
    }

    func spawn(_ name: String, _ body: @escaping () async -> Void) {
        tasks += 1
        seams.scheduler.spawn(name) { [self] in
            await body()
            tasks -= 1
            if tasks == 0 { quiet.raise() }
        }
    }

    func makeOutbox() -> PeerOutbox {
        PeerOutbox(limitBytes: configuration.queueBytes, urgentLimit: configuration.urgentMessages)
    }

    /// A session is watched over until it ends.
    func adopt(_ session: PeerSession) {
        sessions.append(session)
        watch()
    }

    func forget(_ session: PeerSession) { sessions.removeAll { $0 === session } }

    private func watch() {
        guard !isWatching else { return }
        isWatching = true
        spawn("peer watch") { [self] in
            var last = clock.monotonicNanoseconds
            while !isClosed {
                await watching.wait(clock, nanoseconds: configuration.aliveNanoseconds / 2)
                let now = clock.monotonicNanoseconds
                // This node has stood still itself: what the others said meanwhile has yet to be read.
                let stoodStill = now - last > configuration.aliveNanoseconds * 2
                last = now
                for session in sessions { session.watch(now, configuration, stoodStill: stoodStill) }
                for channel in channels { channel.watch(now, configuration) }
            }
        }
    }

    // MARK: What is told

    func note(_ level: LogLevel, _ message: String, _ peer: PeerAddress) {
        guard level <= log.level else { return }
        log.write(
            LogEvent(
                level, "peer", message,
                fields: [
                    .init("replica", "\(peer.replica)"), .init("name", peer.name),
                    .init("address", "\(peer.address)"),
                ]))
    }

    /// Notes why an attempt failed, the first time in a row, and returns how long to wait before the next.
    func pause(after error: PeerError, _ failures: inout PeerFailures, _ peer: PeerAddress) -> UInt64 {
        let isRefused =
            switch error {
            case .wrongCluster, .retired: true
            // It comes about by itself.
            case .rejected(let refusal, _): refusal != .notReady
            default: false
            }
        if failures.count == 0, !isClosed { note(isRefused ? .error : .warn, "cannot connect: \(error)", peer) }
        let nanoseconds = failures.next(configuration, seams.random)
        return isRefused ? configuration.refusedNanoseconds : nanoseconds
    }
}
