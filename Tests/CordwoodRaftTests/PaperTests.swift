import CordwoodBase
import CordwoodRaft
import Testing

/// The Raft paper, sentence by sentence, named by section. (The reference keeps the same list in `raft_paper_test`.)
@Suite struct PaperTests {
    // MARK: 5.1 Terms

    @Test func section51AServerTakesALargerTermAndFollows() throws {
        for role in [RaftRole.follower, .candidate, .leader] {
            var probe = try CoreProbe()
            if role == .candidate { _ = probe.step(.campaign) }
            if role == .leader { _ = probe.lead() }
            #expect(probe.core.role == role)
            _ = probe.receive(probe.append(term: 5, after: 0, 0))
            #expect(probe.core.term == 5 && probe.core.role == .follower && probe.core.leader == 2)
        }
    }

    @Test func section51ARequestOfAStaleTermIsRejected() throws {
        var probe = try CoreProbe(term: 4)
        #expect(probe.receive(probe.append(term: 3, after: 0, 0, count: 1), terms: [3]).isEmpty)
        #expect(probe.receive(probe.voteRequest(term: 3, last: 9, 3)).isEmpty)
        #expect(probe.core.term == 4 && probe.core.lastPosition.index == 0 && probe.core.vote.candidate == .none)
    }

    // MARK: 5.2 Elections

    @Test func section52ServersStartAsFollowers() throws {
        let probe = try CoreProbe()
        #expect(probe.core.role == .follower && probe.core.leader == .none)
    }

    @Test func section52ALeaderSendsHeartbeatsToAllFollowersEveryInterval() throws {
        var probe = try CoreProbe(options: Group.options { $0.heartbeatTicks = 3 })
        _ = probe.lead()
        #expect(probe.tick(2).messages(.heartbeat).isEmpty)
        #expect(probe.tick(1).messages(.heartbeat).map(\.to) == [2, 3])
    }

    @Test(arguments: [false, true])
    func section52WithoutALeaderAServerRaisesItsTermVotesForItselfAndAsks(isCandidate: Bool) throws {
        var probe = try CoreProbe(term: 1)
        if isCandidate { _ = probe.step(.campaign) }
        let term = probe.core.term
        let effects = probe.tick(20)
        #expect(probe.core.role == .candidate && probe.core.term > term && probe.core.vote.candidate == 1)
        #expect(effects.messages(.vote).prefix(2).map(\.to) == [2, 3])
    }

    @Test func section52ElectionsEndByMajority() throws {
        let cases: [(voters: Int, yes: [UInt64], no: [UInt64], RaftRole)] = [
            (1, [], [], .leader), (3, [2, 3], [], .leader), (3, [2], [], .leader), (5, [2, 3, 4, 5], [], .leader),
            (5, [2, 3], [], .leader), (5, [2], [], .candidate), (3, [], [2, 3], .follower),
            (5, [], [2, 3, 4, 5], .follower), (5, [2], [3, 4, 5], .follower), (3, [], [], .candidate),
            (5, [2], [3], .candidate), (3, [], [2], .candidate),
        ]
        for (voters, yes, no, role) in cases {
            var probe = try CoreProbe(voters: (1...UInt64(voters)).map { ReplicaID($0) })
            _ = probe.settle(probe.step(.campaign))
            for id in yes { _ = probe.receive(probe.answer(.voteResponse, from: ReplicaID(id))) }
            for id in no { _ = probe.receive(probe.answer(.voteResponse, from: ReplicaID(id), isRejected: true)) }
            #expect(probe.core.role == role, "\(voters) voters, \(yes) for, \(no) against")
            #expect(probe.core.term == 1)
        }
    }

    @Test func section52AServerVotesOncePerTermFirstComeFirstServed() throws {
        for (votedFor, asker, granted) in [(0, 2, true), (0, 3, true), (2, 2, true), (3, 2, false), (2, 3, false)] {
            var probe = try CoreProbe(term: 1, vote: ReplicaID(UInt64(votedFor)))
            let answer = probe.receive(probe.voteRequest(from: ReplicaID(UInt64(asker)), term: 1))
                .messages(.voteResponse)
            #expect(answer.map(\.isRejected) == [!granted], "voted for \(votedFor), asked by \(asker)")
        }
    }

    @Test func section52OnlyTheFirstAnswerOfAVoterCounts() throws {
        var probe = try CoreProbe()
        _ = probe.settle(probe.step(.campaign))
        _ = probe.receive(probe.answer(.voteResponse, from: 2, isRejected: true))
        _ = probe.receive(probe.answer(.voteResponse, from: 2))
        #expect(probe.core.role == .candidate)
    }

    @Test(arguments: [1, 2])
    func section52ACandidateThatHearsALeaderOfItsTermOrALaterOneFollows(term: UInt64) throws {
        var probe = try CoreProbe()
        _ = probe.step(.campaign)
        _ = probe.receive(probe.append(from: 3, term: Term(term), after: 0, 0))
        #expect(probe.core.role == .follower && probe.core.term == Term(term) && probe.core.leader == 3)
    }

    @Test func section52ElectionTimeoutsAreSpreadBetweenOneAndTwoBases() throws {
        var seen: Set<Int> = []
        var probe = try CoreProbe()
        for _ in 0..<1000 {
            var ticks = 0
            let term = probe.core.term
            while probe.core.term == term {
                _ = probe.step(.tick)
                ticks += 1
            }
            seen.insert(ticks)
        }
        #expect(seen == Set(10..<20))
    }

    @Test func section52TimeoutsOfSeveralServersSeldomMeet() throws {
        var together = 0
        for seed in 0..<200 {
            let times = try (1...5).map { id in
                var start = RaftStart(
                    replica: ReplicaID(UInt64(id)), configuration: GroupConfiguration(voters: [1, 2, 3, 4, 5]),
                    seed: UInt64(seed * 5 + id))
                start.termRuns = []
                var core = try RaftCore(start, options: Group.options())
                var effects = RaftEffects()
                var ticks = 0
                while core.role == .follower {
                    core.step(.tick, into: &effects)
                    ticks += 1
                }
                return ticks
            }.sorted()
            if times[0] == times[1] { together += 1 }
        }
        #expect(together < 100)
    }

    // MARK: 5.3 Replication

    @Test func section53ALeaderAppendsAndSendsAppendsInParallel() throws {
        var probe = try CoreProbe()
        _ = probe.lead()
        _ = probe.receive(probe.answer(.appendResponse, from: 2, index: 1))
        _ = probe.receive(probe.answer(.appendResponse, from: 3, index: 1))
        let effects = probe.propose()
        #expect(probe.core.lastPosition == LogPosition(index: 2, term: 1))
        let sent = effects.messages(.append)
        #expect(sent.map(\.to) == [2, 3])
        #expect(sent.allSatisfy { $0.index == 1 && $0.logTerm == 1 && $0.entryCount == 1 && $0.commit == 1 })
        // The local write is asked for first, and nothing waits for it.
        guard case .append = effects.first else { return #expect(Bool(false), "\(effects)") }
    }

    @Test func section53AnEntryIsCommittedWhenAMajorityHasIt() throws {
        let cases: [(Int, Set<UInt64>, Bool)] = [
            (1, [], true), (3, [], false), (3, [2], true), (3, [2, 3], true), (5, [], false), (5, [2], false),
            (5, [2, 3], true), (5, [2, 3, 4, 5], true),
        ]
        for (voters, acknowledged, isCommitted) in cases {
            var probe = try CoreProbe(voters: (1...UInt64(voters)).map { ReplicaID($0) })
            _ = probe.settle(probe.step(.campaign))
            for id in 2...max(2, UInt64(voters)) where voters > 1 {
                _ = probe.settle(probe.receive(probe.answer(.voteResponse, from: ReplicaID(id))))
            }
            _ = probe.settle(probe.propose())
            for id in acknowledged { _ = probe.receive(probe.answer(.appendResponse, from: ReplicaID(id), index: 2)) }
            #expect((probe.core.commitIndex == 2) == isCommitted, "\(voters) voters, \(acknowledged)")
        }
    }

    @Test(arguments: [[], [2], [1, 2], [1]] as [[UInt64]])
    func section53CommittingAnEntryCommitsAllBeforeIt(log: [UInt64]) throws {
        var probe = try CoreProbe(log: log, term: 2)
        _ = probe.lead()
        let last = probe.core.lastPosition.index
        let effects = probe.receive(probe.answer(.appendResponse, from: 2, index: last))
        #expect(effects.handedOut == [1..<last.next])
    }

    @Test func section53AFollowerLearnsOfCommitByTheNextAppendOrHeartbeat() throws {
        var probe = try CoreProbe()
        _ = probe.receive(probe.append(term: 1, after: 0, 0, count: 2, commit: 1), terms: [1, 1])
        #expect(probe.core.commitIndex == 1)
        var heartbeat = RaftMessage(.heartbeat, from: 2, to: 1, term: 1)
        heartbeat.commit = 2
        let effects = probe.receive(heartbeat)
        #expect(probe.core.commitIndex == 2)
        #expect(effects.messages(.heartbeatResponse).map(\.to) == [2])
    }

    @Test func section53AFollowerRefusesAnAppendThatDoesNotMatchAndSaysWhereItMay() throws {
        for (index, term, refused, hint) in [
            (0, 0, false, 0), (1, 1, false, 0), (2, 2, false, 0), (1, 2, true, 1), (3, 3, true, 2),
        ] as [(UInt64, UInt64, Bool, UInt64)] {
            var probe = try CoreProbe(log: [1, 2])
            let answer = probe.receive(probe.append(term: 3, after: RaftIndex(index), Term(term)))
                .messages(.appendResponse)
            #expect(answer.map(\.isRejected) == [refused])
            if refused { #expect(answer.map(\.hint) == [RaftIndex(hint)] && answer.map(\.index) == [RaftIndex(index)]) }
        }
    }

    @Test func section53AFollowerDropsWhatConflictsAndTakesWhatIsNew() throws {
        let cases: [(after: UInt64, term: UInt64, terms: [UInt64], log: [UInt64])] = [
            (2, 2, [3], [1, 2, 3]), (1, 1, [3, 4], [1, 3, 4]), (0, 0, [1], [1, 2]), (0, 0, [3], [3]),
            (2, 2, [], [1, 2]), (1, 1, [2, 3], [1, 2, 3]),
        ]
        for (after, term, terms, log) in cases {
            var probe = try CoreProbe(log: [1, 2])
            let message = probe.append(term: 4, after: RaftIndex(after), Term(term), count: terms.count)
            _ = probe.receive(message, terms: terms)
            #expect(probe.logTerms == log, "\(terms) behind \(after)")
        }
    }

    /// Figure 7: whatever a follower lacks or has too much, it ends with the leader's log.
    @Test func section53ALeaderBringsTheLogsOfFigure7InLine() throws {
        let leader: [UInt64] = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
        let followers: [[UInt64]] = [
            [1, 1, 1, 4, 4, 5, 5, 6, 6], [1, 1, 1, 4], [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
            [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7], [1, 1, 1, 4, 4, 4, 4], [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
        ]
        for follower in followers {
            let term = Vote(term: 8, candidate: .none)
            var group = try Group(3, logs: [1: leader, 2: follower], votes: [1: term, 2: term, 3: term])
            group.campaign(1)
            group.settle()
            group.propose(1)
            group.settle()
            #expect(group[2].log.entries == group[1].log.entries, "\(follower)")
        }
    }

    // MARK: 5.4 Safety

    @Test func section54AVoteRequestNamesTheCandidatesLastEntry() throws {
        var probe = try CoreProbe(log: [1, 2], term: 2)
        let requests = probe.step(.campaign).messages(.vote)
        #expect(requests.map(\.to) == [2, 3])
        #expect(requests.allSatisfy { $0.term == 3 && $0.index == 2 && $0.logTerm == 2 })
    }

    @Test func section54AVoterRefusesACandidateWhoseLogIsBehind() throws {
        let cases: [(log: [UInt64], term: UInt64, index: UInt64, refused: Bool)] = [
            ([1], 1, 1, false), ([1], 1, 2, false), ([1, 1], 1, 1, true), ([1], 2, 1, false), ([1], 2, 2, false),
            ([1, 1], 2, 1, false), ([2], 1, 1, true), ([2], 1, 2, true), ([2, 2], 1, 1, true),
        ]
        for (log, term, index, refused) in cases {
            var probe = try CoreProbe(log: log, term: 2)
            let answer = probe.receive(probe.voteRequest(term: 3, last: RaftIndex(index), Term(term)))
                .messages(.voteResponse)
            #expect(answer.map(\.isRejected) == [refused], "\(log) against \(term)/\(index)")
        }
    }

    @Test func section54OnlyEntriesOfTheLeadersTermAreCommittedByCounting() throws {
        for (index, commit) in [(1, 0), (2, 0), (3, 3)] as [(UInt64, UInt64)] {
            var probe = try CoreProbe(log: [1, 2], term: 2)
            _ = probe.lead()
            _ = probe.receive(probe.answer(.appendResponse, from: 2, index: RaftIndex(index)))
            #expect(probe.core.commitIndex == RaftIndex(commit))
        }
    }

    /// Section 3.10 of the dissertation.
    @Test func thesis310ATransferTargetCampaignsAtOnceAndAgainstTheLease() throws {
        var probe = try CoreProbe(options: Group.options { ($0.preVote, $0.checkQuorum) = (true, true) })
        _ = probe.receive(probe.append(term: 1, after: 0, 0))
        let effects = probe.receive(RaftMessage(.timeoutNow, from: 2, to: 1, term: 1))
        #expect(effects.messages(.vote).map(\.isTransfer) == [true, true])
    }
}
