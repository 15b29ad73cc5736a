import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft

/// How the members are. Each asks the others now and then, so that every node can show all of them and can tell clients
/// where the leader is, without an entry of the log for what changes with every start.
extension Node {
    /// Every member as this node sees it, in the order of their ids.
    public var memberStatuses: [MemberStatus] { membership.members.map(status) }

    private func status(of member: Membership.Member) -> MemberStatus {
        var status = MemberStatus(member: member, isVoter: membership.configuration.isVoter(member.replica))
        if member.replica == replica {
            take(report, into: &status)
            status.lastContactNanoseconds = 0
            return status
        }
        if let received = reports.received[member.replica] {
            take(received.report, into: &status)
            let age = seams.clock.monotonicNanoseconds - received.receivedNanoseconds
            status.lastContactNanoseconds = age
            status.roundTripNanoseconds = received.roundTripNanoseconds
            if age > silenceNanoseconds { status.role = nil }
        }
        if let peer = leaderView(of: member.replica) {
            status.match = peer.progress.match
            status.next = peer.progress.next
            status.replication = peer.progress.state
            let silence = peer.silentTicks * configuration.tickMilliseconds * 1_000_000
            status.lastContactNanoseconds = min(silence, status.lastContactNanoseconds ?? .max)
        }
        return status
    }

    private func take(_ report: MemberReport, into status: inout MemberStatus) {
        status.role = report.role
        status.clientAddress = report.clientAddress
        status.match = report.durable
        status.isDegraded = report.isDegraded
        status.startedMicroseconds = report.startedMicroseconds
    }

    private func leaderView(of peer: ReplicaID) -> RaftStatus.Member? {
        core.isLeader ? core.status.members.first { $0.replica == peer } : nil
    }

    /// What this node answers when it is asked.
    var report: MemberReport {
        MemberReport(
            role: core.role, isDegraded: storeFailure != nil, term: core.term, leader: core.leader,
            commit: core.commitIndex, dispatched: core.appliedIndex, durable: store.durableIndex,
            last: core.lastPosition.index, startedMicroseconds: startedMicroseconds, clientAddress: clientAddress)
    }

    // MARK: Asking

    private static let reportTicks: UInt64 = 10
    private static let silentReports: UInt64 = 3

    private var silenceNanoseconds: UInt64 {
        Self.reportTicks * Self.silentReports * configuration.tickMilliseconds * 1_000_000
    }

    /// With every tick: asks whoever was not asked lately.
    func tickReports() {
        guard let peers else { return }
        for member in membership.members where member.replica != replica {
            let peer = member.replica
            guard peers.isConnected(to: peer), !reports.underWay.contains(peer),
                maintenance.ticks >= reports.nextTick[peer] ?? 0
            else { continue }
            reports.nextTick[peer] = maintenance.ticks + Self.reportTicks
            reports.underWay.insert(peer)
            seams.scheduler.spawn("report of replica \(peer)") { [self] in
                await ask(peer, over: peers)
                reports.underWay.remove(peer)
            }
        }
    }

    /// One that does not answer is asked again: nothing depends on it.
    private func ask(_ peer: ReplicaID, over peers: PeerTransport) async {
        let sent = seams.clock.monotonicNanoseconds
        do {
            let answer = try await peers.call(peer, .report, [], timeoutNanoseconds: silenceNanoseconds)
            let now = seams.clock.monotonicNanoseconds
            let report = try MemberReport(decoding: answer)
            reports.received[peer] = .init(
                report: report, receivedNanoseconds: now, roundTripNanoseconds: now - sent)
            // Its client port opens behind its peer port.
            if report.clientAddress.isEmpty { reports.nextTick[peer] = maintenance.ticks + 1 }
        } catch {
            log.write(
                LogEvent(
                    .debug, "peer", "no report",
                    fields: [.init("replica", "\(peer)"), .init("reason", "\(error)")]))
        }
    }

    /// Gives leadership up, or forgets who has it: an election follows.
    public func stepDown() { step(.stepDown) }
}
