import CordwoodBase
import CordwoodMachine
import CordwoodRaft
import Testing

/// Sessions over real consensus cores: what a client sees of its proposals when answers are lost, leaders change,
/// replicas restart and snapshots are installed. `SessionGroup` checks after each entry that all replicas hold the
/// same bytes, and that nothing was executed twice.
@Suite struct SessionsOverTheCoreTests {
    private func command(_ session: UInt64, _ sequence: UInt64, adds value: UInt64) -> SessionAsk {
        .command(SessionCommand(session, sequence, adds: value))
    }

    /// Replica 1 leads, and a session is open.
    private func leading(timeoutMicroseconds: UInt64 = 1_000_000) throws -> (SessionGroup, session: UInt64) {
        let group = try SessionGroup()
        group.elect(1)
        return (group, try group.open(at: 1, timeoutMicroseconds: timeoutMicroseconds))
    }

    /// Everyone hears the leader, and has everything.
    private func catchUp(_ group: SessionGroup) {
        for _ in 0..<5 {
            if let leader = group.leader { group.step(leader, .tick) }
            group.settle()
        }
    }

    private func expectEqualReplicas(_ group: SessionGroup) {
        catchUp(group)
        #expect(Set(SessionGroup.ids.map { group[$0].image }).count == 1)
    }

    // MARK: Decided at dispatch, in log order

    @Test func sessionsOpenAreUsedAndCloseInLogOrderAndAlikeOnAllReplicas() throws {
        let (group, session) = try leading()
        #expect(group.outcome(at: 1, command(session, 1, adds: 5)) == .applied(answer: 5))
        // One batch: what comes behind the close finds the session closed, although all were accepted before any was
        // decided.
        let used = group.ask(1, command(session, 2, adds: 1))
        let closed = group.ask(1, .close(session: session))
        let late = group.ask(1, command(session, 3, adds: 100))
        let again = group.ask(1, .close(session: session))
        group.settle()
        #expect(group.fate(used) == .applied(answer: 6))
        #expect(group.fate(closed) == .session(.closed(session: session)))
        #expect(group.fate(late) == .refused(.sessionNotOpen))
        #expect(group.fate(again) == .session(.notFound(session: session)))
        expectEqualReplicas(group)
        #expect(group[3].ledger.sum == 6)
    }

    @Test func aSessionExpiresByTheLeadersTimestampsWhateverOtherClocksSay() throws {
        let (group, session) = try leading(timeoutMicroseconds: 100)
        // Far ahead, and of no account: those clocks do not lead.
        group[2].clockMicroseconds = 1_000_000
        group[3].clockMicroseconds = -1_000_000
        group[1].clockMicroseconds = 100
        #expect(group.outcome(at: 1, command(session, 1, adds: 1)) == .applied(answer: 1))
        group[1].clockMicroseconds = 201
        #expect(group.outcome(at: 1, command(session, 2, adds: 1)) == .refused(.sessionNotOpen))
        expectEqualReplicas(group)
    }

    @Test func aNewLeadersSlowClockNeitherTurnsTimeBackNorWakesAnExpiredSession() throws {
        let (group, session) = try leading(timeoutMicroseconds: 100)
        group[1].clockMicroseconds = 101
        let other = try group.open(at: 1, timeoutMicroseconds: 100)
        group.elect(3)
        #expect(group[3].clockMicroseconds == 0)
        #expect(group.outcome(at: 3, command(session, 1, adds: 1)) == .refused(.sessionNotOpen))
        #expect(group.outcome(at: 3, command(other, 1, adds: 1)) == .applied(answer: 1))
        let stamps = group.committed.sorted { $0.key < $1.key }.map(\.value.timestampMicroseconds)
        #expect(stamps == stamps.sorted())
        expectEqualReplicas(group)
    }

    @Test func anExpiredSessionIsRefusedAndItsRetriesAreNeverExecuted() throws {
        let (group, session) = try leading(timeoutMicroseconds: 100)
        #expect(group.outcome(at: 1, command(session, 1, adds: 7)) == .applied(answer: 7))
        group.setClocks(microseconds: 500)
        #expect(group.outcome(at: 1, command(session, 2, adds: 1)) == .refused(.sessionNotOpen))
        // Not even what was finished is answered: the client has to learn that its session is gone.
        #expect(group.outcome(at: 1, command(session, 1, adds: 7)) == .refused(.sessionNotOpen))
        group.elect(2)
        try group.restart(3)
        #expect(group.outcome(at: 2, command(session, 2, adds: 1)) == .refused(.sessionNotOpen))
        expectEqualReplicas(group)
        #expect(group[1].ledger.executed == [SessionCommand(session, 1, adds: 7)])
    }

    // MARK: Exactly once (B19)

    /// B19: the answer is lost, the command is not.
    @Test func b19ARetryAfterALostAnswerReturnsTheFirstResult() throws {
        let (group, session) = try leading()
        #expect(group.outcome(at: 1, command(session, 1, adds: 5)) == .applied(answer: 5))
        #expect(group.outcome(at: 1, command(try group.open(at: 1), 1, adds: 10)) == .applied(answer: 15))
        #expect(group.outcome(at: 1, command(session, 1, adds: 5)) == .applied(answer: 5))
        expectEqualReplicas(group)
        #expect(group[2].ledger.sum == 15)
    }

    @Test func b19TwoAttemptsInOneBatchAreExecutedOnce() throws {
        let (group, session) = try leading()
        let attempts = (0..<3).map { _ in group.ask(1, command(session, 1, adds: 5)) }
        group.settle()
        #expect(attempts.map { group.fate($0) } == Array(repeating: .applied(answer: 5), count: 3))
        expectEqualReplicas(group)
        #expect(group[2].ledger.sum == 5)
    }

    @Test func b19ARetryAtANewLeaderReturnsTheFirstResult() throws {
        let (group, session) = try leading()
        // It reaches replica 3, and the leader never hears of it.
        let first = group.ask(1, command(session, 1, adds: 5))
        group.deliver(.append, to: 3)
        group.isolated = [1]
        group.settle()
        group.elect(3)
        #expect(group.outcome(at: 3, command(try group.open(at: 3), 1, adds: 10)) == .applied(answer: 15))
        #expect(group.outcome(at: 3, command(session, 1, adds: 5)) == .applied(answer: 5))
        // Who was asked first has lost the leadership, and knows no less in the end.
        #expect(group.fate(first) == .waiting)
        group.isolated = []
        catchUp(group)
        #expect(group.fate(first) == .applied(answer: 5))
        expectEqualReplicas(group)
        #expect(group[1].ledger.sum == 15)
    }

    @Test func b19ARetryAfterEveryoneRestartedReturnsTheFirstResult() throws {
        let (group, session) = try leading()
        let first = group.ask(1, command(session, 1, adds: 5))
        group.settle()
        for id in SessionGroup.ids { try group.restart(id) }
        #expect(group.fate(first) == .applied(answer: 5))
        #expect(SessionGroup.ids.allSatisfy { group[$0].ledger.sum == 0 })
        group.loseMessages()
        group.elect(2)
        #expect(group.outcome(at: 2, command(session, 1, adds: 5)) == .applied(answer: 5))
        expectEqualReplicas(group)
        #expect(group[1].ledger.sum == 5)
    }

    @Test func b19AReplicaWhoseSessionsAreAheadOfItsResultsDecidesAsItDidBefore() throws {
        let (group, session) = try leading(timeoutMicroseconds: 100)
        _ = group.outcome(at: 1, command(session, 1, adds: 5))
        group.setClocks(microseconds: 200)
        _ = group.outcome(at: 1, command(session, 2, adds: 100))
        let kept = try group.open(at: 1)
        _ = group.outcome(at: 1, command(kept, 1, adds: 7))
        catchUp(group)
        // The checkpoint knows that the session has expired; the log is handed out again from its start.
        let before = group[2].image
        try group.restart(2, sessions: before.sessions)
        catchUp(group)
        #expect(group[2].image == before)
        #expect(group.outcome(at: 1, command(kept, 1, adds: 7)) == .applied(answer: 12))
        expectEqualReplicas(group)
    }

    @Test func b19SessionsAndResultsTravelInASnapshotAndARetryBehindItReturnsTheFirstResult() throws {
        let (group, session) = try leading()
        group.isolated = [3]
        #expect(group.outcome(at: 1, command(session, 1, adds: 5)) == .applied(answer: 5))
        let other = try group.open(at: 1)
        #expect(group.outcome(at: 1, command(other, 1, adds: 10)) == .applied(answer: 15))
        for id: ReplicaID in [1, 2] { group.compact(id) }
        group.isolated = []
        catchUp(group)
        #expect(group.installs == 1)
        expectEqualReplicas(group)
        // The replica that has all of it from the snapshot answers for it.
        group.elect(3)
        #expect(group.outcome(at: 3, command(session, 1, adds: 5)) == .applied(answer: 5))
        #expect(group.outcome(at: 3, command(other, 2, adds: 1)) == .applied(answer: 16))
        // And again when it has started from that snapshot and the log behind it.
        try group.restart(3)
        group.elect(1)
        expectEqualReplicas(group)
    }

    @Test func aSequenceBelowTheLastFinishedOneIsRefused() throws {
        let (group, session) = try leading()
        #expect(group.outcome(at: 1, command(session, 1, adds: 5)) == .applied(answer: 5))
        #expect(group.outcome(at: 1, command(session, 2, adds: 1)) == .applied(answer: 6))
        #expect(group.outcome(at: 1, command(session, 1, adds: 5)) == .refused(.sequencePassed))
        // Nor is another command taken for a repeat because it has the number of one.
        #expect(group.outcome(at: 1, command(session, 2, adds: 2)) == .refused(.anotherCommand))
        #expect(group.outcome(at: 1, command(session, 2, adds: 1)) == .applied(answer: 6))
        expectEqualReplicas(group)
        #expect(group[1].ledger.sum == 6)
    }

    // MARK: Applied, refused, unknown, aborted (B20)

    /// B20: neither the loss of leadership nor the truncation says that a proposal is lost, only the commit of another
    /// term's entry in its place; and the index alone does not name whom it concerns.
    @Test func b20AProposalIsAbortedOnlyWhenAnotherTermIsCommittedAtItsIndex() throws {
        let (group, session) = try leading()
        group.isolated = [1]
        let lost = try #require(group.ask(1, command(session, 1, adds: 5)))
        group.elect(2)
        let kept = try #require(group.ask(2, command(session, 2, adds: 1)))
        group.settle()
        #expect(group.fate(kept) == .applied(answer: 1))
        // A heartbeat ends the leadership, and tells no commit that is not known to be here.
        group.isolated = []
        group.step(2, .tick)
        group.deliver(.heartbeat, to: 1)
        #expect(!group[1].core.isLeader && group.fate(lost) == .waiting)
        group.settle()
        catchUp(group)
        #expect(group.fate(lost) == .aborted)
        // What was aborted was not executed: the client may ask anew.
        #expect(group.outcome(at: 2, command(try group.open(at: 2), 1, adds: 5)) == .applied(answer: 6))
        expectEqualReplicas(group)
    }

    @Test func b20ATruncatedProposalIsNotAbortedBeforeWhatReplacedItIsCommitted() throws {
        let (group, session) = try leading()
        group.isolated = [1]
        let lost = try #require(group.ask(1, command(session, 1, adds: 5)))
        // Replica 2 wins with the vote of 3; then 3 is gone before it has the new leader's first entry.
        group.step(2, .campaign)
        group.deliver(.vote, to: 3)
        group.deliver(.voteResponse, to: 2)
        #expect(group[2].core.isLeader)
        group.crash(3)
        group.loseMessages()
        group.isolated = []
        // The append truncates; until it is acknowledged nothing is committed.
        group.step(2, .tick)
        group.deliver(.heartbeat, to: 1)
        group.deliver(.heartbeatResponse, to: 2)
        group.deliver(.append, to: 1)
        #expect(group[1].entry(lost.position.index)?.term == group[2].core.term)
        #expect(group[2].core.commitIndex < lost.position.index)
        #expect(group.fate(lost) == .waiting)
        group.settle()
        catchUp(group)
        #expect(group.fate(lost) == .aborted)
        try group.restart(3)
        expectEqualReplicas(group)
        #expect(group[3].ledger.executed.isEmpty)
    }

    @Test func b20WhatAnInstalledSnapshotCoversIsUnknownAndARetryTells() throws {
        let (group, session) = try leading()
        // One that a quorum has and one that nobody else has: the leader cannot tell them apart.
        let committed = try #require(group.ask(1, command(session, 1, adds: 5)))
        group.deliver(.append, to: 2)
        group.isolated = [1]
        let lost = try #require(group.ask(1, command(session, 2, adds: 7)))
        group.settle()
        group.elect(2)
        _ = try group.open(at: 2)
        for id: ReplicaID in [2, 3] { group.compact(id) }
        group.isolated = []
        catchUp(group)
        #expect(group.installs == 1)
        #expect(group.fate(committed) == .unknown && group.fate(lost) == .unknown)
        #expect(group.outcome(at: 2, command(session, 1, adds: 5)) == .applied(answer: 5))
        #expect(group.outcome(at: 2, command(session, 2, adds: 7)) == .applied(answer: 12))
        expectEqualReplicas(group)
        #expect(group[1].ledger.sum == 12)
    }

    @Test func b20WhatAnInstalledSnapshotDropsBehindItIsAbortedOnceAnotherTermIsCommittedThere() throws {
        let (group, session) = try leading()
        group.isolated = [1]
        let covered = try #require(group.ask(1, command(session, 1, adds: 5)))
        let dropped = try #require(group.ask(1, command(session, 2, adds: 7)))
        group.elect(2)
        for id: ReplicaID in [2, 3] { group.compact(id) }
        group.isolated = []
        catchUp(group)
        #expect(group[1].position == LogPosition(index: covered.position.index, term: group[2].core.term))
        #expect(group.fate(covered) == .unknown && group.fate(dropped) == .waiting)
        #expect(group.outcome(at: 2, command(session, 1, adds: 5)) == .applied(answer: 5))
        catchUp(group)
        #expect(group.fate(dropped) == .aborted)
        expectEqualReplicas(group)
    }

    @Test func aProposalWhoseReplicaDiedIsUnknownAndARetryTells() throws {
        let (group, session) = try leading()
        let first = try #require(group.ask(1, command(session, 1, adds: 5)))
        try group.restart(1)
        #expect(group.fate(first) == .unknown)
        group.settle()
        group.elect(1)
        #expect(group.outcome(at: 1, command(session, 1, adds: 5)) == .applied(answer: 5))
        expectEqualReplicas(group)
        #expect(group[2].ledger.sum == 5)
    }
}
