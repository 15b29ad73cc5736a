import CordwoodBase
import CordwoodRaft
import Testing

/// Snapshots, compaction, and starting from what is on disk.
@Suite struct SnapshotTests {
    /// Three replicas; 3 was away while 1 dropped its log.
    private func lagging() throws -> Group {
        var group = try Group(3)
        group.campaign(1)
        group.settle()
        group.isolate(3)
        for _ in 0..<5 { group.propose(1) }
        group.settle()
        group.compact(1, through: group[1].core.appliedIndex)
        group.heal()
        return group
    }

    @Test func aPeerBehindTheLogIsBroughtUpByASnapshot() throws {
        var group = try lagging()
        group.tick(1)
        group.settle()
        #expect(group[3].commands == group[1].commands && group[3].core.firstIndex == group[1].core.firstIndex)
        group.propose(1)
        group.settle()
        #expect(group[3].commands == group[1].commands)
        #expect(group[1].core.progress(of: 3)?.state == .replicate)
    }

    @Test func nothingElseIsSentWhileASnapshotIsOnItsWay() throws {
        var group = try lagging()
        group.loses = { $0.kind == .snapshot }
        group.tick(1)
        group.settle()
        #expect(group[1].core.progress(of: 3)?.state == .snapshot)
        for _ in 0..<3 {
            group.propose(1)
            group.tick(1)
        }
        #expect(group.network.filter { $0.message.to == 3 }.allSatisfy { $0.message.kind == .heartbeat })
        // Lost, says the node: after the next heartbeat it is tried again.
        group.loses = { _ in false }
        group.step(1, .snapshotSent(peer: 3, succeeded: false))
        group.settle()
        group.tick(1)
        group.settle()
        #expect(group[3].commands == group[1].commands)
    }

    @Test func aSilentPeerGetsNoSnapshot() throws {
        var group = try Group(3, options: Group.options { $0.checkQuorum = true })
        group.campaign(1)
        group.settle()
        group.isolate(3)
        for _ in 0..<5 { group.propose(1) }
        for _ in 0..<25 {
            group.tick(1)
            group.settle()
        }
        group.compact(1, through: group[1].core.appliedIndex)
        group.step(1, .unreachable(3))
        group.propose(1)
        #expect(group[1].core.progress(of: 3)?.state == .probe && group[1].core.progress(of: 3)?.awaited == .nothing)
    }

    /// The peer came by an older snapshot some other way: whatever lets replication go on ends the snapshot state.
    @Test func anySnapshotThatAllowsReplicationEndsTheSnapshotState() throws {
        var probe = try CoreProbe(log: [1, 1, 1, 1, 1], term: 1, commit: 5)
        _ = probe.step(.applied(5))
        _ = probe.step(.compacted(through: 2))
        _ = probe.lead()
        var refusal = probe.answer(.appendResponse, from: 2, index: 5, isRejected: true)
        refusal.hint = 0
        #expect(probe.receive(refusal).contains(.needSnapshot(2)))
        #expect(probe.step(.snapshotOffered(peer: 2, LogPosition(index: 5, term: 1))).messages(.snapshot).count == 1)
        _ = probe.receive(probe.answer(.appendResponse, from: 2, index: 1))
        #expect(probe.core.progress(of: 2)?.state == .snapshot)
        _ = probe.receive(probe.answer(.appendResponse, from: 2, index: 3))
        #expect(probe.core.progress(of: 2)?.state == .replicate)
    }

    private func snapshot(_ probe: CoreProbe, _ index: RaftIndex, _ logTerm: Term, term: Term) -> RaftMessage {
        var message = RaftMessage(.snapshot, from: 2, to: 1, term: term)
        message.index = index
        message.logTerm = logTerm
        return message
    }

    private func receive(
        _ probe: inout CoreProbe, _ message: RaftMessage, _ configuration: GroupConfiguration
    ) -> [RaftEffect] {
        var effects = RaftEffects()
        probe.core.receiveSnapshot(message, configuration: configuration, into: &effects)
        return effects.effects
    }

    private let three = GroupConfiguration(voters: [1, 2, 3])

    @Test func anInstallReplacesLogAndConfigurationAndIsAcknowledgedWhenDurable() throws {
        var probe = try CoreProbe(log: [1, 1])
        let message = snapshot(probe, 9, 4, term: 5)
        let effects = receive(&probe, message, GroupConfiguration(voters: [1, 2, 4]))
        let installs = effects.contains {
            if case .install(LogPosition(index: 9, term: 4), _) = $0 { true } else { false }
        }
        #expect(installs && effects.messages(.appendResponse).map(\.index) == [9])
        #expect(probe.core.configuration.voters == [1, 2, 4] && probe.core.commitIndex == 9)
        // Until it is durable nothing is handed out, and no election is held.
        #expect(probe.receive(probe.append(term: 5, after: 9, 4, count: 1, commit: 10), terms: [5]).handedOut.isEmpty)
        #expect(!probe.core.isElectable && probe.step(.campaign).isEmpty)
        let done = probe.step(.snapshotDurable(LogPosition(index: 9, term: 4)))
        #expect(probe.core.appliedIndex == 9 && done.handedOut.isEmpty)
        #expect(probe.step(.durable(probe.core.durabilityToken)).handedOut == [10..<11])
    }

    /// B17: the suffix stays exactly if the snapshot's term is the one at its index.
    @Test func b17ASnapshotThatMatchesTheLogOnlyMovesCommitAndKeepsTheSuffix() throws {
        var probe = try CoreProbe(log: [1, 1, 1])
        let effects = receive(&probe, snapshot(probe, 2, 1, term: 2), three)
        #expect(probe.logTerms == [1, 1, 1] && probe.core.commitIndex == 2)
        #expect(effects.messages(.appendResponse).map(\.index) == [2])
        var other = try CoreProbe(log: [1, 1, 1])
        _ = receive(&other, snapshot(other, 2, 2, term: 2), three)
        #expect(other.core.lastPosition == LogPosition(index: 2, term: 2) && other.core.firstIndex == 3)
    }

    @Test func b17AnOlderSnapshotIsAcknowledgedAtCommitAndChangesNothing() throws {
        var probe = try CoreProbe(log: [1, 1, 1], commit: 3)
        let effects = receive(&probe, snapshot(probe, 2, 1, term: 2), GroupConfiguration(voters: [1]))
        #expect(effects.messages(.appendResponse).map(\.index) == [3] && probe.core.configuration == three)
        #expect(!probe.core.needsSnapshot(LogPosition(index: 2, term: 1)))
    }

    @Test func aSnapshotThatDoesNotNameThisReplicaIsNotInstalled() throws {
        var probe = try CoreProbe()
        _ = receive(&probe, snapshot(probe, 9, 4, term: 5), GroupConfiguration(voters: [2, 3]))
        #expect(probe.core.lastPosition.index == 0 && probe.core.configuration == three)
        _ = receive(&probe, snapshot(probe, 9, 4, term: 5), GroupConfiguration(voters: [2, 3], learners: [1]))
        #expect(probe.core.lastPosition.index == 9)
    }

    /// B17: crash while an install is under way: the old state is still there.
    @Test func b17ACrashDuringAnInstallLeavesTheOldState() throws {
        var group = try lagging()
        group.tick(1)
        while let packet = group.network.first {
            group.nodes[3]!.isDiskHeld = packet.snapshot != nil || group[3].isDiskHeld
            group.receive(group.network.removeFirst())
        }
        #expect(group[3].core.status.installing != nil)
        group.crash(3)
        try group.restart(3)
        #expect(group[3].core.commitIndex <= group[3].core.lastPosition.index && group[3].core.firstIndex == 1)
        group.step(1, .snapshotSent(peer: 3, succeeded: false))
        for _ in 0..<3 {
            group.tick(1)
            group.settle()
        }
        #expect(group[3].commands == group[1].commands)
    }

    @Test func proposalsThatASnapshotCoversStayUnknown() throws {
        var probe = try CoreProbe()
        _ = probe.lead()
        _ = probe.propose(count: 3)
        let effects = receive(&probe, snapshot(probe, 9, 4, term: 5), three)
        #expect(!effects.contains { if case .proposalsAborted = $0 { true } else { false } })
    }

    /// B20: what an install drops behind the snapshot is as a truncation: decided by what is committed there.
    @Test func b20ProposalsBehindAnInstalledSnapshotAreAbortedWhenAnotherTermIsCommittedThere() throws {
        var probe = try CoreProbe()
        _ = probe.lead()
        _ = probe.propose(count: 9)
        let installed = receive(&probe, snapshot(probe, 8, 4, term: 5), three)
        #expect(!installed.contains { if case .proposalsAborted = $0 { true } else { false } })
        _ = probe.step(.snapshotDurable(LogPosition(index: 8, term: 4)))
        let append = probe.append(term: 5, after: 8, 4, count: 1, commit: 9)
        #expect(probe.receive(append, terms: [5]).contains(.proposalsAborted(9..<10, 1)))
    }

    // MARK: Starting

    private func start(_ change: (inout RaftStart) -> Void) throws -> RaftCore {
        var start = RaftStart(
            replica: 1, vote: Vote(term: 3, candidate: 1), boundary: LogPosition(index: 10, term: 1), lastIndex: 20,
            termRuns: [TermRun(first: 11, term: 1), TermRun(first: 15, term: 3)], commit: 12, applied: 11,
            configuration: three, configurationEntries: [13], seed: 1)
        change(&start)
        return try RaftCore(start)
    }

    @Test func aCoreStartsWhereItsLogEnds() throws {
        let core = try start { _ in }
        #expect(core.lastPosition == LogPosition(index: 20, term: 3) && core.durableIndex == 20)
        #expect([10, 11, 14, 15, 20].map { core.term(at: $0) } == [1, 1, 1, 3, 3])
        #expect(core.term(at: 9) == nil && core.term(at: 21) == nil)
        #expect(core.role == .follower && core.vote == Vote(term: 3, candidate: 1))
    }

    @Test func whatIsCommittedAndNotAppliedIsHandedOutAgain() throws {
        var core = try start { _ in }
        var effects = RaftEffects()
        core.step(.endTurn, into: &effects)
        #expect(effects.effects == [.apply(12..<13)])
    }

    @Test func statesThatCannotBeAreErrors() throws {
        #expect(throws: RaftStartError.noReplica) { try start { $0.replica = .none } }
        #expect(throws: RaftStartError.lastBelowBoundary(last: 9, boundary: 10)) { try start { $0.lastIndex = 9 } }
        #expect(throws: RaftStartError.commitOutOfRange(commit: 21, boundary: 10, last: 20)) {
            try start { $0.commit = 21 }
        }
        #expect(throws: RaftStartError.appliedOutOfRange(applied: 13, boundary: 10, commit: 12)) {
            try start { $0.applied = 13 }
        }
        #expect(throws: RaftStartError.termBehindLog(recorded: 2, last: 3)) { try start { $0.vote.term = 2 } }
        for runs in [[], [(12, 1)], [(11, 0)], [(11, 2), (11, 3)], [(11, 2), (12, 2)], [(11, 1), (21, 2)]]
            as [[(UInt64, UInt64)]]
        {
            #expect(throws: RaftStartError.self) {
                try start { $0.termRuns = runs.map { TermRun(first: RaftIndex($0.0), term: Term($0.1)) } }
            }
        }
        #expect(throws: RaftStartError.self) { try start { $0.configuration.learners = [1] } }
        #expect(throws: RaftStartError.self) { try start { $0.configurationEntries = [11] } }
        var options = RaftOptions()
        options.heartbeatTicks = 10
        #expect(throws: RaftStartError.self) { try RaftCore(RaftStart(replica: 1, seed: 1), options: options) }
    }
}
