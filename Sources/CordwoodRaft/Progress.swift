public import CordwoodBase

/// How a leader sends to one peer.
public enum ReplicationState: UInt8, Hashable, Sendable {
    /// The peer's log is unknown: one append with entries at a time, until one is accepted.
    case probe
    /// Appends follow each other without waiting, as far as the window allows.
    case replicate
    /// A snapshot is on its way; nothing else is sent.
    case snapshot
}

/// What a leader waits for before it can send to a peer.
public enum Awaited: Hashable, Sendable {
    case nothing
    /// A read of the store, by its ticket.
    case read(UInt64)
    /// A snapshot that the node is to offer.
    case snapshot
}

/// A leader's view of one peer: what it has, what it was sent, and whether to send more.
///
/// `match < next` always. In `replicate` the entries in `match + 1 ..< next` are in flight.
public struct Progress: Sendable {
    public private(set) var state: ReplicationState = .probe
    /// Highest index known to be durable there in agreement with this log.
    public internal(set) var match: RaftIndex
    /// Next index to send.
    public private(set) var next: RaftIndex
    public internal(set) var isLearner: Bool
    /// It answered since the last check of the quorum.
    public internal(set) var isRecentlyActive: Bool
    /// No appends until an answer or a heartbeat response comes.
    public internal(set) var isHeld = false
    /// Index of the snapshot on its way; 0 in the other states.
    public private(set) var pendingSnapshot: RaftIndex = 0
    /// Highest commit index that the peer was told.
    public private(set) var sentCommit: RaftIndex = 0
    public private(set) var window: InflightWindow
    public internal(set) var awaited: Awaited = .nothing

    init(match: RaftIndex, next: RaftIndex, window: InflightWindow, isLearner: Bool, isRecentlyActive: Bool) {
        self.match = match
        self.next = next
        self.window = window
        self.isLearner = isLearner
        self.isRecentlyActive = isRecentlyActive
    }

    /// Whether appends must wait.
    public var isPaused: Bool { state == .snapshot || isHeld }

    /// Forgets everything but the kind of the member, keeping the window's memory.
    mutating func reset(match: RaftIndex, next: RaftIndex) {
        become(.probe)
        self.match = match
        self.next = next
        isRecentlyActive = false
        sentCommit = 0
    }

    mutating func becomeProbe() {
        // Coming from a snapshot, what it brought is skipped.
        let start = max(match.next, pendingSnapshot.next)
        become(.probe)
        next = start
        sentCommit = min(sentCommit, next.previous)
    }

    mutating func becomeReplicate() {
        become(.replicate)
        next = match.next
    }

    mutating func becomeSnapshot(_ index: RaftIndex) {
        become(.snapshot)
        pendingSnapshot = index
        next = index.next
        sentCommit = index
    }

    private mutating func become(_ state: ReplicationState) {
        self.state = state
        isHeld = false
        pendingSnapshot = 0
        awaited = .nothing
        window.removeAll()
    }

    /// Notes a snapshot that failed: it never was on its way.
    mutating func dropPendingSnapshot() { pendingSnapshot = 0 }

    /// Notes an append of entries through `last`; `last < next` is an append without entries.
    mutating func sentEntries(through last: RaftIndex, bytes: UInt64) {
        let hasEntries = last >= next
        switch state {
        case .replicate:
            if hasEntries {
                next = last.next
                window.add(last: last, bytes: bytes)
            }
            // A message over the window is a probe: the next one waits for an answer.
            isHeld = window.isFull
        case .probe:
            if hasEntries { isHeld = true }
        case .snapshot:
            brokenInvariant("append through \(last) to a peer that waits for snapshot \(pendingSnapshot)")
        }
    }

    mutating func told(commit: RaftIndex) { sentCommit = commit }

    /// Whether telling this commit index now would bring the peer further than what it was told before.
    func canUse(commit: RaftIndex) -> Bool { commit > sentCommit && sentCommit < next.previous }

    /// Takes an acknowledgement; false when it says nothing new.
    mutating func acknowledge(_ index: RaftIndex) -> Bool {
        if index <= match { return false }
        match = index
        next = max(next, index.next)
        isHeld = false
        return true
    }

    mutating func freeWindow(through index: RaftIndex) { window.free(through: index) }

    /// Takes a refusal of the append behind `refused`, with the index from which to try again; false when it is stale.
    mutating func refuse(_ refused: RaftIndex, probe: RaftIndex) -> Bool {
        if state == .replicate {
            if refused <= match { return false }
            next = match.next
        } else {
            // One message at a time, so a refusal of anything else is an old one.
            if next.previous != refused { return false }
            next = max(min(refused, probe.next), match.next)
            isHeld = false
        }
        awaited = .nothing
        sentCommit = min(sentCommit, next.previous)
        return true
    }
}

extension Progress: CustomStringConvertible {
    public var description: String {
        let name =
            switch state {
            case .probe: "StateProbe"
            case .replicate: "StateReplicate"
            case .snapshot: "StateSnapshot"
            }
        var text = "\(name) match=\(match) next=\(next)"
        if isLearner { text += " learner" }
        if isPaused { text += " paused" }
        if pendingSnapshot > 0 { text += " pendingSnap=\(pendingSnapshot)" }
        if !isRecentlyActive { text += " inactive" }
        if window.count > 0 { text += " inflight=\(window.count)" + (window.isFull ? "[full]" : "") }
        return text
    }
}
