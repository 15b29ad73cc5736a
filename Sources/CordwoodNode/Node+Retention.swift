import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft

/// What the leader keeps for members that lag: everything that they still want, up to a bound in bytes and in time.
/// Beyond it they are brought up by a snapshot.
extension Node {
    /// The lowest index that a member inside the bounds still wants, and which member that is; `nil` when nobody lags.
    var wantedByLaggard: (index: RaftIndex, replica: ReplicaID)? {
        guard core.isLeader, peers != nil else { return nil }
        let silentTicks = configuration.retentionNanoseconds / (configuration.tickMilliseconds * 1_000_000)
        var wanted: (index: RaftIndex, replica: ReplicaID)?
        for member in core.status.members where member.replica != replica && member.lagEntries > 0 {
            let index = member.progress.match.next
            guard index >= store.startIndex, member.silentTicks <= silentTicks, index < wanted?.index ?? .init(.max),
                store.finishedBytes(from: index) <= configuration.retentionBytes
            else { continue }
            wanted = (index, member.replica)
        }
        return wanted
    }

    // MARK: Handing over

    /// The voter that is best prepared to lead, if one can be reached.
    var bestSuccessor: ReplicaID? {
        guard core.isLeader else { return nil }
        return core.status.members.filter {
            $0.isVoter && $0.replica != replica && $0.progress.isRecentlyActive && $0.progress.state == .replicate
        }.max { $0.progress.match < $1.progress.match }?.replica
    }

    /// Hands leadership over before this node stops, if somebody can take it, and waits an election timeout for that.
    func handOver() async {
        guard let successor = bestSuccessor else { return }
        step(.transferLeadership(to: successor))
        while core.isLeader, core.transferTarget == successor {
            await seams.clock.sleep(nanoseconds: configuration.tickMilliseconds * 100_000)
        }
    }

    /// A leader whose disk has stood still for two election timeouts lets another lead, and so does one whose
    /// partitions hold back what it acknowledges. The others' disks go on committing without it, but each of its own
    /// entries waits for it to be handed out here.
    func watchDisk() {
        guard core.isLeader, core.transferTarget == .none, let reason = standstill, let successor = bestSuccessor
        else { return }
        log.write(
            LogEvent(.warn, "raft", "hands over: \(reason)", fields: [.init("successor", "\(successor)")]))
        step(.transferLeadership(to: successor))
    }

    private var standstill: String? {
        if isGateMending { return "a partition log is being mended" }
        guard let oldest = pendingWrites.first,
            maintenance.ticks > oldest.tick + 2 * UInt64(configuration.raft.electionTicks)
        else { return nil }
        return "the disk stands still"
    }
}
