public import CordwoodBase
internal import CordwoodIO
internal import CordwoodLog

/// Snapshots of machines: taken between two applies, on disk once the partition log is durable up to them.
extension SegmentedStateMachine {
    /// Takes a snapshot of a partition now. Returns the index that it shows, `nil` when there is nothing to show or the
    /// partition stands still.
    ///
    /// - Parameter evenIfUnchanged: also when nothing has been applied since the last one, of which the file is lost.
    public func snapshot(_ partition: PartitionID, evenIfUnchanged: Bool = false) async -> PartitionLogIndex? {
        guard await machine(of: partition) != nil, let lane = lanes[Int(partition.rawValue)], lane.applied > 0 else {
            return nil
        }
        if evenIfUnchanged { lane.entriesSinceSnapshot = max(1, lane.entriesSinceSnapshot) }
        lane.wantsSnapshot = true
        if lane.state == .idle { beginDraining(lane) }
        while lane.wantsSnapshot || lane.isSnapshotting, lane.state == .draining {
            await withUnsafeContinuation { lane.waiters.append($0) }
        }
        return try? await snapshots.list(partition).first?.index
    }

    /// Called between two applies of a lane that is draining.
    func takeSnapshot(_ lane: PartitionLane) async {
        lane.wantsSnapshot = false
        guard lane.applied > 0, lane.entriesSinceSnapshot > 0, !lane.isSnapshotting else { return }
        lane.isSnapshotting = true
        defer { lane.isSnapshotting = false }
        let state: [UInt8]
        do {
            switch lane.machine {
            case .synchronous(let machine): state = try machine.snapshot()
            case .asynchronous(let machine): state = try await seams.scheduler.offload { try await machine.snapshot() }
            case nil: return
            }
        } catch {
            report(lane, .warn, "no snapshot: \(error)")
            lane.bytesSinceSnapshot = 0
            return
        }
        let index = PartitionLogIndex(lane.applied)
        let position = lane.position
        let eventCount = lane.eventCount
        lane.bytesSinceSnapshot = 0
        lane.entriesSinceSnapshot = 0
        lane.lastSnapshotBytes = state.count
        do {
            try await logs.persist(lane.partition)
            guard let line = try await lane.log.line(at: index) else {
                report(lane, .warn, "no snapshot at \(index): the partition log is not durable up to it")
                return
            }
            let header = SnapshotHeader(
                partition: lane.partition, index: index, raftIndex: position.index, term: position.term,
                chain: line.chain, eventCount: eventCount)
            try await snapshots.write(header, state, keeping: configuration.keptSnapshots)
            if configuration.compactsLogs, let oldest = try await snapshots.list(lane.partition).last {
                let held = logHold(lane.partition).map(\.previous) ?? oldest.index
                try await lane.log.compact(through: min(oldest.index, held))
            }
        } catch { report(lane, .warn, "no snapshot at \(index): \(error)") }
    }
}
