import CordwoodBase
public import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft

/// The other members: what the core says to them, and what they say to the core.
///
/// Messages leave in the order in which the core emitted them, but for three kinds that wait: answers wait until what
/// they promise is durable, real vote requests until this replica's own vote is, and appends whose entries are no
/// longer in memory until they have been read back. Nothing that a peer does makes this node wait.
extension Node {
    // MARK: Meeting

    /// Begins to listen and to dial. What the group knows of its members is what the transport is told.
    func meetPeers() async throws(NodeError) {
        guard let address = configuration.peerAddress else {
            guard membership.members.count <= 1 else {
                throw .configuration(
                    "the group has \(membership.members.count) members: an address for peers is needed")
            }
            return
        }
        let transport = PeerTransport(
            identity: PeerIdentity(cluster: identity.cluster, name: configuration.name, replica: replica),
            configuration: configuration.peers, seams: seams, log: log)
        transport.isRetired = { [unowned self] in membership.isRetired($0) }
        transport.onMessage = { [unowned self] in received($0, entries: $1, attachment: $2) }
        transport.onUnreachable = { [unowned self] in
            step(.unreachable($0))
            transferUnreachable($0)
        }
        transport.onRefused = { [unowned self] in if $0 == .retired { heardOfOwnRemoval(from: $1) } }
        serve(transport)
        openTransfers(transport)
        openRepairs(transport)
        do throws(IOError) {
            let bound = try await transport.listen(on: address)
            peerAddress = bound
            // Whoever does not know this node's address hears it from the node itself.
            transport.identity.address = SocketAddress(parsing: configuration.advertisedAddress(bound))
        } catch { throw .log(.unavailable("\(address): \(error)")) }
        peers = transport
        tellPeers()
        step(.evicted(through: store.firstRecentIndex.previous))
        takePlace()
        lookForOwnRemoval()
    }

    /// The members whom this node talks to, after every change. One that was told that it is none of them leaves them
    /// alone.
    func tellPeers() {
        guard let peers else { return }
        if isTurnedAway { return peers.updateMembers([]) }
        var addresses: [PeerAddress] = []
        for member in membership.members where member.replica != replica && !member.address.isEmpty {
            guard let address = SocketAddress(parsing: member.address) else {
                log.write(
                    LogEvent(
                        .warn, "peer", "an address that cannot be read",
                        fields: [.init("node", member.name), .init("address", member.address)]))
                continue
            }
            addresses.append(PeerAddress(replica: member.replica, name: member.name, address: address))
        }
        peers.updateMembers(addresses)
    }

    // MARK: Sending

    func send(_ message: RaftMessage) {
        switch message.kind {
        case .vote:
            heldVoteRequests.append(message)
            releaseVoteRequests()
        case .append where core.progress(of: message.to)?.state == .replicate:
            commitNotices.keep(message)
            armCommitNotices()
        default:
            sendCommitNotice(to: message.to)
            transmit(message, attachment: message.kind == .heartbeat ? confirmedNotice() : [])
        }
    }

    /// Tells a follower of the newest commit now, if it has not been told.
    func sendCommitNotice(to peer: ReplicaID) {
        guard !commitNotices.isEmpty, let notice = commitNotices.take(for: peer) else { return }
        transmit(notice)
    }

    private func armCommitNotices() {
        guard !areCommitNoticesDue else { return }
        areCommitNoticesDue = true
        _ = seams.clock.schedule(
            atNanoseconds: seams.clock.monotonicNanoseconds + CommitNotices.delayNanoseconds
        ) { [weak self] in
            guard let self else { return }
            areCommitNoticesDue = false
            // What is old by now has been overtaken by a message of a later term.
            for notice in commitNotices.takeAll() where notice.term == core.term {
                transmit(notice)
            }
        }
    }

    /// The one way out for messages to other members.
    func transmit(_ message: RaftMessage, entries: ArraySlice<Entry> = [], attachment: [UInt8] = []) {
        onSend?(message)
        peers?.send(message, entries: entries, attachment: attachment)
    }

    /// Keeps a message until everything issued so far is durable.
    func hold(_ message: RaftMessage) {
        if transfers.isInstalling, transfers.ticket != nil, message.kind == .appendResponse {
            return transfers.answers.append(message)
        }
        // Before the gate a message may stay for long, and be asked for again and again.
        if gate != nil, heldMessages.contains(where: { $0.message == message }) { return }
        heldMessages.append(HeldMessage(sequence: pendingWrites.last?.sequence ?? 0, message: message))
        releaseHeldMessages()
    }

    /// Messages whose ground is durable: those to this replica itself go back into the core.
    func releaseHeldMessages() {
        guard storeFailure == nil else {
            heldMessages.removeAll()
            return
        }
        if let gate { return releaseThroughGate(min(gate.passedThrough, store.durableIndex)) }
        while let held = heldMessages.first, held.sequence <= settledSequence {
            heldMessages.removeFirst()
            deliver(held.message)
        }
        carryOut()
    }

    /// An acknowledgement of a term that is over: the entries that it names may have been replaced since, so it may say
    /// more than the log holds, and whoever led in that term learns from any answer that it leads no more.
    func isOvertaken(_ message: RaftMessage) -> Bool {
        message.kind == .appendResponse && !message.isRejected && message.term < core.term
    }

    /// What this replica says to itself goes back into its core.
    func deliver(_ message: RaftMessage) {
        if isOvertaken(message) { return }
        if message.to == replica {
            core.receive(message, into: &effects)
        } else {
            transmit(message)
        }
    }

    /// Real vote requests leave when the vote for this replica itself is durable: a term that was won by the others'
    /// votes while the own one was forgotten in a crash could be won once more.
    func releaseVoteRequests() {
        guard !heldVoteRequests.isEmpty else { return }
        let held = heldVoteRequests
        heldVoteRequests = []
        for message in held {
            if durableVote == Vote(term: message.term, candidate: replica) {
                transmit(message)
            } else if message.term >= core.term, storeFailure == nil {
                heldVoteRequests.append(message)
            }
        }
    }

    /// Attaches the entries that an append names, as they are in the log now.
    func sendAppend(_ message: RaftMessage, ticket: UInt64) {
        guard peers != nil, storeFailure == nil else { return }
        if message.entryCount == 0 {
            transmit(message)
        } else if let read = readsForPeers[ticket] {
            invariant(
                read.first?.index == message.entries.lowerBound && read.count >= Int(message.entryCount),
                "the core sends \(message.entries) of a read from \(read.first?.index ?? 0) of \(read.count) entries")
            transmit(message, entries: read.prefix(Int(message.entryCount)))
        } else {
            // It tells the commit too.
            _ = commitNotices.take(for: message.to)
            transmit(message, entries: entriesToSend(message.entries))
        }
    }

    /// Entries in memory of their own: they wait for a connection while the store goes on appending. Peers that are
    /// sent the same share it.
    private func entriesToSend(_ range: Range<RaftIndex>) -> ArraySlice<Entry> {
        if entriesInHand.first?.index != range.lowerBound || entriesInHand.last?.index.next != range.upperBound {
            entriesInHand = Array(store.recentEntries(in: range))[...]
        }
        return entriesInHand
    }

    /// Reads entries that are no longer in memory for a peer that needs them.
    func readForPeer(_ ticket: UInt64, _ peer: ReplicaID, from index: RaftIndex, maxBytes: UInt64) {
        seams.scheduler.spawn("read for replica \(peer)") { [self] in
            var outcome: ReadOutcome
            do throws(LogError) {
                let end = min(store.nextIndex, index + Self.readForPeerEntries)
                let entries = try await store.entries(in: index..<end, maxBytes: Int(clamping: maxBytes))
                // Meanwhile the peer may have acknowledged some of them: what it is to be sent begins behind that.
                let next = core.progress(of: peer)?.next ?? index
                let wanted = next < index ? [] : entries.dropFirst(Int(clamping: next - index))
                readsForPeers[ticket] = wanted
                outcome = .entries(count: wanted.count, bytes: wanted.reduce(0) { $0 + UInt64($1.payload.count) })
            } catch {
                if case .purged = error { outcome = .purged } else { outcome = .corrupt }
                if case .corrupt(let damage) = error { foundLogDamage(damage) }
                if case .closed = error { return }
                log.write(
                    LogEvent(
                        .warn, "log", "a peer's entries could not be read",
                        fields: [.init("peer", "\(peer)"), .init("index", "\(index)"), .init("reason", "\(error)")]))
            }
            step(.readDone(ticket: ticket, peer: peer, outcome))
            readsForPeers[ticket] = nil
        }
    }

    private static let readForPeerEntries: UInt64 = 65_536

    /// Tells the core what is about to leave memory, so that it sends none of it any more; what it asked for before has
    /// been sent then, and the store may let go.
    func tellEvicted() {
        guard peers != nil else { return }
        let through = store.firstIndexWorthKeeping(below: core.appliedIndex.next).previous
        if through > core.evictedThrough { step(.evicted(through: through)) }
        keepRecent(from: core.appliedIndex.next)
    }

    /// What is not handed out yet stays in memory, and what the core takes to be there.
    func keepRecent(from index: RaftIndex) {
        store.keepsFrom = peers == nil ? index : min(index, core.evictedThrough.next)
    }

    // MARK: Receiving

    /// A message of a member, or of somebody who was one.
    private func received(_ message: RaftMessage, entries: [Entry], attachment: [UInt8]) {
        guard !isClosing, !membership.isRetired(message.from), message.to == replica else { return }
        switch message.kind {
        case .snapshot:
            receivedSnapshot(message, manifest: attachment)
        case .append:
            receivedAppend(message, entries)
        default:
            var message = message
            if message.kind == .readIndex, !isLeaseTrusted { message.hint = 1 }
            core.receive(message, into: &effects)
            if message.kind == .heartbeat, !attachment.isEmpty { receivedConfirmed(attachment) }
            if message.kind == .appendResponse { receivedAcknowledgement(message) }
            carryOut()
        }
    }

    /// Takes an append, or keeps it until there is a prepared place for its entries. On a full disk it is as good as
    /// lost: not acknowledged, it comes again. Votes and heartbeats go on out of the reserve.
    private func receivedAppend(_ message: RaftMessage, _ entries: [Entry]) {
        if delayedAppends.isEmpty, isRoom(for: entries) { return takeAppend(message, entries) }
        guard !store.isSpaceShort else { return store.prepareSpace() }
        let byteCount = entries.reduce(0) { $0 + $1.payload.count }
        guard delayedBytes + byteCount <= Self.maxDelayedBytes else { return }
        delayedBytes += byteCount
        delayedAppends.append((message, entries))
        if delayedAppends.count == 1 { takeDelayedWhenRelieved() }
    }

    /// Of an append that is larger than what stands ready at any time the first part must find its place; the rest
    /// waits in the store for the next segments.
    private func isRoom(for entries: [Entry]) -> Bool {
        if entries.isEmpty { return true }
        let byteCount = entries.reduce(0) { $0 + $1.payload.count + Node.framingBytes }
        return store.canAdmit(
            bytes: store.isSpaceShort ? byteCount : min(byteCount, Int(configuration.log.segmentBytes / 8)))
    }

    private func takeDelayedWhenRelieved() {
        whenRelieved { [self] in
            while let (message, entries) = delayedAppends.first, isRoom(for: entries) {
                delayedAppends.removeFirst()
                delayedBytes -= entries.reduce(0) { $0 + $1.payload.count }
                takeAppend(message, entries)
            }
            if store.isSpaceShort || isClosing || storeFailure != nil {
                delayedAppends = []
                delayedBytes = 0
            } else if !delayedAppends.isEmpty {
                takeDelayedWhenRelieved()
            }
        }
    }

    private static let maxDelayedBytes = 16 << 20

    private func takeAppend(_ message: RaftMessage, _ entries: [Entry]) {
        // What an installation replaces takes nothing; what is behind it comes again.
        if transfers.isInstalling { return }
        let heads = entries.map { EntryHead(term: $0.term, size: UInt32($0.payload.count), type: $0.type) }
        incoming = entries
        core.receive(message, entries: heads.span, into: &effects)
        carryOut()
        incoming = []
    }

    /// A replica holds what it acknowledges: rules other than a majority count it.
    private func receivedAcknowledgement(_ message: RaftMessage) {
        guard !message.isRejected, let match = core.progress(of: message.from)?.match, match > 0,
            let term = core.term(at: match)
        else { return }
        dispatcher.tracker.acknowledge(through: match, term, by: message.from)
    }

    /// The entries of the append that is being taken, from an index on.
    func takeIncoming(_ range: Range<RaftIndex>, replaces: Bool) -> [Entry] {
        guard let first = incoming.first?.index, first <= range.lowerBound,
            incoming.count >= Int(range.upperBound - first)
        else { brokenInvariant("the core takes \(range) from a message of \(incoming.map(\.position))") }
        entriesInHand = []
        let taken = Array(incoming[Int(range.lowerBound - first)..<Int(range.upperBound - first)])
        if replaces { dropSuffix(from: range.lowerBound) }
        let now = seams.clock.monotonicNanoseconds
        for entry in taken {
            do throws(DispatchError) {
                try dispatcher.recordAppended(entry, nowNanoseconds: now)
            } catch { brokenInvariant("entry \(entry.position) of the leader: \(error)") }
            lastTimestampMicroseconds = max(lastTimestampMicroseconds, entry.timestampMicroseconds)
        }
        return taken
    }

    private func dropSuffix(from index: RaftIndex) {
        dispatcher.recordTruncated(after: index.previous)
        answeredDurable = min(answeredDurable, index.previous)
        while let last = recovered.last, last.index >= index { recovered.removeLast() }
    }
}

extension SocketAddress {
    /// Reads `host:port` or `[host]:port`.
    public init?(parsing text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { return nil }
        self.init(host: String(host), port: port)
    }
}
