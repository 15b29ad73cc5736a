import CordwoodBase
import CordwoodEvents
import CordwoodNode

/// An append whose reply is not written yet.
struct PendingAppend {
    /// How it ended, once it has.
    enum Ending {
        case waiting
        /// Took effect, now or when it was first sent.
        case appended(AppendedEvents)
        /// In the leader's log, durable or not, which is all that was asked for.
        case logged
        /// Turned down, or its outcome is unknown.
        case refused(CommandError)
    }

    /// The command as it was proposed, where the reply may need it: refusals are worded from it. Empty otherwise.
    var command: [UInt8]
    var key: PartitionKey
    var partition: PartitionID
    /// What the client asked for; `nil` when it asked for nothing, and the reply then does not say.
    var requestedAcknowledgement: Acknowledgement?
    /// EMAPPEND rather than EAPPEND.
    var isTransaction: Bool
    var startedNanoseconds: UInt64
    /// The entry's own timestamp.
    var timestampMilliseconds: Int64 = 0
    var ending: Ending = .waiting
}

extension PendingAppend {
    /// An error reply that has to wait for the replies before it.
    init(refused error: CommandError, startedNanoseconds: UInt64 = 0) {
        self.init(
            command: [], key: PartitionKey(UUID(high: 0, low: 0)), partition: 0, isTransaction: false,
            startedNanoseconds: startedNanoseconds, ending: .refused(error))
    }
}

/// The appends of one connection that wait for their end, in request order.
///
/// They may end in any order; their replies leave in the order of the requests. A slot is named by its sequence number,
/// which rises by one with each append and is the tag under which the node reports back.
struct AppendQueue {
    private var slots: [PendingAppend?]
    /// Sequence of the oldest append in the queue, and of the next one to come.
    private(set) var head: UInt64 = 0
    private(set) var tail: UInt64 = 0

    /// Appends that one connection may have under way.
    static let maxCount = 1024

    init() { slots = Array(repeating: nil, count: 16) }

    var isEmpty: Bool { head == tail }
    var isFull: Bool { count == AppendQueue.maxCount }
    var count: Int { Int(tail - head) }

    private func position(_ sequence: UInt64) -> Int { Int(truncatingIfNeeded: sequence) & (slots.count - 1) }

    /// Adds an append behind all others.
    mutating func add(_ append: consuming PendingAppend) {
        if count == slots.count { grow() }
        slots[position(tail)] = consume append
        tail += 1
    }

    mutating func end(_ sequence: UInt64, _ ending: PendingAppend.Ending) {
        invariant(sequence >= head && sequence < tail, "append \(sequence) ended outside \(head)..<\(tail)")
        slots[position(sequence)]?.ending = ending
    }

    mutating func setTimestamp(of sequence: UInt64, milliseconds: Int64) {
        slots[position(sequence)]?.timestampMilliseconds = milliseconds
    }

    subscript(sequence: UInt64) -> PendingAppend? {
        sequence >= head && sequence < tail ? slots[position(sequence)] : nil
    }

    /// Takes the oldest append out.
    mutating func takeOldest() -> PendingAppend {
        guard head < tail, let oldest = slots[position(head)].take() else {
            brokenInvariant("no append in \(head)..<\(tail)")
        }
        head += 1
        return oldest
    }

    /// Takes the oldest append out if it has ended.
    mutating func takeEnded() -> PendingAppend? {
        guard head < tail else { return nil }
        if case .waiting = slots[position(head)]?.ending { return nil }
        return takeOldest()
    }

    private mutating func grow() {
        var larger: [PendingAppend?] = Array(repeating: nil, count: slots.count * 2)
        for sequence in head..<tail { larger[Int(sequence) & (larger.count - 1)] = slots[position(sequence)] }
        slots = larger
    }
}
