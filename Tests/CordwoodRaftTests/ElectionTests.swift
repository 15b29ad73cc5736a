import CordwoodBase
import CordwoodRaft
import Testing

/// Elections beyond the paper: pre-vote, check-quorum, leases, learners, damage.
@Suite struct ElectionTests {
    private func careful(_ change: (inout RaftOptions) -> Void = { _ in }) -> RaftOptions {
        Group.options {
            ($0.preVote, $0.checkQuorum) = (true, true)
            change(&$0)
        }
    }

    // MARK: Votes

    @Test func termAndVoteAreRecordedBeforeTheAnswerThatRestsOnThem() throws {
        var probe = try CoreProbe()
        let effects = probe.receive(probe.voteRequest(term: 3))
        guard case .persist(let vote, let token) = effects.first,
            case .sendAfter(_, let answer) = effects.dropFirst().first
        else { return #expect(Bool(false), "\(effects)") }
        #expect(vote == Vote(term: 3, candidate: 2) && token.term == 3)
        #expect(answer.kind == .voteResponse && !answer.isRejected)
    }

    @Test func acknowledgementsOfAppendsWaitForTheWrite() throws {
        var probe = try CoreProbe()
        let effects = probe.receive(probe.append(term: 1, after: 0, 0, count: 1), terms: [1])
        let waiting = effects.contains {
            if case .sendAfter(let token, let message) = $0 {
                message.kind == .appendResponse && token.last == LogPosition(index: 1, term: 1)
            } else {
                false
            }
        }
        #expect(waiting)
        #expect(
            !effects.contains { if case .send(let message) = $0 { message.kind == .appendResponse } else { false } })
    }

    /// B3: a vote survives a restart, so that no term sees two.
    @Test func b03ACandidateThatDiesBeforeItsVoteIsDurableAsksNobodyInThatTerm() throws {
        var group = try Group(3)
        group.nodes[1]!.isDiskHeld = true
        group.campaign(1)
        #expect(group.network.isEmpty)
        group.crash(1)
        try group.restart(1)
        #expect(group[1].core.term == 0)
        group.campaign(2)
        group.settle()
        #expect(group.leader == 2)
    }

    @Test func b03APoisonedStoreMeansNoVoteNoAcknowledgementAndNoLeadership() throws {
        var probe = try CoreProbe()
        _ = probe.lead()
        _ = probe.step(.storePoisoned)
        #expect(!probe.core.isLeader && probe.core.isPoisoned)
        #expect(probe.receive(probe.voteRequest(term: 9, last: 9, 9)).messages.isEmpty)
        #expect(probe.receive(probe.append(term: 9, after: 1, 1, count: 1), terms: [9]).isEmpty)
        #expect(probe.tick(40).messages.isEmpty && probe.step(.campaign).messages.isEmpty)
        var effects = RaftEffects()
        #expect(probe.core.propose(.application, size: 1, into: &effects) == .refused(.poisoned))
    }

    // MARK: Pre-vote

    @Test func aPreVoteAsksForTheNextTermAndChangesNothing() throws {
        var asking = try CoreProbe(log: [1], options: careful())
        let requests = asking.step(.campaign).messages(.preVote)
        #expect(requests.map(\.term) == [2, 2] && asking.core.term == 1 && asking.core.vote.candidate == .none)

        var asked = try CoreProbe(log: [1], options: careful())
        let effects = asked.receive(asked.voteRequest(.preVote, term: 2, last: 1, 1))
        let answer = effects.messages(.preVoteResponse)
        #expect(answer.map(\.term) == [2] && answer.map(\.isRejected) == [false])
        #expect(asked.core.term == 1 && asked.core.vote.candidate == .none)
    }

    /// B6: a refusal carries the own term, so that a candidate that is behind learns of it.
    @Test func b06ARefusedPreVoteCarriesTheHigherTerm() throws {
        var asked = try CoreProbe(log: [1], term: 6, options: careful())
        let answer = asked.receive(asked.voteRequest(.preVote, term: 3, last: 9, 2)).messages(.preVoteResponse)
        #expect(answer.map(\.term) == [6] && answer.map(\.isRejected) == [true])
        var asking = try CoreProbe(log: [1], options: careful())
        _ = asking.step(.campaign)
        _ = asking.receive(asking.answer(.preVoteResponse, from: 2, term: 6, isRejected: true))
        #expect(asking.core.term == 6 && asking.core.role == .follower)
    }

    @Test func aPartitionedReplicasReturnDoesNotRaiseTheTerm() throws {
        var group = try Group(3, options: careful())
        group.campaign(1)
        group.settle()
        group.isolate(3)
        for _ in 0..<100 { for id in group.ids { group.tick(id) }; group.settle() }
        group.heal()
        for _ in 0..<100 { for id in group.ids { group.tick(id) }; group.settle() }
        #expect(group.leader == 1 && group.ids.allSatisfy { group[$0].core.term == 1 })
    }

    @Test func aWonPreVoteBecomesAnElection() throws {
        var probe = try CoreProbe(options: careful())
        _ = probe.settle(probe.step(.campaign))
        let effects = probe.receive(probe.answer(.preVoteResponse, from: 3, term: 1))
        #expect(probe.core.role == .candidate && probe.core.term == 1)
        #expect(effects.messages(.vote).map(\.to) == [2, 3])
    }

    // MARK: Check-quorum and lease

    @Test func aLeaderWithoutAQuorumStepsDownWithinTwoBaseTimeouts() throws {
        var probe = try CoreProbe(options: careful())
        _ = probe.lead()
        _ = probe.tick(20)
        #expect(probe.core.role == .follower && probe.core.term == 1 && probe.core.leader == .none)
    }

    @Test func aLeaderThatHearsAQuorumStays() throws {
        var probe = try CoreProbe(options: careful())
        _ = probe.lead()
        for _ in 0..<10 {
            _ = probe.tick(5)
            _ = probe.receive(probe.answer(.heartbeatResponse, from: 3))
        }
        #expect(probe.core.isLeader)
    }

    @Test func nobodyVotesWhileALeaderIsHeardExceptForATransfer() throws {
        var probe = try CoreProbe(options: careful())
        _ = probe.receive(probe.append(term: 1, after: 0, 0))
        #expect(probe.receive(probe.voteRequest(from: 3, term: 5, last: 9, 5)).isEmpty)
        #expect(probe.receive(probe.voteRequest(.preVote, from: 3, term: 5, last: 9, 5)).isEmpty)
        #expect(probe.core.term == 1 && probe.core.leader == 2)
        _ = probe.tick(10)
        #expect(probe.receive(probe.voteRequest(.preVote, from: 3, term: 5, last: 9, 5)).messages.count == 1)
        _ = probe.receive(probe.append(term: 1, after: 0, 0))
        let answer = probe.receive(probe.voteRequest(from: 3, term: 5, last: 9, 5, isTransfer: true))
        #expect(answer.messages(.voteResponse).map(\.isRejected) == [false])
    }

    @Test func aLeaderThatWasLeftBehindLearnsItFromTheAnswerToItsHeartbeat() throws {
        var probe = try CoreProbe(term: 4, options: careful())
        let answer = probe.receive(RaftMessage(.heartbeat, from: 2, to: 1, term: 2)).messages(.appendResponse)
        #expect(answer.map(\.term) == [4])
        var leader = try CoreProbe(options: careful())
        _ = leader.lead()
        _ = leader.receive(leader.answer(.appendResponse, from: 2, term: 4))
        #expect(leader.core.role == .follower && leader.core.term == 4)
    }

    /// B7: a leader that heartbeats a bridge but has no quorum must not hold back elections.
    @Test func b07ALeaderThatLostItsQuorumNeitherResetsTimersNorHoldsTheLease() throws {
        var probe = try CoreProbe(options: careful { $0.tellsQuorumContact = true })
        var heartbeat = RaftMessage(.heartbeat, from: 2, to: 1, term: 1)
        _ = probe.receive(heartbeat)
        heartbeat.quorumContactAge = 11
        _ = probe.tick(5)
        _ = probe.receive(heartbeat)
        #expect(probe.receive(probe.voteRequest(.preVote, from: 3, term: 2, last: 5, 1)).messages.count == 1)
        for _ in 0..<20 {
            _ = probe.tick(1)
            _ = probe.receive(heartbeat)
            if probe.core.role != .follower { break }
        }
        var leader = try CoreProbe(options: careful { ($0.tellsQuorumContact, $0.checkQuorum) = (true, false) })
        _ = leader.lead()
        let ages = leader.tick(15).messages(.heartbeat, to: 2).map(\.quorumContactAge)
        #expect(ages.last == 15)
        _ = leader.receive(leader.answer(.heartbeatResponse, from: 3))
        #expect(leader.tick(1).messages(.heartbeat, to: 2).map(\.quorumContactAge) == [1])
    }

    @Test(arguments: [false, true])
    func b07ABridgeToAnOldLeaderDoesNotKeepAConnectedQuorumWithoutALeader(isTold: Bool) throws {
        // 1 leads and reaches only 2; 2 reaches 3, 4 and 5, which reach each other.
        var group = try Group(5, options: careful { $0.tellsQuorumContact = isTold })
        group.campaign(1)
        group.settle()
        for id in [3, 4, 5] as [ReplicaID] { group.disconnect(1, id) }
        for _ in 0..<100 { for id in group.ids { group.tick(id) }; group.settle() }
        #expect(group.leader.map { $0 != 1 } == true)
        #expect(group.ids.map { group[$0].core.term }.max()! < 8)
        group.propose(group.leader!)
        group.settle()
        #expect(group[group.leader!].core.commitIndex == group[group.leader!].core.lastPosition.index)
    }

    // MARK: Who may campaign

    @Test func aLearnerNeitherCampaignsNorCounts() throws {
        var probe = try CoreProbe(voters: [2, 3], learners: [1])
        #expect(probe.tick(40).messages.isEmpty && probe.step(.campaign).messages.isEmpty)
        #expect(probe.receive(RaftMessage(.timeoutNow, from: 2, to: 1, term: 1)).messages.isEmpty)
        // B15: it votes all the same: it may have been promoted without knowing.
        #expect(probe.receive(probe.voteRequest(term: 3)).messages(.voteResponse).map(\.isRejected) == [false])
    }

    /// B22, B37: damage reaches the core as eligibility.
    @Test func b22ADamagedReplicaDoesNotCampaignAndVotesOnlyIfItMay() throws {
        var probe = try CoreProbe(log: [1])
        _ = probe.step(.eligibility(mayCampaign: false, mayVote: true))
        #expect(probe.tick(40).messages.isEmpty && probe.step(.campaign).isEmpty)
        #expect(probe.receive(probe.voteRequest(term: 2, last: 1, 1)).messages(.voteResponse).count == 1)
        _ = probe.step(.eligibility(mayCampaign: false, mayVote: false))
        #expect(probe.receive(probe.voteRequest(term: 5, last: 1, 1)).isEmpty)
        #expect(probe.core.term == 2)
        _ = probe.step(.eligibility(mayCampaign: true, mayVote: true))
        #expect(probe.step(.campaign).messages(.vote).count == 2)
    }

    @Test func forgettingTheLeaderKeepsTheTermAndAHeartbeatBringsItBack() throws {
        var probe = try CoreProbe(options: careful())
        _ = probe.receive(probe.append(term: 1, after: 0, 0))
        _ = probe.step(.forgetLeader)
        #expect(probe.core.leader == .none && probe.core.term == 1)
        #expect(probe.receive(probe.voteRequest(from: 3, term: 2, last: 9, 1)).messages(.voteResponse).count == 1)
        var heard = try CoreProbe()
        _ = heard.receive(heard.append(term: 1, after: 0, 0))
        _ = heard.step(.forgetLeader)
        _ = heard.receive(RaftMessage(.heartbeat, from: 2, to: 1, term: 1))
        #expect(heard.core.leader == 2)
    }

    @Test func duellingCandidatesComeToOneLeader() throws {
        var group = try Group(3, options: careful())
        group.disconnect(1, 3)
        group.campaign(1)
        group.campaign(3)
        group.settle()
        group.heal()
        for _ in 0..<60 { for id in group.ids { group.tick(id) }; group.settle() }
        #expect(group.leader != nil)
    }

    /// B6: the longest log at a lower term against higher terms with shorter logs.
    @Test func b06TheReplicaThatAloneCanWinDoesSo() throws {
        var group = try Group(
            3, options: careful(), logs: [1: [1, 2, 2, 2], 2: [1], 3: [1]],
            votes: [1: Vote(term: 2, candidate: 1), 2: Vote(term: 5, candidate: 2), 3: Vote(term: 6, candidate: 3)])
        group.disconnect(2, 3)
        for _ in 0..<200 { for id in group.ids { group.tick(id) }; group.settle() }
        #expect(group.leader == 1)
    }

    /// Without pre-votes, a replica whose configuration is old campaigns among those it knows, and its term grows. The
    /// candidate that needs its vote is none of them.
    @Test func aCandidateHearsOfTheTermOfAVoterThatDoesNotKnowItYet() throws {
        var group = try Group(3, learners: 1)
        group.campaign(1)
        group.settle()
        group.isolate(3)
        group.propose(1, ConfigurationChange([.addVoter(4)]))
        group.settle()
        group.propose(1, ConfigurationChange([.remove(2)]))
        group.settle()
        #expect(group[4].core.configuration.voters == [1, 3, 4])
        group.crash(1)
        group.crash(2)
        group.heal()
        for _ in 0..<5 { group.campaign(3); group.settle() }
        #expect(group[3].core.term > group[4].core.term + 2)

        for _ in 0..<2 { group.campaign(4); group.settle() }
        #expect(group.leader == 4)
    }

    /// B25: a removed replica that does not know it goes on campaigning.
    @Test func b25ARemovedReplicaDoesNotDisturbTheLeader() throws {
        var group = try Group(4, options: careful())
        group.campaign(1)
        group.settle()
        group.isolate(4)
        group.propose(1, ConfigurationChange([.remove(4)]))
        group.settle()
        group.heal()
        for _ in 0..<100 { for id in group.ids { group.tick(id) }; group.settle() }
        #expect(group.leader == 1 && group[1].core.term == 1 && group[1].core.configuration.voters == [1, 2, 3])
    }
}
