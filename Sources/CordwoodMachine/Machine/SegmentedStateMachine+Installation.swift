public import CordwoodBase
internal import CordwoodIO
public import CordwoodLog

/// Taking over what a Raft snapshot brought: the partition logs and snapshots lie in their places already, the machines
/// follow.
extension SegmentedStateMachine {
    /// How long lanes may take to finish what they are at; those that take longer are given up.
    private static let patienceNanoseconds: UInt64 = 2_000_000_000

    /// Stops applying, and returns once nothing is under way. Machines are not handed out before `resume` or `install`,
    /// and nothing may be dispatched.
    public func suspend() async {
        invariant(!isSuspended, "the machines are suspended already")
        isSuspended = true
        guard activeCount > 0 else { return }
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
            var isOver = false
            func finish() {
                if !isOver { continuation.resume() }
                isOver = true
            }
            idlers.append(finish)
            _ = seams.clock.schedule(
                atNanoseconds: seams.clock.monotonicNanoseconds + Self.patienceNanoseconds, finish)
        }
    }

    /// Goes on as if nothing had been.
    public func resume() {
        resumeSuspended()
        for lane in lanes {
            guard let lane, lane.applied < lane.handed else { continue }
            switch lane.state {
            case .idle: beginDraining(lane)
            case .closed: beginOpening(lane)
            default: break
            }
        }
        openNext()
    }

    /// Nothing goes on any more: an installation has failed, and only opening the directory again can complete it.
    public func abandon() {
        isClosed = true
        resumeSuspended()
        for lane in lanes { lane?.resumeWaiters() }
    }

    private func resumeSuspended() {
        isSuspended = false
        let waiting = suspended
        suspended.removeAll()
        for waiter in waiting { waiter.resume() }
    }

    /// Goes on behind a snapshot that ends with a Raft index. A machine whose log was lengthened goes on applying; one
    /// whose log was replaced, or that is overtaken by a snapshot of its own, is made anew. Returns the partitions that
    /// are to be opened for that.
    ///
    /// - Parameters:
    ///   - lines: where each non-empty partition ends, ascending; its log is persisted up to there.
    ///   - restored: partitions of which a machine snapshot came over.
    public func install(
        through index: RaftIndex, lines: [SystemCheckpoint.Line], sessions: SessionTable, restored: Set<PartitionID>
    ) -> [PartitionID] {
        invariant(isSuspended, "a snapshot is installed while machines apply")
        var ends: [PartitionID: SystemCheckpoint.Line] = [:]
        for line in lines { ends[line.partition] = line }
        var anew: [PartitionID] = []
        for at in lanes.indices {
            guard let lane = lanes[at] else { continue }
            let end = ends[lane.partition]?.persisted.rawValue ?? 0
            if lane.state == .idle, lane.log === logs.store(of: lane.partition), lane.applied > 0, lane.applied <= end,
                !restored.contains(lane.partition)
            {
                lane.handed = end
            } else {
                lane.state = .retired
                lanes[at] = nil
                lane.resumeWaiters()
                if end > 0 { anew.append(lane.partition) }
            }
        }
        meetings.removeAll()
        restoreSessions(sessions)
        dispatcher.install(through: index, lines: lines) { [lanes] partition in
            PartitionLogIndex(lanes[Int(partition.rawValue)]?.applied ?? 0)
        }
        resume()
        return anew
    }
}
