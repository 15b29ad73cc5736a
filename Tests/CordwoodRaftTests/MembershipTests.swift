import CordwoodBase
import CordwoodRaft
import Testing

/// Changes of the configuration in a running group.
@Suite struct MembershipTests {
    private func led(_ voters: Int, learners: Int = 0, _ change: (inout RaftOptions) -> Void = { _ in }) throws -> Group
    {
        var group = try Group(
            voters, learners: learners, options: Group.options(change), boundary: LogPosition(index: 10, term: 1))
        group.campaign(1)
        group.settle()
        return group
    }

    @Test func aLearnerIsBroughtUpAndThenPromoted() throws {
        var group = try led(3)
        try group.addEmpty(4)
        group.propose(1)
        group.propose(1, ConfigurationChange([.addLearner(4)]))
        group.settle()
        #expect(group[4].commands == group[1].commands && group[4].core.configuration.learners == [4])
        group.propose(1, ConfigurationChange([.addVoter(4)]))
        group.settle()
        #expect(group.ids.allSatisfy { group[$0].core.configuration.voters == [1, 2, 3, 4] })
    }

    /// With its two learners the leader is three of five, and still one of three.
    @Test func learnersDoNotCountForCommit() throws {
        var group = try led(3, learners: 2)
        group.isolate(2)
        group.isolate(3)
        group.propose(1)
        group.settle()
        #expect(group[4].log.entries.count == 2 && group[5].log.entries.count == 2)
        #expect(group[1].core.commitIndex == 11)
    }

    @Test func oneChangeAtATime() throws {
        var group = try led(3)
        group.isolate(1)
        guard case .accepted(let position) = group.propose(1, ConfigurationChange([.addLearner(4)])) else {
            return #expect(Bool(false))
        }
        let answer = group.propose(1, ConfigurationChange([.addLearner(5)]))
        #expect(answer == .acceptedAsEmpty(.init(index: 13, term: 1), .pending(position.index)))
    }

    /// Everything that was in the log at the election is applied first: a change may be in it.
    @Test func aNewLeaderTakesNoChangeBeforeItsLogIsApplied() throws {
        var probe = try CoreProbe(log: [1, 1], commit: 1)
        _ = probe.lead()
        var effects = RaftEffects()
        let change = ConfigurationChange([.addLearner(4)])
        #expect(
            probe.core.proposeChange(change, size: 1, into: &effects)
                == .acceptedAsEmpty(.init(index: 4, term: 2), .pending(2)))
        probe.core.step(.endTurn, into: &effects)
        _ = probe.settle(effects.effects)
        _ = probe.receive(probe.answer(.appendResponse, from: 2, index: 4))
        _ = probe.step(.applied(2))
        #expect(probe.core.proposeChange(change, size: 1, into: &effects) == .accepted(.init(index: 5, term: 2)))
    }

    @Test func whatDoesNotFitIsReplacedByAnEmptyEntry() throws {
        var group = try led(3)
        #expect(group.propose(1, .leaveJoint) == .acceptedAsEmpty(.init(index: 12, term: 1), .notJoint))
        group.settle()
        group.propose(1, ConfigurationChange([.addLearner(4)], transition: .explicit))
        group.settle()
        #expect(group[1].core.configuration.isJoint)
        #expect(
            group.propose(1, ConfigurationChange([.addLearner(5)]))
                == .acceptedAsEmpty(.init(index: 14, term: 1), .mustLeaveJointFirst))
        group.settle()
        group.propose(1, .leaveJoint)
        group.settle()
        #expect(!group[1].core.configuration.isJoint && group[1].core.configuration.learners == [4])
    }

    // MARK: Joint consensus

    /// B13, B12: while joint, both halves must agree.
    @Test func b13WhileJointBothMajoritiesAreNeeded() throws {
        var group = try led(3)
        for id in [4, 5, 6] as [ReplicaID] { try group.addEmpty(id) }
        let steps =
            ([4, 5, 6] as [ReplicaID]).map { ConfigurationChange.Step.addVoter($0) }
            + ([1, 2, 3] as [ReplicaID]).map { ConfigurationChange.Step.remove($0) }
        group.propose(1, ConfigurationChange(steps, transition: .explicit))
        group.settle()
        #expect(group[1].core.configuration.voters == [4, 5, 6] && group[1].core.configuration.outgoing == [1, 2, 3])
        let commit = group[1].core.commitIndex
        group.isolate(2)
        group.isolate(3)
        group.propose(1)
        group.settle()
        #expect(group[1].core.commitIndex == commit)
        group.heal()
        group.tick(1)
        group.settle()
        #expect(group[1].core.commitIndex == commit.next)
        group.isolate(5)
        group.isolate(6)
        group.propose(1)
        group.settle()
        #expect(group[1].core.commitIndex == commit.next)
        group.heal()
        group.tick(1)
        group.settle()
        #expect(group[1].core.commitIndex == commit + 2)
    }

    @Test func b13TheLeaderLeavesAnAutomaticJointConfigurationOnce() throws {
        var group = try led(3)
        try group.addEmpty(4)
        try group.addEmpty(5)
        group.propose(1, ConfigurationChange([.addVoter(4), .addVoter(5)]))
        group.settle()
        for _ in 0..<3 {
            group.propose(1)
            group.step(1, .applied(group[1].core.appliedIndex))
            group.settle()
        }
        #expect(group[1].core.configuration == GroupConfiguration(voters: [1, 2, 3, 4, 5]))
        #expect(group[1].log.entries.filter { $0.body == .change(.leaveJoint) }.count == 1)
    }

    @Test func b13TheLeaveIsNotProposedAgainWhileItIsUnderWay() throws {
        var probe = try CoreProbe(voters: [1, 2], options: Group.options())
        _ = probe.lead()
        _ = probe.receive(probe.answer(.appendResponse, from: 2, index: 1))
        _ = probe.step(.applied(1))
        var effects = RaftEffects()
        let change = ConfigurationChange([.addVoter(3)], transition: .implicit)
        _ = probe.core.proposeChange(change, size: 1, into: &effects)
        probe.core.step(.endTurn, into: &effects)
        _ = probe.settle(effects.effects)
        _ = probe.receive(probe.answer(.appendResponse, from: 2, index: 2))
        try probe.core.applyConfiguration(change, at: 2, into: &effects)
        func leaves(_ effects: [RaftEffect]) -> Int {
            effects.count { if case .append(_, _, .leaveJoint, _) = $0 { true } else { false } }
        }
        #expect(leaves(probe.step(.applied(2))) == 1)
        #expect(leaves(probe.step(.applied(2))) == 0)
    }

    @Test func b13ATransferHoldsTheLeaveBackOnlyUntilItIsOver() throws {
        var probe = try CoreProbe(voters: [1, 2], options: Group.options())
        _ = probe.lead()
        _ = probe.receive(probe.answer(.appendResponse, from: 2, index: 1))
        _ = probe.step(.applied(1))
        var effects = RaftEffects()
        let change = ConfigurationChange([.addVoter(3)], transition: .implicit)
        _ = probe.core.proposeChange(change, size: 1, into: &effects)
        probe.core.step(.endTurn, into: &effects)
        _ = probe.settle(effects.effects)
        _ = probe.receive(probe.answer(.appendResponse, from: 2, index: 2))
        try probe.core.applyConfiguration(change, at: 2, into: &effects)
        _ = probe.step(.transferLeadership(to: 2))
        _ = probe.step(.applied(2))
        #expect(probe.core.lastPosition.index == 2)
        _ = probe.tick(10)
        _ = probe.step(.applied(2))
        #expect(probe.core.lastPosition.index == 3)
    }

    @Test func aDemotedVoterIsALearnerWhenJointConsensusIsLeft() throws {
        var group = try led(3)
        try group.addEmpty(4)
        group.propose(1, ConfigurationChange([.addLearner(3), .addVoter(4)], transition: .explicit))
        group.settle()
        #expect(group[1].core.configuration.learnersNext == [3] && group[1].core.configuration.outgoing == [1, 2, 3])
        group.propose(1, .leaveJoint)
        group.settle()
        #expect(group[1].core.configuration == GroupConfiguration(voters: [1, 2, 4], learners: [3]))
    }

    // MARK: Removal

    @Test(arguments: [false, true])
    func aRemovedLeaderStepsDownIfItIsToAndDoesNotCountItself(stepsDown: Bool) throws {
        var group = try led(3) { $0.stepDownOnRemoval = stepsDown }
        group.propose(1, ConfigurationChange([.remove(1)]))
        group.settle()
        #expect(group[1].core.isLeader == !stepsDown && group[1].core.configuration.voters == [2, 3])
        if stepsDown { return }
        #expect(group.propose(1) == .refused(.notMember))
        #expect(!group[1].effects.effects.contains { if case .append = $0 { true } else { false } })
        group.tick(1)
        #expect(group.network.filter { $0.message.kind == .heartbeat }.map(\.message.to) == [2, 3])
    }

    @Test func anEntryThatOnlyTheRemovedLeaderAndOneOtherHaveIsNotCommitted() throws {
        var group = try led(3) { $0.stepDownOnRemoval = false }
        // The removal and another entry are proposed together; 3 hears only of the removal's commit.
        group.propose(1, ConfigurationChange([.remove(1)]))
        group.isolate(3)
        group.propose(1)
        group.settle()
        #expect(group[1].core.configuration.voters == [2, 3])
        #expect(group[1].core.commitIndex < group[1].core.lastPosition.index)
    }

    @Test func aSmallerQuorumCommitsWhatWaited() throws {
        var group = try led(4)
        group.propose(1, ConfigurationChange([.remove(4)]))
        group.isolate(3)
        group.isolate(4)
        let waiting = group.propose(1)
        group.heal()
        group.isolate(4)
        group.settle()
        guard case .accepted(let position) = waiting else { return #expect(Bool(false)) }
        group.tick(1)
        group.settle()
        #expect(group[1].core.commitIndex == position.index)
    }

    @Test func noCampaignWhileACommittedChangeIsNotApplied() throws {
        for isTransfer in [false, true] {
            var group = try led(3)
            group.nodes[2]!.isApplyHeld = true
            group.propose(1, ConfigurationChange([.addLearner(4)]))
            group.settle()
            group.tick(1)
            group.settle()
            #expect(group[2].core.status.hasUnappliedConfiguration)
            if isTransfer { group.step(1, .transferLeadership(to: 2)) } else { group.campaign(2) }
            group.settle()
            #expect(group[2].core.role == .follower && group[2].core.term == 1)
            group.finishApplying(2)
            group.campaign(2)
            #expect(group[2].core.role == .candidate)
        }
    }

    /// B13: after a truncation only what is left in the log counts.
    @Test func b13ATruncatedChangeLeavesNothingBehind() throws {
        var group = try led(3)
        group.isolate(1)
        group.propose(1, ConfigurationChange([.addVoter(4)]))
        group.campaign(2)
        group.settle()
        group.heal()
        group.nodes[1]!.isApplyHeld = true
        group.propose(2)
        group.tick(2)
        group.settle()
        // Another entry is committed where the change was, and waits to be handed out: it is no change.
        #expect(group[1].core.commitIndex > group[1].core.appliedIndex)
        #expect(!group[1].core.status.hasUnappliedConfiguration)
        group.finishApplying(1)
        #expect(group[1].core.configuration.voters == [1, 2, 3])
        group.propose(2, ConfigurationChange([.addLearner(5)]))
        group.settle()
        #expect(group[1].core.configuration.learners == [5])
    }

    /// B1, the single-server bug: a leader adds one uncommitted, another term removes one, the first leads again.
    @Test func b01ChangesOfDifferentTermsNeverMakeDisjointQuorums() throws {
        var group = try led(4)
        try group.addEmpty(5)
        group.isolate(1)
        group.propose(1, ConfigurationChange([.addVoter(5)]))
        group.campaign(2)
        group.settle()
        group.propose(2, ConfigurationChange([.remove(1)]))
        group.settle()
        #expect(group[2].core.configuration.voters == [2, 3, 4])
        group.heal()
        group.crash(1)
        try group.restart(1)
        // 1 still believes in four voters and campaigns; nobody with the newer log votes for it.
        for _ in 0..<5 {
            group.campaign(1)
            group.settle()
        }
        #expect(!group[1].core.isLeader && group.checks.failures.isEmpty)
    }

    /// A replica that restarts without what it knew of commit would campaign in a configuration two changes old.
    @Test func commitComesBackWithTheEntriesSoThatAnOldConfigurationCannotElect() throws {
        var group = try led(3)
        for id in [4, 5] as [ReplicaID] {
            try group.addEmpty(id)
            group.propose(1, ConfigurationChange([.addVoter(id)]))
            group.settle()
        }
        group.crash(2)
        try group.restart(2)
        group.tick(2)
        #expect(group[2].core.commitIndex >= 12 && group[2].core.configuration.voters.contains(4))
    }

    /// B14, the documented limit: with two members, one crash at the wrong moment leaves the other unaware of a
    /// committed change. It elects nobody, and loses nothing, until the one that knows is back.
    @Test func b14WhoeverDoesNotKnowOfACommittedChangeWaitsForOneWhoDoes() throws {
        var group = try led(2, learners: 1)
        group.loses = { $0.kind == .append && $0.entryCount == 0 || $0.kind == .heartbeat }
        group.propose(1, ConfigurationChange([.addVoter(3)]))
        group.settle()
        #expect(group[1].core.configuration.voters == [1, 2, 3] && group[2].core.configuration.voters == [1, 2])
        group.loses = { _ in false }
        group.crash(1)
        for _ in 0..<60 {
            for id in [2, 3] as [ReplicaID] { group.tick(id) }
            group.settle()
        }
        #expect(group.leader == nil)
        try group.restart(1)
        for _ in 0..<60 {
            for id in group.ids { group.tick(id) }
            group.settle()
        }
        #expect(group.leader != nil && group.ids.allSatisfy { group[$0].core.configuration.voters == [1, 2, 3] })
    }

    @Test func manyMembersElectAndCommit() throws {
        var group = try led(45)
        group.propose(1)
        group.settle()
        #expect(group.leader == 1 && group[1].core.commitIndex == 12)
        #expect(group.ids.allSatisfy { group[$0].commands == [1] })
    }

    @Test func messagesOfStrangersCountForNothing() throws {
        var group = try led(3)
        var stray = RaftMessage(.appendResponse, from: 9, to: 1, term: 7)
        stray.index = 11
        group.receive(GroupPacket(message: stray))
        #expect(group[1].core.isLeader && group[1].core.term == 1)
    }
}
