internal import CordwoodBase
internal import CordwoodRaft

/// One node of an interaction: a core, an in-memory log, and between them what the reference calls a Ready.
///
/// The core emits effects at once; the scripts look at a node in steps, in which everything that has gathered is handed
/// out together. So effects wait here, in the reference's order, until `takeReady`.
struct InteractionNode {
    struct Settings {
        var options = RaftOptions()
        var isAsynchronous = false
        /// Most bytes of committed entries in one Ready.
        var maxCommittedBytes = Int.max
        /// Every durable payload is out of the core's reach, so that it has to ask for what it sends.
        var readsEverything = false
    }

    /// What has gathered since the last one.
    struct Ready {
        var hardState: HardState?
        var entries: [InteractionEntry] = []
        var snapshot: InteractionSnapshot?
        var committed: [InteractionEntry] = []
        var messages: [InteractionPacket] = []
        /// To be delivered when everything above is durable.
        var waiting: [InteractionPacket] = []
        /// What becomes stable with it, if anything is not yet.
        var stable: DurabilityToken?
    }

    struct HardState: Hashable {
        var vote: Vote
        var commit: RaftIndex

        var isEmpty: Bool { vote == .none && commit == 0 }
    }

    struct AppendWork {
        var hardState: HardState?
        var entries: [InteractionEntry]
        var snapshot: InteractionSnapshot?
        var responses: [InteractionPacket]
    }

    struct ApplyWork {
        var entries: [InteractionEntry]
        var response: InteractionPacket
    }

    let id: ReplicaID
    let settings: Settings
    var core: RaftCore
    private var effects = RaftEffects()

    /// The log as the core sees it, unstable entries included, by index from `start` on.
    private var logical: [InteractionEntry] = []
    private var start: RaftIndex
    /// First entry that no Ready has carried yet.
    private var unhanded: RaftIndex
    /// Proposals that were accepted and whose append effect is still to come.
    private var accepted: [RaftIndex: InteractionEntry] = [:]

    private var messages: [InteractionPacket] = []
    private var waiting: [InteractionPacket] = []
    private var handedState: HardState
    private var handedRole: (RaftRole, ReplicaID)
    private var incoming: (snapshot: InteractionSnapshot, isHanded: Bool)?

    /// Committed entries through this index may be handed out.
    private var appliable: RaftIndex
    private var applying: RaftIndex
    private var applyingBytes = 0
    private var isApplyingPaused = false

    var appendWork: [AppendWork] = []
    var applyWork: [ApplyWork] = []
    /// What the scripts' `raft-log` shows: only what is persisted.
    private(set) var stored: [InteractionEntry] = []
    private(set) var storedBoundary: LogPosition
    private(set) var history: [InteractionSnapshot]
    /// Campaigns that this node, not being electable, did not start.
    private(set) var unpromotable = 0

    /// A node over a core that was started from this snapshot.
    init(core: RaftCore, settings: Settings, snapshot: InteractionSnapshot) {
        id = core.replica
        self.core = core
        self.settings = settings
        start = snapshot.position.index.next
        unhanded = start
        storedBoundary = snapshot.position
        history = [snapshot]
        handedState = HardState(vote: .none, commit: snapshot.position.index)
        handedRole = (.follower, .none)
        appliable = snapshot.position.index
        applying = snapshot.position.index
    }

    // MARK: Inputs

    mutating func step(_ input: RaftInput) {
        core.step(input, into: &effects)
        absorb(nil)
    }

    mutating func campaign() {
        noteCampaign()
        step(.campaign)
    }

    /// `nil` when the proposal was refused.
    mutating func propose(_ entry: InteractionEntry) -> Bool {
        let answer: ProposalAnswer
        if let change = entry.change {
            answer = core.proposeChange(change, size: entry.payloadBytes, into: &effects)
        } else {
            answer = core.propose(.application, size: entry.payloadBytes, into: &effects)
        }
        switch answer {
        case .accepted(let position): accepted[position.index] = entry
        case .acceptedAsEmpty(let position, _): accepted[position.index] = InteractionEntry(content: .normal(""))
        case .forwarded, .refused: break
        }
        let packet = RaftMessage(.proposal, from: id, to: id, term: 0)
        absorb(InteractionPacket(packet, .proposal(packet, entry)))
        step(.endTurn)
        if case .refused = answer { return false }
        return true
    }

    /// Steps a packet; false when it was a proposal and was refused.
    mutating func receive(_ packet: InteractionPacket) -> Bool {
        switch packet.content {
        case .message(let message, let entries):
            if message.kind == .timeoutNow, message.term >= core.term, core.role == .follower { noteCampaign() }
            let heads = entries.map(\.head)
            core.receive(message, entries: heads.span, into: &effects)
        case .snapshot(let message, let snapshot):
            core.receiveSnapshot(message, configuration: snapshot.configuration, into: &effects)
        case .proposal(_, let entry):
            return propose(entry)
        case .appendDone(let token, let snapshot):
            if let token { core.step(.durable(token), into: &effects) }
            if let snapshot { installed(snapshot) }
        case .applyDone(let index, let bytes):
            applied(index, bytes: bytes)
        }
        absorb(packet)
        return true
    }

    private mutating func noteCampaign() {
        if core.role != .leader, !core.isElectable { unpromotable += 1 }
    }

    private mutating func installed(_ position: LogPosition) {
        core.step(.snapshotDurable(position), into: &effects)
        if incoming?.snapshot.position == position { incoming = nil }
        reportApplied(position.index, bytes: 0)
    }

    private mutating func applied(_ index: RaftIndex, bytes: Int) {
        core.step(.applied(index), into: &effects)
        reportApplied(index, bytes: bytes)
    }

    private mutating func reportApplied(_ index: RaftIndex, bytes: Int) {
        applying = max(applying, index)
        applyingBytes = max(0, applyingBytes - bytes)
        isApplyingPaused = applyingBytes >= settings.maxCommittedBytes
    }

    // MARK: Effects

    /// Carries effects out as far as they go before the next Ready. `packet` is what the core was just given.
    private mutating func absorb(_ packet: InteractionPacket?) {
        while !effects.effects.isEmpty {
            let batch = effects.effects
            effects.removeAll()
            for effect in batch { carryOut(effect, packet) }
        }
        if settings.readsEverything {
            core.step(.evicted(through: core.durableIndex), into: &effects)
            for effect in effects.effects { carryOut(effect, nil) }
            effects.removeAll()
        }
    }

    private mutating func carryOut(_ effect: RaftEffect, _ packet: InteractionPacket?) {
        switch effect {
        case .append(let range, _, let source, _): append(range, source, packet)
        case .send(let message): messages.append(InteractionPacket(message))
        case .sendAfter(_, let message): waiting.append(InteractionPacket(message))
        case .sendAppend(let message, _):
            messages.append(InteractionPacket(message, entries: entries(message.entries)))
        case .sendSnapshot(let message):
            messages.append(InteractionPacket(message, .snapshot(message, newestSnapshot)))
        case .forwardProposal(let message):
            if case .proposal(_, let entry) = packet?.content {
                messages.append(InteractionPacket(message, .proposal(message, entry)))
            }
        case .read(let ticket, let peer, let from, let maxBytes):
            core.step(.readDone(ticket: ticket, peer: peer, read(from, maxBytes)), into: &effects)
        case .needSnapshot(let peer):
            core.step(.snapshotOffered(peer: peer, newestSnapshot.position), into: &effects)
        case .apply(let range): appliable = range.upperBound.previous
        case .install(let position, _):
            if case .snapshot(_, let snapshot) = packet?.content { incoming = (snapshot, false) }
            logical.removeAll()
            start = position.index.next
            unhanded = start
            appliable = max(appliable, position.index)
        case .persist, .readReady, .readFailed, .roleChanged, .configurationChanged, .proposalsAborted: break
        }
    }

    private mutating func append(_ range: Range<RaftIndex>, _ source: AppendSource, _ packet: InteractionPacket?) {
        logical.removeSubrange((range.lowerBound - start).asCount..<logical.count)
        for index in range {
            var entry: InteractionEntry
            switch source {
            case .proposals:
                guard let proposed = accepted.removeValue(forKey: index) else {
                    brokenInvariant("append of \(index), which was not proposed")
                }
                entry = proposed
            case .message:
                guard case .message(let message, let entries) = packet?.content else {
                    brokenInvariant("append of \(index) without a message")
                }
                entry = entries[(index - message.index.next).asCount]
            case .termStart: entry = InteractionEntry(content: .normal(""))
            case .leaveJoint: entry = InteractionEntry(content: .automaticLeave)
            }
            entry.index = index
            if source != .message { entry.term = core.term(at: index) ?? 0 }
            logical.append(entry)
        }
        unhanded = min(unhanded, range.lowerBound)
    }

    private func entries(_ range: Range<RaftIndex>) -> [InteractionEntry] {
        if range.isEmpty { return [] }
        return Array(logical[(range.lowerBound - start).asCount..<(range.upperBound - start).asCount])
    }

    private func read(_ from: RaftIndex, _ maxBytes: UInt64) -> ReadOutcome {
        if from < core.firstIndex { return .purged }
        var bytes: UInt64 = 0
        var count = 0
        for entry in logical[(from - start).asCount...] {
            let size = UInt64(entry.payloadBytes)
            if count > 0, bytes + size > maxBytes { break }
            bytes += size
            count += 1
        }
        return .entries(count: count, bytes: bytes)
    }

    var newestSnapshot: InteractionSnapshot { history.last ?? .none }

    // MARK: Ready

    private var hardState: HardState { HardState(vote: core.vote, commit: core.commitIndex) }

    var hasReady: Bool {
        if handedRole != (core.role, core.leader) { return true }
        if !hardState.isEmpty, hardState != handedState { return true }
        if let incoming, !incoming.isHanded { return true }
        return !messages.isEmpty || !waiting.isEmpty || unhanded <= core.lastPosition.index || hasAppliable
    }

    private var hasAppliable: Bool { !isApplyingPaused && incoming == nil && applying < appliable }

    mutating func takeReady() -> Ready {
        var ready = Ready()
        handedRole = (core.role, core.leader)
        if !hardState.isEmpty, hardState != handedState {
            handedState = hardState
            ready.hardState = hardState
        }
        ready.committed = takeCommitted()
        ready.entries = entries(unhanded..<core.lastPosition.index.next)
        unhanded = core.lastPosition.index.next
        if let incoming, !incoming.isHanded {
            ready.snapshot = incoming.snapshot
            self.incoming?.isHanded = true
        }
        if core.durableIndex < core.lastPosition.index { ready.stable = core.durabilityToken }
        swap(&ready.messages, &messages)
        swap(&ready.waiting, &waiting)
        return ready
    }

    /// The committed entries of one Ready, rationed by bytes as the reference does it.
    private mutating func takeCommitted() -> [InteractionEntry] {
        if !hasAppliable { return [] }
        let all = entries(applying.next..<appliable.next)
        let budget = settings.maxCommittedBytes - applyingBytes
        var taken = 0
        var bytes = 0
        while taken < all.count {
            let size = all[taken].encodedBytes
            // The first entry goes out whatever its size.
            if taken > 0, size > budget - bytes { break }
            bytes += size
            taken += 1
        }
        applying = all[taken - 1].index
        applyingBytes += min(bytes, Int.max - applyingBytes)
        isApplyingPaused = applyingBytes >= settings.maxCommittedBytes || applying < appliable
        return Array(all[..<taken])
    }

    // MARK: Storage

    enum StorageError: Error { case snapshotWithEntries }

    mutating func persist(_ entries: [InteractionEntry], _ snapshot: InteractionSnapshot?) throws(StorageError) {
        if let snapshot {
            if !entries.isEmpty { throw .snapshotWithEntries }
            stored.removeAll()
            storedBoundary = snapshot.position
            // What it leads others to must not be older than what it holds itself.
            history.append(snapshot)
            return
        }
        guard let first = entries.first else { return }
        stored.removeAll { $0.index >= first.index }
        stored.append(contentsOf: entries.drop { $0.index <= storedBoundary.index })
    }

    mutating func apply(_ entries: [InteractionEntry]) -> ConfigurationError? {
        for entry in entries {
            if let change = entry.change {
                do throws(ConfigurationError) {
                    try core.applyConfiguration(change, at: entry.index, into: &effects)
                } catch {
                    return error
                }
                absorb(nil)
            }
            var snapshot = newestSnapshot
            snapshot.position = LogPosition(index: entry.index, term: entry.term)
            if entry.change != nil { snapshot.configuration = core.configuration }
            snapshot.data += entry.payload
            history.append(snapshot)
        }
        return nil
    }

    mutating func compact(through index: RaftIndex) {
        guard index > storedBoundary.index, let entry = stored.first(where: { $0.index == index }) else { return }
        storedBoundary = LogPosition(index: index, term: entry.term)
        stored.removeAll { $0.index <= index }
        step(.compacted(through: index))
    }
}

extension UInt64 {
    /// A distance in a log that is held in memory.
    var asCount: Int { Int(self) }
}
