/// States that are rare and that runs ought to reach: one that no seed ever reaches is a hole in the simulation.
public enum Marker: String, Hashable, Sendable, CaseIterable {
    /// A leader was elected while the log held more than its beginning.
    case laterElection
    /// Two nodes took themselves for leaders, in different terms.
    case twoLeadersOfDifferentTerms
    case abortedProposal
    case unknownOutcome
    case forwardedWrite
    /// Recovery discarded batches that were torn.
    case tornTail
    /// Recovery made batches durable again that were readable and not promised.
    case hardenedTail
    /// The start of a log moved.
    case truncatedLog
    /// A member was brought up by a snapshot.
    case installedSnapshot
    /// A store took no more writes.
    case failedStore
    case crashWhileDown
    case transferredLeadership
}

struct Markers {
    private(set) var reached: Set<Marker> = []

    mutating func reach(_ marker: Marker) { reached.insert(marker) }
}
