/// States that are rare and that runs ought to reach: one that no seed ever reaches is a hole in the simulation.
public enum Marker: String, Hashable, Sendable, CaseIterable {
    /// A leader was elected while the log held more than its beginning.
    case laterElection
    /// Two nodes took themselves for leaders, in different terms.
    case twoLeadersOfDifferentTerms
    case abortedProposal
    case unknownOutcome
    case forwardedWrite
    /// A command that was sent again had been executed before.
    case recognisedRepeat
    /// A command did not find its stream as it expected.
    case refusedCommand
    /// Recovery discarded batches that were torn.
    case tornTail
    /// Recovery made batches durable again that were readable and not promised.
    case hardenedTail
    /// The start of a log moved.
    case truncatedLog
    /// A member was brought up by a snapshot.
    case installedSnapshot
    /// A store took no more writes, or a partition stood still.
    case failedStore
    case crashWhileDown
    case transferredLeadership
    /// Changes of the membership that took effect.
    case addedMember
    case promotedMember
    case demotedMember
    case removedMember
    case replacedMember
    /// A change whose outcome was not known at first.
    case unknownChange
    /// The leader was removed, or demoted.
    case leaderLeft
    /// A machine ended while the configuration was joint.
    case endWhileJoint
    /// A learner was to be promoted while it took a snapshot.
    case promotionDuringSnapshot
    /// A removed node was started again with what it had.
    case returnedMember
    /// A machine was given a disk again whose replica had been removed.
    case restoredDisk
    case wipedDisk
    /// A member took another one's place after a disk was lost or damaged.
    case mendedMember
    /// The disk was full, and had room again.
    case fullDisk
    /// Damage was done to a closed file of the log, of a partition, to a snapshot.
    case damagedLog
    case damagedPartition
    case damagedSnapshot
    /// A partition log was mended from other replicas.
    case mendedPartition
    /// A segmented log was mended from other replicas before its member took its place.
    case mendedLog
    /// A directory was refused because of its damage.
    case refusedDirectory
    /// A leader could not read its log.
    case unreadableLog
    /// More was damaged than a group can bear, and nothing wrong was shown.
    case unfairHalt
}

struct Markers {
    private(set) var reached: Set<Marker> = []

    mutating func reach(_ marker: Marker) { reached.insert(marker) }
}
