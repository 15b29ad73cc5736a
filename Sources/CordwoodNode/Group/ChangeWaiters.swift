import CordwoodBase
import CordwoodRaft

/// Who waits for which configuration entry. There are few: one change is under way at a time.
struct ChangeWaiters {
    enum Outcome {
        /// In force.
        case applied
        /// Committed, and of no effect: it did not fit the configuration that it met.
        case unfit(ConfigurationError)
        /// Never in force: an entry of another term took its place.
        case aborted
        /// Nothing was heard of it for as long as anyone waits.
        case unknown
    }

    private var waiting:
        [(position: LogPosition, expiryTick: UInt64, continuation: UnsafeContinuation<Outcome, Never>)] =
            []

    mutating func add(
        _ position: LogPosition, expiryTick: UInt64, _ continuation: UnsafeContinuation<Outcome, Never>
    ) { waiting.append((position, expiryTick, continuation)) }

    /// The configuration entry at a position was handed out.
    mutating func end(_ position: LogPosition, _ error: ConfigurationError?) {
        take { $0.position.index == position.index }.forEach { waiter in
            let isOther = waiter.position.term != position.term
            waiter.continuation.resume(returning: isOther ? .aborted : error.map { .unfit($0) } ?? .applied)
        }
    }

    /// Entries of a term can never be committed at these indexes any more.
    mutating func end(in range: Range<RaftIndex>, term: Term) {
        take { range.contains($0.position.index) && $0.position.term == term }.forEach {
            $0.continuation.resume(returning: .aborted)
        }
    }

    mutating func expire(at tick: UInt64) {
        if waiting.isEmpty { return }
        take { $0.expiryTick <= tick }.forEach { $0.continuation.resume(returning: .unknown) }
    }

    private mutating func take(
        _ isMeant: ((position: LogPosition, expiryTick: UInt64, continuation: UnsafeContinuation<Outcome, Never>)) ->
            Bool
    ) -> [(position: LogPosition, expiryTick: UInt64, continuation: UnsafeContinuation<Outcome, Never>)] {
        let taken = waiting.filter(isMeant)
        waiting.removeAll(where: isMeant)
        return taken
    }
}
