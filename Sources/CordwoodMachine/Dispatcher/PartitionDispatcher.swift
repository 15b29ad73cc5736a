public import CordwoodBase
public import CordwoodIO
public import CordwoodLog

/// Admits proposals, hands out partition log indexes, and keeps what each partition has reached: the four counters, the
/// watermark W, what is in flight, who its master is.
///
/// The dispatcher counts no quorum itself: it asks the tracker, which holds the four counters. What it adds for each
/// partition is one small value in an array indexed by partition, so an idle partition costs nothing beyond its place.
/// A proposal travels `admit`, then, in the same synchronous step in which the core accepts it, `recordAppended`; a
/// proposal that the core refuses has consumed nothing.
public final class PartitionDispatcher {
    struct Mark {
        var index: UInt64 = 0
        var raftIndex: UInt64 = 0
        var nanoseconds: UInt64 = 0
    }

    struct Partition {
        /// Entries appended up to here were there when the node started: they are not in flight.
        var base: UInt64 = 0
        var inflightBytes = 0
        /// An entry in flight that is the oldest, or is known to be younger than the oldest by little.
        var oldest = Mark()
        /// An entry admitted later, from which the next `oldest` is taken.
        var newest = Mark()
        /// Events of applied entries.
        var eventCount: UInt64 = 0
        /// Events of entries that are applied and confirmed: W.
        var visibleCount: UInt64 = 0
        var appliedRaftIndex: UInt64 = 0
        var queue: UInt16 = 0
        var isPinned = false
        var hasWaiters = false
        /// The quorum rule is more than Raft's commit: W waits for it.
        var hasOwnQuorum = false
    }

    /// Events up to an applied entry that is not confirmed yet.
    struct HeldEvents {
        var index: UInt64
        /// Of all entries up to this one.
        var eventCount: UInt64
    }

    public private(set) var configuration: PartitionDispatcherConfiguration
    public let tracker: SegmentedAckTracker

    /// Called with a partition and its new W whenever W has moved.
    public var onVisible: ((PartitionID, UInt64) -> Void)?

    let partitions: FixedTable<Partition>
    var held: [Int: [HeldEvents]] = [:]
    private var queues: [PartitionQueueConfiguration]
    private var overrides: [PartitionID: PartitionDescriptor]
    /// Last Raft index of the log, uncommitted entries included.
    var lastRaftIndex: UInt64
    /// Raft index up to which all entries have been handed to their partitions.
    var dispatchedIndex: UInt64
    let clock: any Clock
    var barriers = BarrierTable()
    private let ownedSpace = Owned(SpaceBudget())
    private let ownedLogBytes = Owned(LogBytes())

    /// A dispatcher over a log that begins behind `index`, all of it committed.
    public init(
        configuration: PartitionDispatcherConfiguration, clock: any Clock, startingAfter index: RaftIndex = 0
    ) {
        self.configuration = configuration
        self.clock = clock
        tracker = SegmentedAckTracker(partitionCount: configuration.partitionCount, startingAfter: index)
        partitions = FixedTable(repeating: Partition(), count: configuration.partitionCount)
        queues = [configuration.queue]
        overrides = Dictionary(configuration.overrides.map { ($0.partition, $0) }, uniquingKeysWith: { $1 })
        lastRaftIndex = index.rawValue
        dispatchedIndex = index.rawValue
        for number in 0..<configuration.partitionCount { register(PartitionID(UInt64(number))) }
        tracker.onConfirmed = { [weak self] in self?.showConfirmed($0) }
    }

    var space: SpaceBudget {
        _read { yield ownedSpace.value }
        _modify { yield &ownedSpace.value }
    }

    var logBytes: LogBytes {
        _read { yield ownedLogBytes.value }
        _modify { yield &ownedLogBytes.value }
    }

    // MARK: Partitions

    public var partitionCount: Int { configuration.partitionCount }

    public func has(_ partition: PartitionID) -> Bool { tracker.has(partition) }

    /// The descriptor as it is now; a value that later changes do not alter.
    public func descriptor(of partition: PartitionID) -> PartitionDescriptor? {
        guard has(partition) else { return nil }
        return overrides[partition] ?? defaultDescriptor(partition)
    }

    /// All descriptors as they are now, ascending by partition.
    public var descriptors: [PartitionDescriptor] {
        (0..<configuration.partitionCount).compactMap { descriptor(of: PartitionID(UInt64($0))) }
    }

    /// Gives a partition a descriptor of its own, or brings a removed one back.
    public func upsert(_ descriptor: PartitionDescriptor) throws(DispatchError) {
        guard descriptor.partition.rawValue < UInt64(partitionCount) else {
            throw .partitionMissing(descriptor.partition)
        }
        overrides[descriptor.partition] = descriptor
        register(descriptor.partition, descriptor)
    }

    /// Forgets a partition; tells how far it had come.
    public func remove(_ partition: PartitionID) throws(DispatchError) -> PartitionProgress {
        do {
            let progress = try tracker.removePartition(partition)
            overrides[partition] = nil
            held[Int(partition.rawValue)] = nil
            partitions[Int(partition.rawValue)] = Partition()
            return progress
        } catch { throw .partitionMissing(partition) }
    }

    private func register(_ partition: PartitionID, _ given: PartitionDescriptor? = nil) {
        let descriptor = given ?? overrides[partition] ?? defaultDescriptor(partition)
        let at = Int(partition.rawValue)
        do { try tracker.upsertPartition(descriptor) } catch {
            brokenInvariant("partition \(partition) of \(partitionCount)")
        }
        partitions[at].hasOwnQuorum = !descriptor.quorum.followsCommit
        partitions[at].queue = queueNumber(descriptor.queue)
    }

    private func defaultDescriptor(_ partition: PartitionID) -> PartitionDescriptor {
        PartitionDescriptor(
            partition: partition, machine: configuration.machine, queue: configuration.queue, quorum: defaultRule,
            master: configuration.master)
    }

    private var defaultRule: PartitionQuorumRule {
        PartitionQuorumRule(members: configuration.members, decision: configuration.decision)
    }

    private func queueNumber(_ queue: PartitionQueueConfiguration) -> UInt16 {
        if let known = queues.firstIndex(of: queue) { return UInt16(known) }
        queues.append(queue)
        return UInt16(queues.count - 1)
    }

    // MARK: Membership and masters

    /// The voters of the group, the members of every quorum that is not overridden. Masters follow at once.
    public func updateMembership(_ members: [ReplicaID]) {
        let old = configuration.members
        configuration.members = members
        for number in 0..<partitionCount where tracker.has(PartitionID(UInt64(number))) {
            let partition = PartitionID(UInt64(number))
            if overrides[partition] == nil { register(partition) }
        }
        for replica in old where !members.contains(replica) { tracker.removeReplica(replica) }
    }

    public func membership(of partition: PartitionID) -> [ReplicaID] {
        descriptor(of: partition)?.quorum.members ?? []
    }

    public func masterPolicy(of partition: PartitionID) -> PartitionMasterPolicy? { descriptor(of: partition)?.master }

    /// The partition's published master. It orders nothing that Raft decides.
    public func master(of partition: PartitionID) -> ReplicaID? {
        guard let descriptor = descriptor(of: partition) else { return nil }
        return descriptor.master.master(of: partition, among: descriptor.quorum.members)
    }

    /// Who has acknowledged an entry, as the tracker knows it.
    public func quorumStatus(of partition: PartitionID, _ index: PartitionLogIndex) throws(AckError)
        -> PartitionAckStatus
    { try tracker.status(of: partition, index) }

    // MARK: Admission

    /// The partition's next index, if an entry of so many payload bytes may go there now. Nothing is consumed before
    /// `recordAppended`.
    ///
    /// - Parameter expected: an index that the caller believes to be the next one; another is refused.
    public func admit(
        _ partition: PartitionID, byteCount: Int, nowNanoseconds: UInt64, expecting expected: PartitionLogIndex? = nil
    ) throws(AdmissionError) -> PartitionAdmission {
        guard let (appended, applied, lastRaft) = tracker.admissionState(of: partition) else {
            throw .partitionMissing(partition)
        }
        let at = Int(partition.rawValue)
        let queue = queues[Int(partitions[at].queue)]
        let inflight = Int(appended - max(applied, partitions[at].base))
        if inflight >= queue.maxInflightEntries {
            throw .backpressure(partition, inflight: inflight, limit: queue.maxInflightEntries)
        }
        if inflight > 0 {
            if let limit = queue.maxInflightBytes, partitions[at].inflightBytes + byteCount > limit {
                throw .bytesExceeded(partition, bytes: partitions[at].inflightBytes + byteCount, limit: limit)
            }
            let oldest = partitions[at].oldest
            if let limit = queue.maxAgeNanoseconds, nowNanoseconds > oldest.nanoseconds + limit {
                throw .ageExceeded(partition, ageNanoseconds: nowNanoseconds - oldest.nanoseconds, limit: limit)
            }
            if let limit = queue.maxGlobalLag, lastRaftIndex > oldest.raftIndex + limit {
                throw .lagExceeded(partition, lag: lastRaftIndex - oldest.raftIndex, maximum: limit)
            }
        }
        if partitions[at].isPinned {
            throw .pinned(
                partition, pinnedBytes: configuration.maxPinnedBytes, limit: configuration.maxPinnedBytes)
        }
        let cost = SpaceBudget.cost(byteCount)
        if cost > space.availableBytes {
            throw .noSpace(partition, neededBytes: cost, availableBytes: space.availableBytes)
        }
        let next = PartitionLogIndex(appended + 1)
        if let expected, expected != next { throw .indexMismatch(partition, expected: next, given: expected) }
        return PartitionAdmission(partitionIndex: next, previousRaftIndex: RaftIndex(lastRaft))
    }

    /// The free bytes that the disk has now; `nil` when they are not to limit admission.
    public func updateFreeBytes(_ bytes: UInt64?) { space.freeBytes = bytes }
}

/// What an admitted slice carries.
@frozen
public struct PartitionAdmission: Hashable, Sendable {
    public var partitionIndex: PartitionLogIndex
    public var previousRaftIndex: RaftIndex
}

/// An event that contradicts what the dispatcher knows of a partition.
public enum DispatchError: Error, Hashable, Sendable {
    case partitionMissing(PartitionID)
    /// An entry whose index is not the partition's next one, or which names another predecessor.
    case indexMismatch(PartitionID, expected: PartitionLogIndex, given: PartitionLogIndex)
    case predecessorMismatch(PartitionID, expected: RaftIndex, given: RaftIndex)
    /// Applied is at most logged and at most committed.
    case appliedBeyondLogged(PartitionID, applied: PartitionLogIndex, logged: PartitionLogIndex)
    case appliedBeyondCommit(PartitionID, applied: PartitionLogIndex, committed: PartitionLogIndex)
}

/// Disk space that admitted entries will take: each byte once in the segmented log and once in its partition log,
/// until it is persisted.
struct SpaceBudget {
    /// Room for an entry's framing and padding in one log.
    static let framingBytes: UInt64 = 256

    var freeBytes: UInt64?
    private(set) var chargedBytes: UInt64 = 0

    init(freeBytes: UInt64? = nil) { self.freeBytes = freeBytes }

    static func cost(_ byteCount: Int) -> UInt64 { 2 * (UInt64(byteCount) + framingBytes) }

    var availableBytes: UInt64 {
        guard let freeBytes else { return .max }
        return freeBytes > chargedBytes ? freeBytes - chargedBytes : 0
    }

    mutating func charge(_ bytes: UInt64) { chargedBytes &+= bytes }

    mutating func release(_ bytes: UInt64) { chargedBytes -= min(bytes, chargedBytes) }
}
