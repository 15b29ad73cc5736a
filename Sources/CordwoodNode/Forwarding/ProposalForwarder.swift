import CordwoodBase

/// Commands of this node's clients that wait for their leader.
///
/// They leave in the order in which they came, those of a turn together, a few messages at a time: while these are
/// under way the next message fills. While nobody leads they wait; whoever has waited too long is told that it never
/// left.
struct ProposalForwarder {
    /// A command that has not left, or came back because its addressee does not lead any more.
    struct Waiting {
        var command: ForwardedCommand
        var tag: UInt64
        var observer: any ProposalObserver
        /// The tick at which nobody waits any longer.
        var expiryTick: UInt64
        /// Leaders that turned it down because they led no longer.
        var hops = 0
        /// Why it has not left, as far as it was tried.
        var lastFailure: Failure?
    }

    /// Why a command that was tried did not leave.
    enum Failure {
        case unreachable(String)
        case notLeader(ReplicaID)
    }

    /// Who said in which term that it leads no longer: it will not lead that term again.
    struct Refusal: Hashable {
        var leader: ReplicaID
        var term: Term
    }

    /// A command is turned down by so many leaders at most.
    static let maxHops = 3
    static let maxCallsUnderWay = 4
    private static let maxWaitingBytes = 64 << 20
    private static let maxBatchBytes = 1 << 20
    private static let maxBatchCount = 4096

    private var waiting: [Waiting] = []
    private var waitingBytes = 0
    var callsUnderWay = 0
    var isFlushArmed = false
    var refusal: Refusal?
    /// The leader could not be reached: nothing is tried before the next tick.
    var restsUntilTick: UInt64 = 0

    var isEmpty: Bool { waiting.isEmpty }
    var isFull: Bool { waitingBytes > Self.maxWaitingBytes }

    mutating func add(_ command: Waiting) {
        waitingBytes += command.command.payload.count
        waiting.append(command)
    }

    /// Commands that come back, in front of those that came later.
    mutating func putBack(_ commands: [Waiting]) {
        waitingBytes += commands.reduce(0) { $0 + $1.command.payload.count }
        waiting.insert(contentsOf: commands, at: 0)
    }

    /// The oldest commands, as many as one message takes.
    mutating func takeBatch() -> [Waiting] {
        var count = 0
        var byteCount = 0
        while count < min(waiting.count, Self.maxBatchCount), byteCount < Self.maxBatchBytes {
            byteCount += waiting[count].command.payload.count
            count += 1
        }
        return take(count)
    }

    /// Commands that nobody waits for any longer. They expire in the order in which they came.
    mutating func takeExpired(at tick: UInt64) -> [Waiting] {
        take(waiting.firstIndex { $0.expiryTick > tick } ?? waiting.count)
    }

    mutating func takeAll() -> [Waiting] { take(waiting.count) }

    private mutating func take(_ count: Int) -> [Waiting] {
        let taken = Array(waiting.prefix(count))
        waiting.removeFirst(count)
        waitingBytes -= taken.reduce(0) { $0 + $1.command.payload.count }
        return taken
    }
}

extension ProposalForwarder.Waiting {
    func after(_ failure: ProposalForwarder.Failure) -> Self {
        var waiting = self
        waiting.lastFailure = failure
        return waiting
    }
}
