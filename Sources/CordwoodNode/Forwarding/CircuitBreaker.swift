import CordwoodBase

/// Keeps commands from waiting for a leader that has failed this node for so long that it will go on doing so: a leader
/// that the others hear and this node does not, or that takes commands and never answers.
///
/// It opens when every call has failed for two of the longest elections: a leader that is gone has a successor by then.
/// While it is open, commands are refused at once; after a rest one call goes out and decides. A new leader begins with
/// it closed.
struct CircuitBreaker {
    enum State: String {
        case closed
        /// Everything is refused.
        case open
        /// One call decides.
        case halfOpen = "half-open"
    }

    private static let restTicks: UInt64 = 10

    private var leader = ReplicaID.none
    private var term: Term = 0
    /// Since when every call has failed.
    private var failingSinceTick: UInt64?
    private var opensAgainTick: UInt64?
    private let patienceTicks: UInt64
    /// How often it has opened.
    private(set) var openings: UInt64 = 0

    init(electionTicks: Int) { patienceTicks = UInt64(4 * electionTicks) }

    /// Looks at who leads.
    mutating func watch(_ leader: ReplicaID, _ term: Term) {
        guard leader != self.leader || term != self.term else { return }
        (self.leader, self.term, failingSinceTick, opensAgainTick) = (leader, term, nil, nil)
    }

    mutating func succeeded() { (failingSinceTick, opensAgainTick) = (nil, nil) }

    mutating func failed(at tick: UInt64) {
        guard let since = failingSinceTick else {
            failingSinceTick = tick
            return
        }
        if opensAgainTick == nil, tick - since < patienceTicks { return }
        opensAgainTick = tick + Self.restTicks
        openings += 1
    }

    func state(at tick: UInt64) -> State {
        guard let opensAgainTick else { return .closed }
        return tick < opensAgainTick ? .open : .halfOpen
    }

    /// Ticks until a call is tried again.
    func restTicks(at tick: UInt64) -> UInt64 { opensAgainTick.map { $0 - min(tick, $0) } ?? 0 }
}
