import CordwoodBase
import CordwoodRaft

/// Frames that wait for one connection, in two queues: heartbeats, votes and answers of consensus overtake what is
/// large. Raft tolerates reordering, but appends keep their order among each other: a follower would refuse one that
/// overtook its predecessor, and the leader would have to begin again.
///
/// What is large is bounded by bytes, what is urgent by number, so neither can take the other's room.
final class PeerOutbox {
    struct Item {
        var frame: PeerFrame
        /// Header and body.
        var bytes: Int
    }

    /// Raised when there is something to send; the session's writer waits for it.
    let signal = LoopSignal()

    /// Asked before a frame is sent; false passes over it.
    var willSend: (Item) -> Bool = { _ in true }

    private let limitBytes: Int
    private let urgentLimit: Int
    private var urgent = FrameQueue()
    private var ordinary = FrameQueue()

    init(limitBytes: Int, urgentLimit: Int) {
        self.limitBytes = limitBytes
        self.urgentLimit = urgentLimit
    }

    var isEmpty: Bool { urgent.isEmpty && ordinary.isEmpty }
    /// Headers and bodies of all that waits.
    var bytes: Int { urgent.bytes + ordinary.bytes }
    var ordinaryBytes: Int { ordinary.bytes }

    /// Takes a message of consensus. False when something had to be dropped for lack of room: this message, or the
    /// oldest urgent one.
    func append(_ message: RaftMessage, _ entries: ArraySlice<Entry>, attachment: [UInt8]) -> Bool {
        let frame = PeerFrame.message(message, entries, attachment: attachment)
        guard PeerOutbox.isUrgent(message) else { return append(frame) }
        let item = PeerOutbox.item(frame)
        signal.raise()
        if case .message(let last, _, _)? = urgent.last?.frame, PeerOutbox.isCovered(last, by: message) {
            urgent.replaceLast(item)
            return true
        }
        urgent.append(item)
        guard urgent.count > urgentLimit else { return true }
        urgent.removeFirst()
        return false
    }

    /// Takes another frame. False when there is no room; one frame always has room.
    func append(_ frame: PeerFrame) -> Bool {
        let item = PeerOutbox.item(frame)
        guard ordinary.isEmpty || ordinary.bytes + item.bytes <= limitBytes else { return false }
        ordinary.append(item)
        signal.raise()
        return true
    }

    /// Takes an answer, whose room was made sure of before the request was read.
    func appendAnswer(_ frame: PeerFrame) {
        ordinary.append(PeerOutbox.item(frame))
        signal.raise()
    }

    /// Takes a sign of life, if there is nothing else to send.
    func appendAlive() {
        guard isEmpty else { return }
        urgent.append(PeerOutbox.item(.alive))
        signal.raise()
    }

    var first: Item? { urgent.first ?? ordinary.first }

    func removeFirst() {
        if urgent.isEmpty { ordinary.removeFirst() } else { urgent.removeFirst() }
    }

    func removeAll() {
        urgent.removeAll()
        ordinary.removeAll()
    }

    private static func item(_ frame: PeerFrame) -> Item {
        Item(frame: frame, bytes: PeerFrame.headerBytes + frame.bodyBytes)
    }

    private static func isUrgent(_ message: RaftMessage) -> Bool {
        switch message.kind {
        case .append, .snapshot, .proposal: false
        default: true
        }
    }

    /// Whether an acknowledgement says all that the one just before it says.
    private static func isCovered(_ earlier: RaftMessage, by later: RaftMessage) -> Bool {
        earlier.kind == .appendResponse && later.kind == .appendResponse && !earlier.isRejected && !later.isRejected
            && earlier.term == later.term && earlier.index <= later.index && earlier.from == later.from
            && earlier.context == later.context
    }
}

/// A queue of frames in an array, with the count of their bytes.
private struct FrameQueue {
    private var items: [PeerOutbox.Item?] = []
    private var start = 0
    private(set) var bytes = 0

    var isEmpty: Bool { start == items.count }
    var count: Int { items.count - start }
    var first: PeerOutbox.Item? { isEmpty ? nil : items[start] }
    var last: PeerOutbox.Item? { isEmpty ? nil : items[items.count - 1] }

    mutating func append(_ item: PeerOutbox.Item) {
        items.append(item)
        bytes += item.bytes
    }

    mutating func replaceLast(_ item: PeerOutbox.Item) {
        bytes += item.bytes - (last?.bytes ?? 0)
        items[items.count - 1] = item
    }

    mutating func removeFirst() {
        bytes -= first?.bytes ?? 0
        items[start] = nil
        start += 1
        if start == items.count {
            items.removeAll(keepingCapacity: true)
            start = 0
        } else if start > 64, start > items.count / 2 {
            items.removeFirst(start)
            start = 0
        }
    }

    mutating func removeAll() { self = FrameQueue() }
}
