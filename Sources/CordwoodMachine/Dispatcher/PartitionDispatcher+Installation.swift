public import CordwoodBase
public import CordwoodLog

extension PartitionDispatcher {
    /// A Raft snapshot takes the place of everything up to an index: each partition holds what its line says, logged,
    /// committed and persisted. Nothing is in flight any more; W stays where it is until the machines pass it.
    ///
    /// - Parameters:
    ///   - lines: every non-empty partition, ascending.
    ///   - applied: how far a partition's machine has applied, 0 when it is to be made anew.
    public func install(
        through index: RaftIndex, lines: [SystemCheckpoint.Line], applied: (PartitionID) -> PartitionLogIndex
    ) {
        tracker.install(through: index)
        space = SpaceBudget(freeBytes: space.freeBytes)
        logBytes.removeAll()
        lastRaftIndex = index.rawValue
        for at in partitions.indices {
            partitions[at].base = 0
            partitions[at].inflightBytes = 0
            partitions[at].oldest = Mark()
            partitions[at].newest = Mark()
            partitions[at].isPinned = false
            guard applied(PartitionID(UInt64(at))) == 0 else { continue }
            partitions[at].eventCount = 0
            partitions[at].appliedRaftIndex = 0
            held[at] = nil
        }
        for line in lines where has(line.partition) {
            let progress = PartitionProgress(
                logged: line.persisted, confirmed: 0, applied: applied(line.partition), persisted: line.persisted)
            do { try tracker.restore(line.partition, progress, lastRaftIndex: line.raftIndex) } catch {
                brokenInvariant("\(error)")
            }
            partitions[Int(line.partition.rawValue)].base = line.persisted.rawValue
        }
        recordDispatched(through: index)
    }
}
